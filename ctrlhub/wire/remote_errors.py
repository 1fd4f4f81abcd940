"""What user code raised on engines: one error, or those of several engines together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, NoReturn, TypeAlias

from ctrlhub.wire.error_base import CtrlHubError

ErrorTuple: TypeAlias = tuple[str, str, str, "dict[str, Any]"]
"""(ename, evalue, traceback, engine_info), as in ipyparallel."""


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


class RequestError(RemoteError):
    """What has become of a request for other reasons than its code: a `RemoteError` as in ipyparallel.

    Parameters
    ----------
    message
        What happened.
    engine_id
        The engine it happened to, where known.
    """

    evalue = traceback = ""  # of a subclass, too, that has an ``__init__`` of its own

    def __init__(self, message: str = "", engine_id: int | None = None) -> None:
        super().__init__(type(self).__name__, message)
        self.args = (message,)
        self.happened_on({} if engine_id is None else {"engine_id": engine_id})

    def happened_on(self, engine_info: dict[str, Any]) -> None:
        """Say where it happened."""
        self.engine_info = engine_info
        self.engine_id = engine_info.get("engine_id")

    def __str__(self) -> str:
        return Exception.__str__(self)


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
