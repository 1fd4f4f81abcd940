"""ctrl-hub: interactive parallel computing in Python.

Public names are imported on demand (PEP 562): ``import ctrlhub`` costs next to nothing, and a
program pays only for the part it uses.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"
version_info = tuple(int(part) for part in __version__.split("."))

if TYPE_CHECKING:
    from builtins import TimeoutError as TimeoutError
    from concurrent.futures import ALL_COMPLETED as ALL_COMPLETED
    from concurrent.futures import FIRST_COMPLETED as FIRST_COMPLETED
    from concurrent.futures import FIRST_EXCEPTION as FIRST_EXCEPTION

    from ctrlhub.client.async_client import AsyncClient as AsyncClient
    from ctrlhub.client.async_result import AsyncGroup as AsyncGroup
    from ctrlhub.client.async_result import AsyncResult as AsyncResult
    from ctrlhub.client.attaching import SessionInfo as SessionInfo
    from ctrlhub.client.balanced_view import LoadBalancedView as LoadBalancedView
    from ctrlhub.client.broadcast_view import BroadcastView as BroadcastView
    from ctrlhub.client.client import Client as Client
    from ctrlhub.client.dependency import Dependency as Dependency
    from ctrlhub.client.direct_view import DirectView as DirectView
    from ctrlhub.client.executor import ViewExecutor as ViewExecutor
    from ctrlhub.client.hub_result import AsyncHubResult as AsyncHubResult
    from ctrlhub.client.map_result import AsyncMapResult as AsyncMapResult
    from ctrlhub.client.remote_function import ParallelFunction as ParallelFunction
    from ctrlhub.client.remote_function import RemoteFunction as RemoteFunction
    from ctrlhub.client.remote_function import parallel as parallel
    from ctrlhub.client.remote_function import remote as remote
    from ctrlhub.client.rows import TaskCancelled as TaskCancelled
    from ctrlhub.client.start_hooks import StartHook as StartHook
    from ctrlhub.client.task_client import TaskClient as TaskClient
    from ctrlhub.client.task_objects import BaseTask as BaseTask
    from ctrlhub.client.task_objects import MapTask as MapTask
    from ctrlhub.client.task_objects import StringTask as StringTask
    from ctrlhub.client.task_objects import TaskResult as TaskResult
    from ctrlhub.cluster.cluster import Cluster as Cluster
    from ctrlhub.cluster.executor import Executor as Executor
    from ctrlhub.cluster.joblib import register_joblib_backend as register_joblib_backend
    from ctrlhub.cluster.manager import ClusterManager as ClusterManager
    from ctrlhub.cluster.widgets.opening import widget as widget
    from ctrlhub.controller.service import ControllerAdapterBase as ControllerAdapterBase
    from ctrlhub.controller.service import ControllerService as ControllerService
    from ctrlhub.controller.service import IControllerBase as IControllerBase
    from ctrlhub.controller.service import IControllerCore as IControllerCore
    from ctrlhub.engine.console import bind_kernel as bind_kernel
    from ctrlhub.serialize import deserialize_object as deserialize_object
    from ctrlhub.serialize import serialize_object as serialize_object
    from ctrlhub.wire.dependencies import depend as depend
    from ctrlhub.wire.dependencies import dependent as dependent
    from ctrlhub.wire.dependencies import interactive as interactive
    from ctrlhub.wire.dependencies import require as require
    from ctrlhub.wire.errors import AlreadyDisplayedError as AlreadyDisplayedError
    from ctrlhub.wire.errors import AlreadyRunning as AlreadyRunning
    from ctrlhub.wire.errors import AuthenticationError as AuthenticationError
    from ctrlhub.wire.errors import CompositeError as CompositeError
    from ctrlhub.wire.errors import ConnectionFileError as ConnectionFileError
    from ctrlhub.wire.errors import ControllerStopped as ControllerStopped
    from ctrlhub.wire.errors import CtrlHubError as CtrlHubError
    from ctrlhub.wire.errors import DependencyTimeout as DependencyTimeout
    from ctrlhub.wire.errors import EngineError as EngineError
    from ctrlhub.wire.errors import FailedBefore as FailedBefore
    from ctrlhub.wire.errors import GatewayError as GatewayError
    from ctrlhub.wire.errors import HubNotFound as HubNotFound
    from ctrlhub.wire.errors import HubUnavailable as HubUnavailable
    from ctrlhub.wire.errors import ImpossibleDependency as ImpossibleDependency
    from ctrlhub.wire.errors import InternalError as InternalError
    from ctrlhub.wire.errors import InvalidDependency as InvalidDependency
    from ctrlhub.wire.errors import InvalidEngineID as InvalidEngineID
    from ctrlhub.wire.errors import InvalidReply as InvalidReply
    from ctrlhub.wire.errors import InvalidRequest as InvalidRequest
    from ctrlhub.wire.errors import IPythonError as IPythonError
    from ctrlhub.wire.errors import KernelError as KernelError
    from ctrlhub.wire.errors import LimitExceeded as LimitExceeded
    from ctrlhub.wire.errors import NoEnginesRegistered as NoEnginesRegistered
    from ctrlhub.wire.errors import NoSuchSession as NoSuchSession
    from ctrlhub.wire.errors import OutOfMemory as OutOfMemory
    from ctrlhub.wire.errors import PermissionDenied as PermissionDenied
    from ctrlhub.wire.errors import ProtocolMismatch as ProtocolMismatch
    from ctrlhub.wire.errors import QueueCleared as QueueCleared
    from ctrlhub.wire.errors import RegistrationRefused as RegistrationRefused
    from ctrlhub.wire.errors import RemoteError as RemoteError
    from ctrlhub.wire.errors import RequestError as RequestError
    from ctrlhub.wire.errors import ResultLost as ResultLost
    from ctrlhub.wire.errors import ResultNotCompleted as ResultNotCompleted
    from ctrlhub.wire.errors import SegmentLost as SegmentLost
    from ctrlhub.wire.errors import SerializationError as SerializationError
    from ctrlhub.wire.errors import SessionAttached as SessionAttached
    from ctrlhub.wire.errors import SessionClosed as SessionClosed
    from ctrlhub.wire.errors import StoreError as StoreError
    from ctrlhub.wire.errors import TaskAborted as TaskAborted
    from ctrlhub.wire.errors import TaskRejectError as TaskRejectError
    from ctrlhub.wire.errors import TaskTimeout as TaskTimeout
    from ctrlhub.wire.errors import TimeLimitExceeded as TimeLimitExceeded
    from ctrlhub.wire.errors import TooManyEngines as TooManyEngines
    from ctrlhub.wire.errors import UnknownInterface as UnknownInterface
    from ctrlhub.wire.errors import UnmetDependency as UnmetDependency
    from ctrlhub.wire.errors import VersionMismatch as VersionMismatch
    from ctrlhub.wire.prepickled import PrePickled as PrePickled
    from ctrlhub.wire.references import Reference as Reference

# Where each public name lives; tests/unit/test_packaging.py holds this table to the imports above
# and to the errors that ctrlhub.wire.errors defines.
_HOMES = {
    "builtins": ("TimeoutError",),
    "concurrent.futures": ("ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION"),
    "ctrlhub.client.async_client": ("AsyncClient",),
    "ctrlhub.client.async_result": ("AsyncGroup", "AsyncResult"),
    "ctrlhub.client.attaching": ("SessionInfo",),
    "ctrlhub.client.balanced_view": ("LoadBalancedView",),
    "ctrlhub.client.broadcast_view": ("BroadcastView",),
    "ctrlhub.client.client": ("Client",),
    "ctrlhub.client.dependency": ("Dependency",),
    "ctrlhub.client.direct_view": ("DirectView",),
    "ctrlhub.client.executor": ("ViewExecutor",),
    "ctrlhub.client.hub_result": ("AsyncHubResult",),
    "ctrlhub.client.map_result": ("AsyncMapResult",),
    "ctrlhub.client.remote_function": ("ParallelFunction", "RemoteFunction", "parallel", "remote"),
    "ctrlhub.client.rows": ("TaskCancelled",),
    "ctrlhub.client.start_hooks": ("StartHook",),
    "ctrlhub.client.task_client": ("TaskClient",),
    "ctrlhub.client.task_objects": ("BaseTask", "MapTask", "StringTask", "TaskResult"),
    "ctrlhub.cluster.cluster": ("Cluster",),
    "ctrlhub.cluster.executor": ("Executor",),
    "ctrlhub.cluster.manager": ("ClusterManager",),
    "ctrlhub.cluster.joblib": ("register_joblib_backend",),
    "ctrlhub.cluster.widgets.opening": ("widget",),
    "ctrlhub.controller.service": (
        "ControllerAdapterBase",
        "ControllerService",
        "IControllerBase",
        "IControllerCore",
    ),
    "ctrlhub.engine.console": ("bind_kernel",),
    "ctrlhub.serialize": ("deserialize_object", "serialize_object"),
    "ctrlhub.wire.dependencies": ("depend", "dependent", "interactive", "require"),
    "ctrlhub.wire.errors": (
        "AlreadyDisplayedError",
        "AlreadyRunning",
        "AuthenticationError",
        "CompositeError",
        "ConnectionFileError",
        "ControllerStopped",
        "CtrlHubError",
        "DependencyTimeout",
        "EngineError",
        "FailedBefore",
        "GatewayError",
        "HubNotFound",
        "HubUnavailable",
        "IPythonError",
        "ImpossibleDependency",
        "InternalError",
        "InvalidDependency",
        "InvalidEngineID",
        "InvalidReply",
        "InvalidRequest",
        "KernelError",
        "LimitExceeded",
        "OutOfMemory",
        "NoEnginesRegistered",
        "NoSuchSession",
        "PermissionDenied",
        "ProtocolMismatch",
        "QueueCleared",
        "RegistrationRefused",
        "RemoteError",
        "RequestError",
        "ResultLost",
        "ResultNotCompleted",
        "SegmentLost",
        "SerializationError",
        "SessionAttached",
        "SessionClosed",
        "StoreError",
        "TaskAborted",
        "TaskRejectError",
        "TaskTimeout",
        "TimeLimitExceeded",
        "TooManyEngines",
        "UnknownInterface",
        "UnmetDependency",
        "VersionMismatch",
    ),
    "ctrlhub.wire.prepickled": ("PrePickled",),
    "ctrlhub.wire.references": ("Reference",),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = ["__version__", "version_info", *_MODULE_OF]


_MODULES = ("error", "serialize")
"""Modules that are found as attributes without having been imported, as programs expect."""


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    try:
        module = _MODULE_OF[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(import_module(module), name)
    globals()[name] = value  # the next access is an ordinary one
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
