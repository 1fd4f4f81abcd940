"""Messages over WebSocket as JSON, for who has no msgpack: a browser, or a few lines of JavaScript.

JSON has neither bytes nor all of our numbers. What it lacks is written as a map with one key that
begins with a dollar sign; a key of ours that begins with one gets another in front:

==============================  ==========================================================
``{"$bytes": "aGk="}``          bytes, in Base64
``{"$int": "9007199254740993"}``  an integer beyond ±(2⁵³-1), which JavaScript could not hold
``{"$float": "nan"}``           ``nan``, ``inf`` or ``-inf``
``{"$$bytes": 1}``              the map ``{"$bytes": 1}``
==============================  ==========================================================
"""

from __future__ import annotations

import json
import math
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgpack

from ctrlhub.wire.errors import InvalidRequest
from ctrlhub.wire.json_shape import check_shape, most_parts
from ctrlhub.wire.limits import MAX_DEPTH, MAX_FRAMES, PROTOCOL_MAJOR
from ctrlhub.wire.messages import Buffer, Stream

MOST_EXACT = 2**53 - 1
"""The largest integer that JavaScript's numbers hold exactly."""

MOST_PARTS = 20_000
"""So many values and keys a message may have: a batch of tasks has some thousand."""

DEEPEST = MAX_DEPTH + 8
"""The deepest nesting that is read: that of a value, and what stands around it."""

_pack = msgpack.Packer(use_bin_type=True, unicode_errors="backslashreplace").pack
_STREAMS = {stream.value: stream for stream in Stream}


# ---------------------------------------------------------------- to the peer


def to_json(stream: Stream, frames: Sequence[Buffer]) -> str:
    """Return a message as it is said to a peer that speaks JSON.

    Parameters
    ----------
    stream
        Its stream.
    frames
        The header, which is a message of the hub, and the frames behind it.
    """
    _, kind, body, *_ = msgpack.unpackb(frames[0])
    said: dict[str, Any] = {"stream": stream.value, "message": {"kind": kind, **_plain(body)}}
    if len(frames) > 1:
        said["frames"] = [b64encode(frame).decode("ascii") for frame in frames[1:]]
    return json.dumps(said, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        return value if -MOST_EXACT <= value <= MOST_EXACT else {"$int": str(value)}
    if kind is float:
        return value if math.isfinite(value) else {"$float": str(value)}
    if kind is bytes:
        return {"$bytes": b64encode(value).decode("ascii")}
    if kind is dict:
        return {_key(key): _plain(each) for key, each in value.items()}
    if kind is list:
        return [_plain(each) for each in value]
    raise InvalidRequest(f"{kind.__name__} cannot be said in JSON")


def _key(key: Any) -> str:
    text = key if type(key) is str else key.decode("utf-8", "backslashreplace")
    return f"${text}" if text.startswith("$") else text


# ---------------------------------------------------------------- from the peer


def from_json(text: str | bytes) -> tuple[Stream, bytes, list[Buffer]]:
    """Return the stream of a message, its header, and the frames behind that.

    Raises
    ------
    InvalidRequest
        It is none.
    """
    try:
        if most_parts(text) > MOST_PARTS:
            check_shape(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"), MOST_PARTS, DEEPEST)
        said = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:  # ValueError: also what is no UTF-8
        raise InvalidRequest(f"not JSON: {type(error).__name__}: {str(error)[:200]}") from None
    if type(said) is not dict or not said.keys() <= {"stream", "message", "frames"}:
        raise InvalidRequest('a message is {"stream": ..., "message": {...}, "frames": [...]}')
    stream = said.get("stream")
    message = said.get("message")
    if type(stream) is not str or stream not in _STREAMS:
        raise InvalidRequest("stream is none of hub, multiengine, task, iopub")
    if type(message) is not dict or type(message.get("kind")) is not str:
        raise InvalidRequest("message is not a map with a kind")
    kind = message.pop("kind")
    try:
        header = _pack((PROTOCOL_MAJOR, kind, _rich(message, DEEPEST)))
    except (OverflowError, ValueError, TypeError) as error:
        raise InvalidRequest(f"{kind[:80]}: {type(error).__name__}: {str(error)[:200]}") from None
    return _STREAMS[stream], header, _frames(said.get("frames", []))


def _frames(said: Any) -> list[Buffer]:
    if type(said) is not list or len(said) > MAX_FRAMES:
        raise InvalidRequest("frames is not a list of Base64")
    return [_bytes(each) for each in said]


def _rich(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind is not dict and kind is not list:
        return value
    if depth == 0:
        raise InvalidRequest(f"maps and lists are nested deeper than {MAX_DEPTH}")
    if kind is list:
        return [_rich(each, depth - 1) for each in value]
    if len(value) == 1:
        ((key, inner),) = value.items()
        make = _SPECIAL.get(key)
        if make is not None:
            return make(inner)
    return {_own_key(key): _rich(each, depth - 1) for key, each in value.items()}


def _own_key(key: str) -> str:
    if not key.startswith("$"):
        return key
    if not key.startswith("$$"):
        raise InvalidRequest(f"{key[:80]!r} has no meaning: a key that begins with $ has another in front")
    return key[1:]


def _bytes(text: Any) -> bytes:
    if type(text) is not str:
        raise InvalidRequest("bytes are a text in Base64")
    try:
        return b64decode(text, validate=True)
    except ValueError as error:
        raise InvalidRequest(f"not Base64: {error}") from None


def _int(text: Any) -> int:
    if type(text) is not str or not 0 < len(text) <= 20:
        raise InvalidRequest("$int is a text of decimal digits")
    try:
        return int(text)
    except ValueError:
        raise InvalidRequest("$int is a text of decimal digits") from None


def _float(text: Any) -> float:
    if text not in ("nan", "inf", "-inf"):
        raise InvalidRequest("$float is nan, inf or -inf")
    return float(text)


_SPECIAL: Mapping[str, Callable[[Any], Any]] = {"$bytes": _bytes, "$int": _int, "$float": _float}


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")
