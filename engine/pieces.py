"""Values that come and go in pieces, so that whoever passes them on need not hold them whole.

The gateway calls these by commands, one after the other. What is under way is kept here, between its
commands; of what was given up the oldest goes when more come.
"""

from __future__ import annotations

import json
from typing import Any

from ctrlhub.engine.by_name import assign, value_of
from ctrlhub.wire.encoded import JSON, OCTETS, Encoded

AT_ONCE = 16
"""So many values may be under way, in either direction."""

PIECES = "application/vnd.ctrlhub.pieces+json"
"""What `begin_reading` says of a value that is to be fetched in pieces."""

_leaving: dict[str, Encoded] = {}
_coming: dict[str, bytearray] = {}


def begin_reading(token: str, name: str, most: int) -> Encoded:
    """Return a value of the namespace, or if it takes more than `most` bytes how large it is.

    Parameters
    ----------
    token
        What its pieces are to be asked for by.
    name
        The value's name.
    most
        How many bytes may come at once.
    """
    value = value_of(name)
    size = memoryview(value.data).nbytes
    if size <= most:
        return value
    _make_room(_leaving)
    _leaving[token] = value
    about = {"media_type": value.media_type, "bytes": size}
    return Encoded(PIECES, json.dumps(about).encode())


def piece_of(token: str, start: int, size: int) -> Encoded:
    """Return a piece of a value."""
    data = memoryview(_leaving[token].data).cast("B")
    return Encoded(OCTETS, bytes(data[start : start + size]))


def end_reading(token: str) -> None:
    """Keep a value no longer."""
    _leaving.pop(token, None)


def take_piece(token: str, start: int, data: bytes) -> None:
    """Take a piece of a value that comes; one that was taken before does no harm.

    Raises
    ------
    LookupError
        The pieces before are not here: they were given up, or this is another process.
    """
    if start == 0 and token not in _coming:
        _make_room(_coming)
        _coming[token] = bytearray()
    there = _coming.get(token)
    if there is None or len(there) < start:
        raise LookupError("the pieces before this one are not here: send all of it again")
    there[start : start + len(data)] = data


def end_writing(token: str, name: str, media_type: str, size: int) -> None:
    """Set a name to what has come.

    Raises
    ------
    LookupError
        Some of it is missing.
    """
    data = _coming.pop(token, bytearray() if size == 0 else None)
    if data is None or len(data) != size:
        raise LookupError("some of its pieces are not here: send all of it again")
    assign(name, json.loads(data) if media_type == JSON else bytes(data))


def give_up_writing(token: str) -> None:
    """Forget what has come."""
    _coming.pop(token, None)


def _make_room(under_way: dict[str, Any]) -> None:
    while len(under_way) >= AT_ONCE:
        del under_way[next(iter(under_way))]

