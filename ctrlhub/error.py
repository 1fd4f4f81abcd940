"""The errors, where ipyparallel has them: ``from ctrlhub import error``."""

from __future__ import annotations

from builtins import TimeoutError as TimeoutError

from ctrlhub.wire.errors import (
    AlreadyDisplayedError as AlreadyDisplayedError,
)
from ctrlhub.wire.errors import (
    AlreadyRunning as AlreadyRunning,
)
from ctrlhub.wire.errors import (
    AuthenticationError as AuthenticationError,
)
from ctrlhub.wire.errors import (
    CompositeError as CompositeError,
)
from ctrlhub.wire.errors import (
    ConnectionFileError as ConnectionFileError,
)
from ctrlhub.wire.errors import (
    ControllerStopped as ControllerStopped,
)
from ctrlhub.wire.errors import (
    CtrlHubError as CtrlHubError,
)
from ctrlhub.wire.errors import (
    DependencyTimeout as DependencyTimeout,
)
from ctrlhub.wire.errors import (
    EngineError as EngineError,
)
from ctrlhub.wire.errors import (
    HubNotFound as HubNotFound,
)
from ctrlhub.wire.errors import (
    HubUnavailable as HubUnavailable,
)
from ctrlhub.wire.errors import (
    ImpossibleDependency as ImpossibleDependency,
)
from ctrlhub.wire.errors import (
    InternalError as InternalError,
)
from ctrlhub.wire.errors import (
    InvalidDependency as InvalidDependency,
)
from ctrlhub.wire.errors import (
    InvalidEngineID as InvalidEngineID,
)
from ctrlhub.wire.errors import (
    InvalidReply as InvalidReply,
)
from ctrlhub.wire.errors import (
    InvalidRequest as InvalidRequest,
)
from ctrlhub.wire.errors import (
    IPythonError as IPythonError,
)
from ctrlhub.wire.errors import (
    KernelError as KernelError,
)
from ctrlhub.wire.errors import (
    LimitExceeded as LimitExceeded,
)
from ctrlhub.wire.errors import (
    NoEnginesRegistered as NoEnginesRegistered,
)
from ctrlhub.wire.errors import (
    OutOfMemory as OutOfMemory,
)
from ctrlhub.wire.errors import (
    ProtocolMismatch as ProtocolMismatch,
)
from ctrlhub.wire.errors import (
    QueueCleared as QueueCleared,
)
from ctrlhub.wire.errors import (
    RegistrationRefused as RegistrationRefused,
)
from ctrlhub.wire.errors import (
    RemoteError as RemoteError,
)
from ctrlhub.wire.errors import (
    RequestError as RequestError,
)
from ctrlhub.wire.errors import (
    ResultLost as ResultLost,
)
from ctrlhub.wire.errors import (
    ResultNotCompleted as ResultNotCompleted,
)
from ctrlhub.wire.errors import (
    SerializationError as SerializationError,
)
from ctrlhub.wire.errors import (
    SessionClosed as SessionClosed,
)
from ctrlhub.wire.errors import (
    TaskAborted as TaskAborted,
)
from ctrlhub.wire.errors import (
    TaskRejectError as TaskRejectError,
)
from ctrlhub.wire.errors import (
    TaskTimeout as TaskTimeout,
)
from ctrlhub.wire.errors import (
    TooManyEngines as TooManyEngines,
)
from ctrlhub.wire.errors import (
    UnknownInterface as UnknownInterface,
)
from ctrlhub.wire.errors import (
    UnmetDependency as UnmetDependency,
)
from ctrlhub.wire.errors import (
    VersionMismatch as VersionMismatch,
)
