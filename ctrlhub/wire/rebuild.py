"""Exceptions to failures, at an engine, and back, at a client. The hub never comes here: it unpickles.

What user code raised comes back as itself: ``except ValueError`` works, and the exception is also a
`RemoteError`, of a class made for the purpose (`_both`) that has the name of the original, its
arguments and its attributes. The remote traceback is its cause, so that Python prints it.

Those that pickle's own way does not bring back are taken apart and put together (`ctrlhub.wire.bare`).
Some cannot be had at all: those whose class is unknown here or cannot be inherited from, and those
that would act on the client when raised there. They arrive as a plain `RemoteError` with the
text. No error on the way may replace the one that is reported.
"""

from __future__ import annotations

import linecache
import re
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import zip_longest
from types import TracebackType, new_class
from typing import Any
from weakref import WeakValueDictionary

from ctrlhub.wire.bare import Bare, Parts
from ctrlhub.wire.errors import CompositeError, CtrlHubError, RemoteError, RequestError, error_for
from ctrlhub.wire.failure import MAX_EVALUE_BYTES, MAX_PICKLED_BYTES, REMOTE, Failure
from ctrlhub.wire.serialize import dumps_inline, loads

_ACTING = (StopIteration, StopAsyncIteration)
"""Raised at a client these would end its loop in silence. `SystemExit`, `KeyboardInterrupt`,
`GeneratorExit` and ``asyncio.CancelledError`` act too; not being an `Exception`, none is rebuilt."""

_PLACE = re.compile(r'(?P<indent> +)File "(?P<file>[^"]+)", line (?P<line>\d{1,9}), in ')

_NAME: Any = type.__dict__["__name__"]


class RemoteTraceback(Exception):
    """The traceback of an engine, as the cause of what is raised at the client."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


# ---------------------------------------------------------------- at the engine


def failure_from_exception(
    error: BaseException,
    engine_id: int | None = None,
    method: str | None = None,
    internal: Sequence[str] = ("ctrlhub",),
    engine_uuid: str | None = None,
) -> Failure:
    """Describe what user code raised.

    Parameters
    ----------
    error
        What was raised; it may misbehave in every way.
    engine_id, method
        Where, and doing what.
    internal
        Packages whose frames are left out of the traceback, above the first frame of any other.
    engine_uuid
        The engine's key.
    """
    return Failure(
        code=REMOTE,
        ename=_name(error),
        evalue=_text(error),
        traceback=_formatted(error, tuple(internal)),
        engine_id=engine_id,
        method=method,
        pickled=_pickled(error),
        engine_uuid=engine_uuid,
    )


# Nothing may leave these, not even SystemExit or KeyboardInterrupt: it would be user code's, since
# no interrupt is let through while a failure is described (`ctrlhub.engine.interrupts`).


def _name(error: BaseException) -> str:
    name: str = _NAME.__get__(type(error))  # past any metaclass
    return name


def _text(error: BaseException) -> str:
    try:
        return str.__str__(str(error))
    except BaseException as second:  # user code
        return f"<its __str__ raised {_name(second)}>"


def _formatted(error: BaseException, internal: tuple[str, ...]) -> str:
    try:
        summary = traceback.TracebackException(
            type(error), error, error.__traceback__, compact=True
        )
        _strip(summary, error, internal)
        return "".join(summary.format())
    except BaseException as second:  # user code: properties, source loaders
        return f"{_name(error)} (no traceback: formatting it raised {_text(second)})\n"


def _strip(
    summary: traceback.TracebackException, error: BaseException, internal: tuple[str, ...]
) -> None:
    """Take the engine's own frames off the top of an error and of those behind it."""
    count = 0
    frames: TracebackType | None = error.__traceback__
    while frames is not None and _is_internal(frames, internal):
        count += 1
        frames = frames.tb_next
    del summary.stack[:count]
    behind = [(summary.__cause__, error.__cause__), (summary.__context__, error.__context__)]
    if summary.exceptions and isinstance(error, BaseExceptionGroup):
        behind += zip(summary.exceptions, error.exceptions, strict=False)
    for inner_summary, inner_error in behind:
        if inner_summary is not None and inner_error is not None:
            _strip(inner_summary, inner_error, internal)


def _is_internal(frames: TracebackType, internal: tuple[str, ...]) -> bool:
    module = frames.tb_frame.f_globals.get("__name__")
    return isinstance(module, str) and module.partition(".")[0] in internal


def _pickled(error: BaseException) -> bytes | None:
    """Pickle an exception; None unless it is known to be rebuilt as what it is."""
    if not _may_be_rebuilt(error):
        return None
    text = _text(error)
    own = _trial(error, lambda: error)
    if own is not None and own[1] == text:
        return own[0]
    bare = _trial(error, lambda: Bare(type(error), Parts.of(error).sendable(_can_be_sent)))
    if bare is not None and bare[1] == text:
        return bare[0]
    return own[0] if own is not None else None


def _trial(error: BaseException, form: Callable[[], object]) -> tuple[bytes, str] | None:
    """Pickle a form of an exception, and the text that it arrives with; None if it does not."""
    try:
        data = dumps_inline(form())
        if len(data) > MAX_PICKLED_BYTES:
            data = dumps_inline(_shortened(error))
        if len(data) > MAX_PICKLED_BYTES:
            return None
        arrived = loads(data)
        getattr(arrived, "__notes__", None)  # a __getattr__ that needs what is not there raises
    except BaseException:  # user code: then the text must do
        return None
    return (data, _text(arrived)) if type(arrived) is type(error) else None


def _can_be_sent(value: object) -> bool:
    try:
        loads(dumps_inline(value))
    except Exception:  # the question is only whether
        return False
    return True


def _shortened(error: BaseException) -> BaseException:
    """Return an exception of the same type whose arguments, if they are long texts, are cut."""
    short = type(error).__new__(type(error))
    short.args = tuple(
        f"{argument[:MAX_EVALUE_BYTES // 4]}[…]"
        if isinstance(argument, str) and len(argument) > MAX_EVALUE_BYTES // 4
        else argument
        for argument in error.args
    )
    return short


def _may_be_rebuilt(error: object) -> bool:
    # Of the type, since the error itself may have a __class__ that raises.
    return issubclass(type(error), Exception) and not issubclass(type(error), _ACTING)


# ---------------------------------------------------------------- at the client


def exception_from(failure: Failure) -> CtrlHubError:
    """Make the exception that a failure stands for, ready to be raised."""
    if failure.code != REMOTE:
        return _of_our_own(failure)
    failure = replace(failure, traceback=with_sources(failure.traceback))
    error = _original(failure) or RemoteError(
        failure.ename, failure.evalue, failure.traceback, _engine_info(failure)
    )
    if failure.traceback:
        # Past any __setattr__ of the class, as a frozen dataclass has one.
        place = "" if failure.engine_id is None else f"[{failure.engine_id}:{failure.method}]\n"
        object.__setattr__(error, "__cause__", RemoteTraceback(place + failure.traceback))
    return error


def with_sources(text: str) -> str:
    """Add the source lines that are known here alone: of a notebook's cells, or a prompt's.

    Parameters
    ----------
    text
        A traceback from an engine, which has no file of that name to look into.
    """
    lines = text.splitlines(keepends=True)
    found = []
    for line, following in zip_longest(lines, lines[1:], fillvalue=""):
        found.append(line)
        place = _PLACE.match(line)
        if place is not None and not following.startswith(f"{place['indent']}  "):
            source = _line_of(place["file"], int(place["line"]))
            if source:
                found.append(f"{place['indent']}  {source}\n")
    return "".join(found)


def _line_of(file: str, number: int) -> str:
    """Return a line of a file that is none: cells have their source in this cache only."""
    entry = linecache.cache.get(file, ())
    if len(entry) != 4 or entry[1] is not None or not 0 < number <= len(entry[2]):
        return ""
    return entry[2][number - 1].strip()


def _of_our_own(failure: Failure) -> CtrlHubError:
    cls = error_for(failure.code)
    known = cls not in (CtrlHubError, RemoteError, CompositeError)
    error = cls(failure.evalue) if known else CtrlHubError(f"{failure.ename}: {failure.evalue}")
    error.engine_id = failure.engine_id
    if isinstance(error, RequestError):
        error.happened_on(_engine_info(failure))
    if failure.traceback:
        error.add_note(failure.traceback)
    return error


def _engine_info(failure: Failure) -> dict[str, Any]:
    info = {
        "engine_id": failure.engine_id,
        "engine_uuid": failure.engine_uuid,
        "method": failure.method,
    }
    return {name: value for name, value in info.items() if value is not None}


def _original(failure: Failure) -> RemoteError | None:
    """Rebuild the original as a `RemoteError` too; None if that cannot be."""
    if failure.pickled is None:
        return None
    try:
        original = loads(failure.pickled)
        if not _may_be_rebuilt(original):
            return None
        if isinstance(original, RemoteError) and not isinstance(original, RequestError):
            # From a cluster used by the engine.
            error = original
        else:
            # Not by __init__: it would call RemoteError's in turn, with arguments meant for another.
            error = Parts.of(original).as_a(_both(type(original)))
        vars(error).update(_remote(failure), _failure=failure)
        if not issubclass(type(error), type(error)):  # Python asks the metaclass too, to raise it
            return None
    except KeyboardInterrupt:  # the user's, for all we know
        raise
    except BaseException:  # user code, or a class that is unknown here: the text does
        return None
    return error


def _remote(failure: Failure) -> dict[str, Any]:
    return {
        "ename": failure.ename,
        "evalue": failure.evalue,
        "traceback": failure.traceback,
        "engine_info": _engine_info(failure),
        "engine_id": failure.engine_id,
    }


_made: WeakValueDictionary[type, type[RemoteError]] = WeakValueDictionary()


def _both(cls: type[Exception]) -> type[RemoteError]:
    """Give the class that is both ``cls`` and `RemoteError`."""
    both = _made.get(cls)
    if both is None:
        both = _made[cls] = new_class(
            cls.__name__, (cls, RemoteError), exec_body=lambda body: body.update(_body(cls))
        )
    return both


def _body(cls: type[Exception]) -> dict[str, Any]:
    # RemoteError stands before Exception in the order of resolution, and so would win over what
    # the original inherits from there; hence its text is named here.
    def __new__(_: type, *args: Any, **kwargs: Any) -> Exception:
        """Make an original: ``raise type(e)(…)`` must not claim to be remote."""
        return cls(*args, **kwargs)

    return {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "__new__": __new__,
        "__str__": cls.__str__,
        "__reduce_ex__": _reduce,
    }


def _reduce(self: RemoteError, _: int) -> tuple[Any, ...]:
    """Pickle and copy by way of the failure: the class itself has no name to be found by."""
    attributes = {name: value for name, value in vars(self).items() if name != "_failure"}
    return _restored, (vars(self)["_failure"], attributes)


def _restored(failure: Failure, attributes: dict[str, Any]) -> CtrlHubError:
    error = exception_from(failure)
    vars(error).update(attributes)
    return error
