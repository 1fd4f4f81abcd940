"""The tree of errors, and the form in which one travels.

::

    CtrlHubError                       everything ctrl-hub raises on purpose
    ├── NoEnginesRegistered            nothing to run on
    ├── InvalidEngineID                no engine has this id           (an IndexError)
    ├── TooManyEngines                 the controller is full
    ├── RegistrationRefused            an engine or client was not let in
    ├── ResultNotCompleted             asked before it was there       (RuntimeError, TimeoutError)
    ├── ResultLost                     it was there, and is gone
    │   └── FailedBefore               it was a failure, of which a text is left
    ├── SegmentLost                    shared memory that cannot be opened
    ├── RemoteError                    user code raised on an engine
    │   ├── CompositeError             … on several of them
    │   ├── AlreadyDisplayedError      … and has been shown already
    │   └── RequestError               it ended for other reasons
    │       ├── EngineError            an engine died or cannot be reached (a BrokenExecutor)
    │       ├── TaskAborted            cancelled before it ended
    │       ├── TaskTimeout            waited in the queue for too long
    │       │   └── TimeLimitExceeded  … or ran for too long
    │       ├── QueueCleared           removed from an engine's queue
    │       └── UnmetDependency        this engine will not do
    │           ├── TaskRejectError    … because the task itself says so
    │           └── ImpossibleDependency    no engine ever will
    │               ├── DependencyTimeout   … not before the task's ``timeout``
    │               └── InvalidDependency   … and none could: on itself, or on nothing
    ├── SerializationError             something cannot be pickled, or not be rebuilt
    ├── LimitExceeded                  a configured limit was reached
    │   └── OutOfMemory                … or what there is of memory
    ├── InvalidRequest                 the hub does not accept this request
    │   └── UnknownInterface           … because it does not expose that interface
    ├── InvalidReply                   a reply that could not be read
    ├── InternalError                  the hub failed at it; its log says why
    ├── ControllerStopped              the controller was stopped
    ├── SessionClosed                  this client was closed
    ├── SessionAttached                another client is attached to the session
    ├── NoSuchSession                  the hub has no such session (any more)
    ├── HubUnavailable                 the hub is gone or silent       (a ConnectionError)
    ├── HubNotFound                    no hub is running               (a ConnectionError)
    ├── ConnectionFileError            unreadable, malformed or exposed
    ├── GatewayError                   the hub's HTTP gateway does not serve
    ├── StoreError                     the hub's store cannot be used, or not now
    ├── AuthenticationError            a key the hub does not accept
    ├── PermissionDenied               this peer's role may not do that (a PermissionError)
    ├── ProtocolMismatch               another version of the protocol
    ├── VersionMismatch                another version of Python or of what it needs
    └── AlreadyRunning                 this profile has a hub already

A timeout of a wait is the built-in ``TimeoutError``; `TaskTimeout` is not one, so that a loop
which polls with a short timeout cannot take a task's end for "not yet".

Each class has a stable ``code``, the word for it on the wire. A `Failure` is an error in transport:
plain data, which the hub passes on without looking (`ctrlhub.wire.failure`). Rebuilding one needs
pickle and therefore lives in `ctrlhub.wire.rebuild`, for clients and engines only.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import BrokenExecutor
from typing import Self

from ctrlhub.wire.error_base import CtrlHubError as CtrlHubError
from ctrlhub.wire.error_base import error_for as error_for
from ctrlhub.wire.failure import Failure as Failure
from ctrlhub.wire.failure import pack_failure as pack_failure
from ctrlhub.wire.failure import unpack_failure as unpack_failure
from ctrlhub.wire.remote_errors import AlreadyDisplayedError as AlreadyDisplayedError
from ctrlhub.wire.remote_errors import CompositeError as CompositeError
from ctrlhub.wire.remote_errors import ErrorTuple as ErrorTuple
from ctrlhub.wire.remote_errors import RemoteError as RemoteError
from ctrlhub.wire.remote_errors import RequestError as RequestError


class EngineError(RequestError, BrokenExecutor, code="engine_error"):
    """An engine died or cannot be reached; the message names the cause.

    It is a `BrokenExecutor` for programs that know `ProcessPoolExecutor`; other engines go on.

    Parameters
    ----------
    message
        What happened.
    engine_id
        The engine it happened to, where known.
    """

class NoEnginesRegistered(CtrlHubError, code="no_engines"):
    """There is no engine to run on."""


class InvalidEngineID(CtrlHubError, IndexError, code="invalid_engine_id"):
    """No engine has this id."""

    @classmethod
    def of(cls, number: int, absent: Mapping[int, str], there: str = "") -> Self:
        """Return the error about an engine.

        Parameters
        ----------
        number
            The id.
        absent
            What is said of engines that are away for a while, by id.
        there
            The engines there are, in words.
        """
        if number in absent:
            return cls(
                f"engine {number} {absent[number]}; wait for it with client.wait_for_engines(), "
                "which takes the number of engines"
            )
        return cls(f"there is no engine {number}{there}")


class TooManyEngines(CtrlHubError, code="too_many_engines"):
    """The controller has as many engines as ``max_engines`` allows."""


class RegistrationRefused(CtrlHubError, code="registration_refused"):
    """The hub did not let an engine or a client in."""


class TaskAborted(RequestError, code="task_aborted"):
    """The task was cancelled before it ended."""


class TaskTimeout(RequestError, code="task_timeout"):
    """The task waited in the queue for longer than its ``timeout``."""


class TimeLimitExceeded(TaskTimeout, code="time_limit_exceeded"):
    """The task ran for longer than its ``time_limit``, and was interrupted."""


class QueueCleared(RequestError, code="queue_cleared"):
    """The command was removed from its engine's queue before it began."""


class UnmetDependency(RequestError, code="unmet_dependency"):
    """The task's dependencies are not met on the engine that tried; another may meet them."""


class ImpossibleDependency(UnmetDependency, code="impossible_dependency"):
    """No engine can ever meet the task's dependencies."""


class TaskRejectError(UnmetDependency, code="task_reject"):
    """Raised by a task that does not want to run where it is: another engine gets it."""


class DependencyTimeout(ImpossibleDependency, TaskTimeout, code="dependency_timeout"):
    """The task's dependencies were not met within its ``timeout``."""


class InvalidDependency(ImpossibleDependency, code="invalid_dependency"):
    """The task's dependencies cannot be met by anything that may yet happen."""


class ResultNotCompleted(
    CtrlHubError, TimeoutError, RuntimeError, code="result_not_completed"
):
    """The result was asked for before it was there."""


class ResultLost(CtrlHubError, code="result_lost"):
    """The result existed and is kept no longer."""


class FailedBefore(ResultLost, code="failed_before"):
    """The command was run before another hub, and failed; of the failure only this text is left."""


class SegmentLost(CtrlHubError, code="segment_lost"):
    """Shared memory that a message refers to cannot be opened: whoever lent it has let it go."""


class SerializationError(CtrlHubError, code="serialization"):
    """Something cannot be pickled, or not be rebuilt; the message says what, and what to do."""


class LimitExceeded(CtrlHubError, code="limit_exceeded"):
    """A configured limit was reached; the message names it."""


class OutOfMemory(LimitExceeded, code="out_of_memory"):
    """What was sent is too large for the memory of whoever was to have it."""


class InvalidRequest(CtrlHubError, code="invalid_request"):
    """The hub does not accept this request."""


class UnknownInterface(InvalidRequest, code="unknown_interface"):
    """The hub does not expose this interface."""


class InvalidReply(CtrlHubError, code="invalid_reply"):
    """A reply could not be read."""


class InternalError(CtrlHubError, code="internal"):
    """The hub failed at a request it should have served; its log says why."""


class ControllerStopped(CtrlHubError, code="controller_stopped"):
    """The controller was stopped."""


class SessionClosed(CtrlHubError, code="session_closed"):
    """The client was closed, or its session has ended."""


class NoSuchSession(CtrlHubError, code="no_such_session"):
    """The hub has no session of this number (any more)."""


class SessionAttached(CtrlHubError, code="session_attached"):
    """Another client is attached to the session."""


class HubUnavailable(CtrlHubError, ConnectionError, code="hub_unavailable"):
    """The hub is gone, or does not answer."""


class HubNotFound(CtrlHubError, ConnectionError, code="hub_not_found"):
    """No running hub was found; ``ctrl-hub start`` starts one."""


class ConnectionFileError(CtrlHubError, code="connection_file"):
    """A connection file is unreadable, malformed, or readable by others."""


class StoreError(CtrlHubError, code="store"):
    """The hub's store cannot be used, or not now: the message says why."""


class GatewayError(CtrlHubError, code="gateway"):
    """The hub's HTTP gateway does not serve; the message says why."""


class AuthenticationError(CtrlHubError, code="authentication"):
    """The hub does not accept this key."""


class PermissionDenied(CtrlHubError, PermissionError, code="permission_denied"):
    """This client's role does not allow what it asks for; the message names the role that does."""

    @classmethod
    def of(cls, role: str, what: str, needed: str) -> Self:
        """Return the error about something that a role may not do, and another one may."""
        return cls(
            f"this client has role {role}, and {what} needs {needed}: connect with "
            f"connection-{'client' if needed == 'admin' else needed}.json, Client(role={needed!r}), or a token of that role"
        )


class ProtocolMismatch(CtrlHubError, code="protocol_mismatch"):
    """The peer speaks another version of the protocol."""


class VersionMismatch(CtrlHubError, code="version_mismatch"):
    """The peer runs another version of Python, or of what serialization needs."""


class AlreadyRunning(CtrlHubError):
    """A cluster of the profile runs already. Never sent: raised where the second one was started.

    Parameters
    ----------
    pid
        The process id of what runs it: a supervisor, a program, or a hub that is alone.
    profile
        The name of the profile.
    """

    def __init__(self, pid: int, profile: str = "default") -> None:
        super().__init__(pid, profile)
        self.pid = pid
        self.profile = profile

    def __str__(self) -> str:
        return (
            f"a cluster of profile {self.profile!r} is running (pid {self.pid}): "
            f"stop it with `ctrl-hub stop --profile {self.profile}`, or choose another profile"
        )


IPythonError = KernelError = CtrlHubError
"""The names of the base class in ipyparallel."""
