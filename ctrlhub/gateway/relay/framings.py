"""How messages stand in a WebSocket: one way for each subprotocol. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ctrlhub.wire.errors import InvalidRequest
from ctrlhub.wire.json_shape import most_parts
from ctrlhub.wire.messages import Buffer, Stream
from ctrlhub.wire.web import JSON, MSGPACK, pack_message, unpack_message
from ctrlhub.wire.web_json import from_json, to_json

PART_COST = 100
"""What reading a value or key of JSON costs, in bytes."""


class Framing(Protocol):
    """A subprotocol."""

    def read(self, said: str | bytes) -> tuple[Stream, bytes, list[Buffer]]:
        """Return the stream of what a peer has said, the header, and the frames behind it.

        Raises
        ------
        InvalidRequest
            It is no message.
        """

    def cost(self, said: str | bytes) -> int:
        """Return what it costs to read that, in bytes that are read as they come."""

    def write(self, stream: Stream, frames: Sequence[Buffer]) -> str | bytes:
        """Return what to say to a peer."""


class Binary:
    """`ctrlhub.wire.web`: frames as they are."""

    def read(self, said: str | bytes) -> tuple[Stream, bytes, list[Buffer]]:
        """Read a binary message; see `Framing.read`."""
        if type(said) is not bytes:
            raise InvalidRequest(f"{MSGPACK} is spoken in binary messages")
        return unpack_message(said)

    def cost(self, said: str | bytes) -> int:
        """Return nothing: frames are handed on as they are."""
        return 0

    def write(self, stream: Stream, frames: Sequence[Buffer]) -> bytes:
        """Write a binary message."""
        return pack_message(stream, frames)


class Json:
    """`ctrlhub.wire.web_json`: text."""

    def read(self, said: str | bytes) -> tuple[Stream, bytes, list[Buffer]]:
        """Read a text message; see `Framing.read`."""
        if type(said) is not str:
            raise InvalidRequest(f"{JSON} is spoken in text messages")
        return from_json(said)

    def cost(self, said: str | bytes) -> int:
        """Return its length, and for each of its parts what that takes beside."""
        return len(said) + PART_COST * most_parts(said)

    def write(self, stream: Stream, frames: Sequence[Buffer]) -> str:
        """Write a text message."""
        return to_json(stream, frames)


FRAMINGS: Mapping[str, Framing] = {MSGPACK: Binary(), JSON: Json()}
"""By the names of the subprotocols, the first being the better one."""


def chosen(offered: Sequence[str]) -> str | None:
    """Return the subprotocol to speak, of those that a peer offers; None for none."""
    return next((name for name in FRAMINGS if name in offered), None)
