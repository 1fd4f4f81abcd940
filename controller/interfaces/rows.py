"""A record of one request, as clients see it: what nobody asks for is not worked out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from ctrlhub.controller.core.deliveries import Outcome
from ctrlhub.controller.core.history import GONE, how_ended
from ctrlhub.controller.interfaces.recorded import Recorded
from ctrlhub.wire.codec import size_of
from ctrlhub.wire.failure import summary_of
from ctrlhub.wire.ids import text_of

LONGEST_TEXT = 16 * 1024
"""Output is cut to so many characters in a record; it comes in full with the result."""


class Row:
    """The record.

    Parameters
    ----------
    interface
        Where the request is on record.
    request
        The request.
    outcome
        How it has ended; None if it has not.
    key_of
        Gives the key of an engine that is there, by its id.
    unix_offset
        What the hub's clock lacks to Unix time (seconds).
    """

    __slots__ = ("about", "interface", "key_of", "outcome", "request", "unix_offset")

    def __init__(
        self,
        interface: Recorded[Any],
        request: Any,
        outcome: Outcome | None,
        key_of: Callable[[int | None], str | None],
        unix_offset: float,
    ) -> None:
        self.interface = interface
        self.request = request
        self.outcome = outcome
        self.key_of = key_of
        self.unix_offset = unix_offset
        self.about = interface.particulars(request)

    def __getitem__(self, key: str) -> Any:
        return _READ[key](self)

    def shown(self, keys: Collection[str]) -> dict[str, Any]:
        """Return what these keys say."""
        return {key: _READ[key](self) for key in keys}

    def status(self) -> str:
        """Return whether it waits or runs, or how it has ended."""
        if self.outcome is not None:
            return how_ended(self.outcome[1])
        return "running" if self.about.running else "queued"

    def engine(self) -> int | None:
        """Return the engine that has it, or had it; None for none."""
        number = self.about.engine
        if self.outcome is not None and self.outcome[3] >= 0:
            number = self.outcome[3]
        return number if number >= 0 else None

    def submitted(self) -> float:
        """Return when it came (Unix time)."""
        return _to_the_microsecond(self.about.submitted + self.unix_offset)

    def started(self) -> float | None:
        """Return when what has ended had begun (Unix time)."""
        return _to_the_microsecond(self.outcome[4]) if self.outcome is not None and self.outcome[4] else None

    def completed(self) -> float | None:
        """Return when it has ended (Unix time)."""
        if self.outcome is None or not self.outcome[4]:
            return None
        return _to_the_microsecond(self.outcome[4] + self.outcome[5])

    def error(self) -> str | None:
        """Return what was raised, in a line."""
        return None if self.outcome is None else summary_of(self.outcome[1], self.outcome[2]) or None

    def extra(self, name: str) -> Any:
        """Return what came with the result by a name; None for nothing."""
        extras = None if self.outcome is None else self.outcome[6]
        return extras.get(name) if isinstance(extras, Mapping) else None

    def result_bytes(self) -> int | None:
        """Return how large the result is, if it is kept."""
        return None if self.outcome is None or self.outcome[2] == GONE else size_of(self.outcome[2])

    def request_bytes(self) -> int | None:
        """Return how large the arguments are, if they are kept."""
        return None if self.request.payload == GONE else size_of(self.request.payload)


_READ: Mapping[str, Callable[[Row], Any]] = {
    "msg_id": lambda row: text_of(row.request.id),
    "client": lambda row: row.request.session.number,
    "stream": lambda row: row.interface.stream.value,
    "action": lambda row: row.about.action,
    "label": lambda row: row.about.label or None,
    "status": Row.status,
    "engine_id": Row.engine,
    "engine_uuid": lambda row: row.key_of(row.engine()),
    "submitted": Row.submitted,
    "started": Row.started,
    "completed": Row.completed,
    "error": Row.error,
    "stdout": lambda row: _cut(row.extra("stdout")),
    "stderr": lambda row: _cut(row.extra("stderr")),
    "execute_result": lambda row: _cut(_text_of_value(row.extra("execute_result"))),
    "request_bytes": Row.request_bytes,
    "result_bytes": Row.result_bytes,
}

KEYS = tuple(_READ)
"""The keys of a record."""

TEXTS = frozenset({"label", "stdout", "stderr", "execute_result"})
"""Those that may be long."""


def _to_the_microsecond(seconds: float) -> float:
    """Return a time as clients can say it: what is asked for by a record's own time is found."""
    return round(seconds, 6)


def _text_of_value(result: Any) -> Any:
    """Return the text of the value that a cell ends with."""
    data = result.get("data") if isinstance(result, Mapping) else None
    return data.get("text/plain") if isinstance(data, Mapping) else None


def _cut(text: Any) -> str | None:
    return text[:LONGEST_TEXT] if isinstance(text, str) else None
