"""What a nanny and its warm process say to each other: lines of JSON on a pair of sockets."""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, TypeAlias

READ_BYTES = 64 * 1024

_AT_ONCE: int = getattr(socket, "MSG_DONTWAIT", 0)
"""Where it is 0 nothing is forked, and nobody posts."""


class Target(StrEnum):
    """Who gets a signal."""

    PROCESS = "process"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class StartEngine:
    """Nanny to warm process: fork an engine; `config` is an `EngineConfig` as JSON."""

    slot: int
    config: str


@dataclass(frozen=True, slots=True)
class SignalEngine:
    """Nanny to warm process: send a signal, by number, to the engine of a slot, if there is one."""

    slot: int
    number: int
    target: str


@dataclass(frozen=True, slots=True)
class EngineStarted:
    """Warm process to nanny: an engine was forked."""

    slot: int
    pid: int


@dataclass(frozen=True, slots=True)
class EngineEnded:
    """Warm process to nanny: an engine's process ended, with this wait status."""

    slot: int
    pid: int
    status: int


Note: TypeAlias = StartEngine | SignalEngine | EngineStarted | EngineEnded

_KINDS: dict[str, type[Any]] = {
    cls.__name__: cls for cls in (StartEngine, SignalEngine, EngineStarted, EngineEnded)
}


def _line(note: Note) -> bytes:
    return json.dumps([type(note).__name__, asdict(note)]).encode() + b"\n"


class Channel:
    """One end of the pair.

    Of two ends that wait for each other to read, neither reads: so one of them only ever uses `post`.

    Attributes
    ----------
    unsent : bytes
        What was posted and found no room.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._rest = b""
        self.unsent = b""

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Make both ends."""
        one, other = socket.socketpair()
        return cls(one), cls(other)

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._socket.fileno()

    def send(self, note: Note) -> None:
        """Send a note; to an end that is closed it goes nowhere, as `receive` will tell."""
        try:
            self._socket.sendall(_line(note))
        except (BrokenPipeError, ConnectionResetError):
            return

    def post(self, note: Note) -> None:
        """Send a note without waiting; what finds no room leaves with `flush`."""
        self.unsent += _line(note)
        self.flush()

    def flush(self) -> None:
        """Send what was posted, as far as there is room."""
        try:
            while self.unsent:
                sent = self._socket.send(self.unsent, _AT_ONCE)
                self.unsent = self.unsent[sent:]
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            self.unsent = b""

    def receive(self) -> list[Note] | None:
        """Wait for notes and return them; None once the other end is closed."""
        try:
            data = self._socket.recv(READ_BYTES)
        except ConnectionResetError:
            return None
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        notes = []
        for line in lines:
            kind, fields = json.loads(line)
            notes.append(_KINDS[kind](**fields))
        return notes

    def close(self) -> None:
        """Close this end."""
        self._socket.close()
