"""Acknowledgements on their way: the one thing that the hub lets wait for company.

Nobody waits for an acknowledgement: its receiver merely forgets something that it keeps. Sent at
once, it would double the messages, and the wake-ups, of every small call. So acknowledgements gather
for `PATIENCE`, or until they are about `ENOUGH` requests, and then leave as a few ranges.
"""

from __future__ import annotations

from ctrlhub.controller.core.effects import Connection, Send
from ctrlhub.wire.ids import Ranges
from ctrlhub.wire.messages import Accepted, Stored

PATIENCE = 0.05
"""The longest that an acknowledgement waits, in seconds."""

ENOUGH = 4096
"""So many requests are acknowledged at once."""

Acknowledgement = Accepted | Stored


class _Pending:
    __slots__ = ("count", "ranges")

    def __init__(self) -> None:
        self.ranges: list[tuple[int, int]] = []
        self.count = 0


class Acknowledgements:
    """What is stored, and not acknowledged yet, by connection."""

    def __init__(self) -> None:
        self._pending: dict[tuple[Connection, type[Acknowledgement]], _Pending] = {}
        self._due: float | None = None

    def add(self, send: Send, now: float) -> Send | None:
        """Take an acknowledgement; return one that should leave at once, if there is enough."""
        message = send.message
        assert isinstance(message, Accepted | Stored)
        key = send.connection, type(message)
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = _Pending()
        _extend(pending.ranges, message.requests)
        pending.count += sum(last - first + 1 for first, last in message.requests)
        if pending.count >= ENOUGH:
            del self._pending[key]
            return Send(send.connection, type(message)(tuple(pending.ranges)))
        if self._due is None:
            self._due = now + PATIENCE
        return None

    def of(self, connection: Connection) -> list[Send]:
        """Return what waits for a connection: it must not be overtaken by a refusal."""
        found = []
        for kind in (Accepted, Stored):
            pending = self._pending.pop((connection, kind), None)
            if pending is not None:
                found.append(Send(connection, kind(tuple(pending.ranges))))
        return found

    def next_deadline(self) -> float | None:
        """Return when `tick` is due."""
        return self._due

    def tick(self, now: float) -> list[Send]:
        """Return all acknowledgements, if it is time."""
        if self._due is None or now < self._due:
            return []
        self._due = None
        pending, self._pending = self._pending, {}
        return [
            Send(connection, kind(tuple(waiting.ranges)))
            for (connection, kind), waiting in pending.items()
        ]


def _extend(ranges: list[tuple[int, int]], more: Ranges) -> None:
    """Add ranges, joining neighbours."""
    for first, last in more:
        if ranges and ranges[-1][1] + 1 == first:
            ranges[-1] = ranges[-1][0], last
        else:
            ranges.append((first, last))
