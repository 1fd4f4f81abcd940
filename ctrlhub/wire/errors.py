"""The tree of errors, and the form in which one travels.

::

    CtrlHubError                       everything ctrl-hub raises on purpose
    ├── EngineError                    an engine died or cannot be reached (a BrokenExecutor)
    ├── NoEnginesRegistered            nothing to run on
    ├── InvalidEngineID                no engine has this id           (an IndexError)
    ├── TooManyEngines                 the controller is full
    ├── RegistrationRefused            an engine or client was not let in
    ├── TaskAborted                    cancelled before it ended
    ├── TaskTimeout                    waited in the queue for too long
    │   └── TimeLimitExceeded          … or ran for too long
    ├── QueueCleared                   removed from an engine's queue
    ├── UnmetDependency                this engine will not do
    │   ├── TaskRejectError            … because the task itself says so
    │   └── ImpossibleDependency       no engine ever will
    │       ├── DependencyTimeout      … not before the task's ``timeout``
    │       └── InvalidDependency      … and none could: it depends on itself, or on nothing
    ├── ResultNotCompleted             asked before it was there       (a RuntimeError)
    ├── ResultLost                     it was there, and is gone
    │   └── FailedBefore               it was a failure, of which a text is left
    ├── SegmentLost                    shared memory that cannot be opened
    ├── RemoteError                    user code raised on an engine
    │   ├── CompositeError             … on several of them
    │   └── AlreadyDisplayedError      … and has been shown already
    ├── SerializationError             something cannot be pickled, or not be rebuilt
    ├── LimitExceeded                  a configured limit was reached
    │   └── OutOfMemory                … or what there is of memory
    ├── InvalidRequest                 the hub does not accept this request
    │   └── UnknownInterface           … because it does not expose that interface
    ├── InvalidReply                   a reply that could not be read
    ├── InternalError                  the hub failed at it; its log says why
    ├── ControllerStopped              the controller was stopped
    ├── SessionClosed                  this client was closed
    ├── HubUnavailable                 the hub is gone or silent       (a ConnectionError)
    ├── HubNotFound                    no hub is running               (a ConnectionError)
    ├── ConnectionFileError            unreadable, malformed or exposed
    ├── StoreError                     the hub's store cannot be used, or not now
    ├── AuthenticationError            a key the hub does not accept
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

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from typing import Any, ClassVar, NoReturn, Self, TypeAlias

from ctrlhub.wire.failure import Failure as Failure
from ctrlhub.wire.failure import pack_failure as pack_failure
from ctrlhub.wire.failure import unpack_failure as unpack_failure

ErrorTuple: TypeAlias = tuple[str, str, str, "dict[str, Any]"]
"""(ename, evalue, traceback, engine_info), as in ipyparallel."""


_CLASSES: dict[str, type[CtrlHubError]] = {}


class CtrlHubError(Exception):
    """Base of everything ctrl-hub raises on purpose.

    A subclass names its word on the wire, ``class Busy(CtrlHubError, code="busy")``, or has that of
    the class above it.
    """

    code: ClassVar[str] = "error"
    engine_id: int | None = None
    """The engine it happened to, where known."""

    def __init_subclass__(cls, code: str | None = None, **kwargs: Any) -> None:
        """Enter a class with a code of its own into the table."""
        super().__init_subclass__(**kwargs)
        if code is not None:
            holder = _CLASSES.setdefault(code, cls)
            if (holder.__module__, holder.__qualname__) != (cls.__module__, cls.__qualname__):
                raise ValueError(f"{holder.__qualname__} has the code {code!r} already")
            _CLASSES[code] = cls  # also when its module is reloaded
            cls.code = code


class EngineError(CtrlHubError, BrokenExecutor, code="engine_error"):
    """An engine died or cannot be reached; the message names the cause.

    It is a `BrokenExecutor` for programs that know `ProcessPoolExecutor`; other engines go on.

    Parameters
    ----------
    message
        What happened.
    engine_id
        The engine it happened to, where known.
    """

    def __init__(self, message: str = "", engine_id: int | None = None) -> None:
        super().__init__(message)
        self.engine_id = engine_id


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


class TaskAborted(CtrlHubError, code="task_aborted"):
    """The task was cancelled before it ended."""


class TaskTimeout(CtrlHubError, code="task_timeout"):
    """The task waited in the queue for longer than its ``timeout``."""


class TimeLimitExceeded(TaskTimeout, code="time_limit_exceeded"):
    """The task ran for longer than its ``time_limit``, and was interrupted."""


class QueueCleared(CtrlHubError, code="queue_cleared"):
    """The command was removed from its engine's queue before it began."""


class UnmetDependency(CtrlHubError, code="unmet_dependency"):
    """The task's dependencies are not met on the engine that tried; another may meet them."""


class ImpossibleDependency(UnmetDependency, code="impossible_dependency"):
    """No engine can ever meet the task's dependencies."""


class TaskRejectError(UnmetDependency, code="task_reject"):
    """Raised by a task that does not want to run where it is: another engine gets it."""


class DependencyTimeout(ImpossibleDependency, TaskTimeout, code="dependency_timeout"):
    """The task's dependencies were not met within its ``timeout``."""


class InvalidDependency(ImpossibleDependency, code="invalid_dependency"):
    """The task's dependencies cannot be met by anything that may yet happen."""


class ResultNotCompleted(CtrlHubError, RuntimeError, code="result_not_completed"):
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


class HubUnavailable(CtrlHubError, ConnectionError, code="hub_unavailable"):
    """The hub is gone, or does not answer."""


class HubNotFound(CtrlHubError, ConnectionError, code="hub_not_found"):
    """No running hub was found; ``ctrl-hub start`` starts one."""


class ConnectionFileError(CtrlHubError, code="connection_file"):
    """A connection file is unreadable, malformed, or readable by others."""


class StoreError(CtrlHubError, code="store"):
    """The hub's store cannot be used, or not now: the message says why."""


class AuthenticationError(CtrlHubError, code="authentication"):
    """The hub does not accept this key."""


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


class RemoteError(CtrlHubError, code="remote"):
    """User code raised on an engine.

    Where the original exception can be rebuilt, what is raised is an instance of its class *and*
    of this one; otherwise it is a plain `RemoteError` with the text.

    Parameters
    ----------
    ename
        Name of the original class.
    evalue
        Its text.
    traceback
        The traceback as the engine formatted it.
    engine_info
        Where it happened: ``engine_id``, ``method`` and what else is known.
    """

    ename: str
    evalue: str
    traceback: str
    engine_info: dict[str, Any]

    def __init__(
        self,
        ename: str,
        evalue: str = "",
        traceback: str = "",
        engine_info: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(ename, evalue)
        self.ename = ename
        self.evalue = evalue
        self.traceback = traceback
        self.engine_info = dict(engine_info or {})
        self.engine_id = self.engine_info.get("engine_id")

    def __str__(self) -> str:
        where = "" if self.engine_id is None else f" on engine {self.engine_id}"
        return f"{self.ename}({self.evalue}){where}"

    def render_traceback(self) -> list[str]:
        """Give the remote traceback as lines."""
        return (self.traceback or f"{self.ename}: {self.evalue}").splitlines()

    def _render_traceback_(self) -> list[str]:
        """Show the remote traceback instead of the local one (IPython asks for it)."""
        return self.render_traceback()

    def print_traceback(self, excid: int | None = None) -> None:
        """Print the remote traceback; ``excid`` has a meaning in a `CompositeError` only."""
        print("\n".join(self.render_traceback()))


class CompositeError(RemoteError, code="composite"):
    """Several engines raised.

    Parameters
    ----------
    message
        What was being done.
    elist
        The errors: tuples (ename, evalue, traceback, engine_info), or exceptions.

    Attributes
    ----------
    elist : list of tuple
        The errors as tuples.
    errors : list of BaseException
        The errors as exceptions, themselves where they were given as such.
    """

    tb_limit: ClassVar[int] = 4
    """So many errors are shown one by one; the rest are counted."""

    def __init__(self, message: str, elist: Iterable[ErrorTuple | BaseException] = ()) -> None:
        self.errors: list[BaseException] = [
            e if isinstance(e, BaseException) else RemoteError(*e) for e in elist
        ]
        self.elist: list[ErrorTuple] = [_error_tuple(e) for e in self.errors]
        super().__init__("CompositeError", message)
        self.message = message
        self.args = (message, self.errors)

    def _shown(self) -> Sequence[ErrorTuple]:
        return self.elist[: self.tb_limit]

    def _hidden(self) -> list[str]:
        more = len(self.elist) - self.tb_limit
        return [f"… and {more} more" if more > 1 else "… and one more"] if more > 0 else []

    def __str__(self) -> str:
        lines = [
            f"{_where(info)}{ename}: {evalue}{_notes(error)}"
            for (ename, evalue, _, info), error in zip(self._shown(), self.errors, strict=False)
        ]
        return "\n".join([self.message, *lines, *self._hidden()])

    def render_traceback(self, excid: int | None = None) -> list[str]:
        """Give the tracebacks as lines: of one error, or of the first `tb_limit`."""
        if excid is not None:
            return self._one(excid)
        lines: list[str] = []
        for excid in range(len(self._shown())):
            lines += [*self._one(excid), ""]
        return [*lines, *self._hidden()]

    def print_traceback(self, excid: int | None = None) -> None:
        """Print the traceback of one error, or of the first `tb_limit`."""
        print("\n".join(self.render_traceback(excid)))

    def raise_exception(self, excid: int = 0) -> NoReturn:
        """Raise one of the errors."""
        raise self.errors[self._checked(excid)]

    def _one(self, excid: int) -> list[str]:
        ename, evalue, traceback, info = self.elist[self._checked(excid)]
        return [f"{_where(info)}".rstrip(), *(traceback or f"{ename}: {evalue}").splitlines()]

    def _checked(self, excid: int) -> int:
        if not -len(self.elist) <= excid < len(self.elist):
            raise IndexError(f"there is no error {excid}; this one holds {len(self.elist)}")
        return excid


class AlreadyDisplayedError(RemoteError):
    """Stands for an error that the user has seen, where it came live. Never sent.

    Parameters
    ----------
    original_error
        The error.
    """

    def __init__(self, original_error: RemoteError) -> None:
        error = original_error
        super().__init__(error.ename, error.evalue, error.traceback, error.engine_info)
        self.original_error = error
        self.args = (error,)

    def __str__(self) -> str:
        return f"{self._count()} shown above"

    def render_traceback(self, excid: int | None = None) -> list[str]:
        """Give one line: the tracebacks have been shown."""
        return [str(self)]

    def _count(self) -> str:
        errors = getattr(self.original_error, "elist", (None,))
        return "1 error" if len(errors) == 1 else f"{len(errors)} errors"


IPythonError = KernelError = CtrlHubError
"""The names of the base class in ipyparallel."""


def _error_tuple(error: BaseException) -> ErrorTuple:
    if isinstance(error, RemoteError):
        return error.ename, error.evalue, error.traceback, error.engine_info
    engine_id = error.engine_id if isinstance(error, CtrlHubError) else None
    info = {} if engine_id is None else {"engine_id": engine_id}
    return type(error).__name__, str(error), "", info


def _where(info: dict[str, Any]) -> str:
    if "engine_id" not in info:
        return ""
    method = info.get("method")
    return f"[{info['engine_id']}{f':{method}' if method else ''}]: "


def _notes(error: BaseException) -> str:
    """Return the short notes of an error, such as which item of a map it is about."""
    notes = [str(note) for note in getattr(error, "__notes__", ())]
    return "".join(f" ({note})" for note in notes if "\n" not in note and len(note) < 200)


def error_for(code: str) -> type[CtrlHubError]:
    """Give the class that a code stands for.

    A code this version does not know (a newer hub's) gives `CtrlHubError`. Every class but
    `RemoteError` and `CompositeError` can be made from a message alone.
    """
    return _CLASSES.get(code, CtrlHubError)
