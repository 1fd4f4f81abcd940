"""Objects to payloads and back, for clients and engines only: the hub never unpickles.

Two ways to pickle, the quick one first:

1. ``pickle`` in C. It writes a class or function as the name of its module and its own, which is
   right for everything the other side can import.
2. ``cloudpickle`` (or another: `ctrlhub.wire.by_value`), which writes them by value. It is taken where the first way fails (a lambda, a
   module) and where it succeeds wrongly: what is defined in ``__main__``, or in a module registered
   with `cloudpickle.register_pickle_by_value`, has a name the other side cannot follow. Such a name
   stands in the pickle as text, so a search for it finds out; text that merely looks so costs time
   and nothing else.

Buffers of at least `limits.INLINE_BYTES` (of arrays and whatever else offers them to pickle 5)
leave the pickle and travel as frames of their own, uncopied. Smaller ones are cheaper copied.

Arrays arrive writable if they were writable where they came from. A buffer that arrives read-only
is copied once; one that arrives writable (a received frame) becomes the array's memory as it is.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from ctrlhub.wire.blame import culprit
from ctrlhub.wire.by_value import dump_by_value
from ctrlhub.wire.errors import SerializationError
from ctrlhub.wire.limits import INLINE_BYTES, SEGMENT_BYTES
from ctrlhub.wire.messages import Buffer, Payload
from ctrlhub.wire.naming import MAIN, registered_by_value
from ctrlhub.wire.references import Unresolved
from ctrlhub.wire.segments import Segment
from ctrlhub.wire.untouched import origin_of
from ctrlhub.wire.warm import share_warm

PROTOCOL = 5
"""The pickle protocol, whatever Python's highest is: both sides must know it."""

_MAIN = MAIN.encode()
_ATOMS = frozenset((int, float, str, bytes, bool, type(None)))
"""Exact types whose pickles hold neither names nor buffers."""

NOTHING_SENT = (
    "Nothing was sent. Send plain data, and make locks, files, connections, generators and the "
    "like on the engine, inside the function that uses them"
)
"""What to do about arguments and functions that cannot be pickled."""

STAYED_THERE = (
    "It was made, and stayed on the engine: return plain data, or put it into the engine's "
    "namespace and ask for what is needed of it"
)
"""What to do about results that cannot be pickled."""

_pickled: Callable[..., bytes] = pickle.dumps


def dumps(obj: object, what: str = "the object", advice: str = NOTHING_SENT) -> Payload:
    """Serialize an object.

    Parameters
    ----------
    obj
        Anything that can be pickled, by reference or by value.
    what
        What to call it, should it fail.
    advice
        What to do then.

    Returns
    -------
    bytes or tuple of buffers
        A tuple when large buffers were left out of the pickle, which is its first item, or when
        that itself is large. Buffers are read-only views of the object's own memory: see `detached`.

    Raises
    ------
    SerializationError
        It cannot be pickled; the message names the part that cannot, and says what to do.
    """
    if type(obj) in _ATOMS:
        data = _pickled(obj, PROTOCOL)
        return data if len(data) < SEGMENT_BYTES else (data,)
    try:
        return _dump(obj)
    except MemoryError:
        raise
    except Exception as error:  # whatever a __reduce__ raises
        raise _refusal(obj, what, error, advice) from error


def dumps_call(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Payload:
    """Serialize the arguments of one call; `loads` gives the pair ``(args, kwargs)`` back.

    Raises
    ------
    SerializationError
        The message names the argument.
    """
    call = (args, dict(kwargs))
    for value in (*args, *kwargs.values()) if kwargs else args:
        if type(value) not in _ATOMS:
            break
    else:
        data = _pickled(call, PROTOCOL)
        return data if len(data) < SEGMENT_BYTES else (data,)
    try:
        return _dump(call)
    except MemoryError:
        raise
    except Exception as error:  # whatever a __reduce__ raises
        _refuse_argument(call, error)


def dumps_inline(obj: object, what: str = "the object") -> bytes:
    """Serialize an object into one piece, its buffers included."""
    try:
        return _dump_inline(obj)
    except MemoryError:
        raise
    except Exception as error:  # whatever a __reduce__ raises
        raise _refusal(obj, what, error) from error


def detached(payload: Payload) -> Payload:
    """Copy the buffers of a payload, the large ones into shared memory.

    What `dumps` leaves out of the pickle is the memory of the arrays themselves. A caller that
    keeps the payload for later, or for sending it again, must detach it, or else a change made
    to an array in the meantime is sent too.
    """
    if type(payload) is bytes:
        return payload
    return tuple(part if type(part) is Segment else _copied(part) for part in payload)


def _copied(part: Buffer) -> Buffer:
    view = memoryview(part)
    if view.nbytes >= SEGMENT_BYTES:
        view = view.cast("B")
        segment = origin_of(view) or share_warm(view)
        if segment is not None:
            return segment
    return part if type(part) is bytes else bytes(view)


def loads(payload: Buffer, place: str = "here") -> Any:
    """Rebuild an object.

    Parameters
    ----------
    payload
        What `dumps` gave: one buffer, or a tuple or list of a pickle and its buffers.
    place
        Where this happens, for messages ("on the engine").

    Raises
    ------
    ImportError
        A module that the object needs is missing here, or too different. The class is the
        original's (``ModuleNotFoundError``), the message says what to do.
    SerializationError
        It cannot be rebuilt for any other reason.
    BaseException
        Whatever the evaluation of a `Reference` raised.
    """
    try:
        if isinstance(payload, (tuple, list)):
            first = payload[0]
            data = first.view() if type(first) is Segment else first
            return pickle.loads(data, buffers=map(_writable, payload[1:]))
        return pickle.loads(payload)
    except MemoryError:
        raise
    except ImportError as error:
        raise _with_hint(error, place) from error
    except Unresolved as failure:  # what a `Reference` stands for raised
        raise failure.error from None
    except KeyboardInterrupt:  # the user's, for all we know
        raise
    except BaseException as error:  # whatever a __setstate__ raises, sys.exit() included
        raise SerializationError(
            f"what was sent cannot be rebuilt {place}: {_text(error)}{_advice(error)}"
        ) from error


# ---------------------------------------------------------------- dumping


def _dump(obj: object) -> Payload:
    buffers: list[memoryview] = []

    def stays_inside(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < INLINE_BYTES:
            return True
        buffers.append(raw.toreadonly())
        return False

    data = _by_name(obj, stays_inside)
    if data is None:
        buffers.clear()
        data = dump_by_value(obj, stays_inside)
    return (data, *buffers) if buffers or len(data) >= SEGMENT_BYTES else data


def _dump_inline(obj: object) -> bytes:
    data = _by_name(obj, None)
    return dump_by_value(obj, None) if data is None else data


def _by_name(
    obj: object, stays_inside: Callable[[pickle.PickleBuffer], bool] | None
) -> bytes | None:
    """Pickle plainly; None if that fails, or names something that cannot be imported."""
    try:
        data = _pickled(obj, PROTOCOL, buffer_callback=stays_inside)
    except (RecursionError, MemoryError):  # the other way needs more of both
        raise
    except Exception:  # whatever was wrong, if cloudpickle fails too, it will say so
        return None
    by_value = registered_by_value()
    if _MAIN in data or (by_value and any(name.encode() in data for name in by_value)):
        return None
    return data


# ---------------------------------------------------------------- refusing


def _refuse_argument(call: tuple[tuple[Any, ...], dict[str, Any]], error: Exception) -> NoReturn:
    args, kwargs = call
    named = [(f"argument {position}", value) for position, value in enumerate(args)]
    named += [(f"keyword argument {name!r}", value) for name, value in kwargs.items()]
    for what, value in named:
        dumps(value, what)
    raise _refusal(call, "the arguments together", error) from error


def _refusal(
    obj: object, what: str, error: Exception, advice: str = NOTHING_SENT
) -> SerializationError:
    kind = type(obj).__qualname__
    if _is_recursion(error):
        return SerializationError(
            f"{what} (of type {kind}) is nested too deeply to be pickled: "
            "flatten it, or raise sys.setrecursionlimit() on both sides"
        )
    path = culprit(obj, _can_dump)
    part = f", because of its {path}" if path else ""
    return SerializationError(
        f"{what} (of type {kind}) cannot be pickled{part}: {_text(error)}. {advice}"
    )


def _can_dump(obj: object) -> bool:
    try:
        _dump_inline(obj)
    except Exception:  # the question is only whether
        return False
    return True


def _is_recursion(error: BaseException) -> bool:
    return isinstance(error, RecursionError) or isinstance(error.__cause__, RecursionError)


# ---------------------------------------------------------------- loading


def _writable(buffer: Buffer) -> Buffer:
    if type(buffer) is Segment:
        return buffer.private()
    view = memoryview(buffer)
    return bytearray(view) if view.readonly else buffer


def _with_hint(error: ImportError, place: str) -> ImportError:
    module = error.name or "a module"
    hint = (
        f"what was sent needs {module}, which cannot be imported {place} ({sys.executable}): "
        "install it there; or, if it is your own, send it there with client.upload(), or along with "
        f"what needs it: cloudpickle.register_pickle_by_value({(error.name or 'module').partition('.')[0]})"
    )
    kind = ModuleNotFoundError if isinstance(error, ModuleNotFoundError) else ImportError
    return kind(f"{error}; {hint}", name=error.name, path=error.path)


def _advice(error: BaseException) -> str:
    if not issubclass(type(error), AttributeError):
        return ""
    return (
        "; a module there is probably another version of the one here: install the same one, and "
        "restart the engines after editing it"
    )


def _text(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except (Exception, SystemExit) as second:  # user code: a __str__
        return f"an error whose text raises {type(second).__name__}"
