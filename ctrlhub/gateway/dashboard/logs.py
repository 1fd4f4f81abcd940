"""The ends of a profile's logs on this host, and what is added to them.

Files are read on a thread of their own: a slow disk holds up nobody.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctrlhub.cluster.log_files import LogFile, Writer, log_files
from ctrlhub.cluster.log_lines import Levels, readable
from ctrlhub.cluster.tailing import Tail
from ctrlhub.wire.places import Profile

FILES = 300
"""So many logs are followed; of further engines only `ctrl-hub logs` shows them."""

FIRST_LINES = 200
"""So many lines of its end are shown of each log but those of engines, and of all engines' together."""

LINES = 300
"""So many lines are shown that came between two looks."""

LINE = 4000
"""So much (characters) is shown of a line."""

NEW = 5.0
"""So often (seconds) it is looked for logs that have come since."""


@dataclass(slots=True)
class _Followed:
    name: str
    tail: Tail
    levels: Levels


class LogEnds:
    """The logs of a profile, from their ends on.

    Parameters
    ----------
    profile
        Whose.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._followed: dict[Path, _Followed] = {}
        self._looked = -NEW

    def read(self) -> dict[str, Any]:
        """Return what has come since, or at first the ends, as the page takes it."""
        is_first = not self._followed
        self._look_for_new()
        lines: list[tuple[str, dict[str, Any]]] = []
        for each in self._followed.values():
            lines += _dated(each)
        lines.sort(key=lambda line: line[0])  # it is stable: what has no date stays behind what has
        most = LINES * 5 if is_first else LINES
        return {
            "kind": "logs",
            "whole": is_first,
            "lines": [line for _, line in lines[-most:]],
            "left_out": 0 if is_first else max(0, len(lines) - most),
        }

    def close(self) -> None:
        """Let go of all files."""
        for each in self._followed.values():
            each.tail.close()
        self._followed.clear()
        self._looked = -NEW

    def _look_for_new(self) -> None:
        if time.monotonic() < self._looked + NEW:
            return
        self._looked = time.monotonic()
        found = log_files(self._profile)
        engines = sum(each.writer is Writer.ENGINE for each in found)
        for log in found[:FILES]:
            if log.path in self._followed:
                self._followed[log.path].name = log.name  # an engine's id is known once it has joined
            else:
                self._follow(log, engines)

    def _follow(self, log: LogFile, engines: int) -> None:
        lines = FIRST_LINES if log.writer is not Writer.ENGINE else max(5, FIRST_LINES // engines)
        self._followed[log.path] = _Followed(log.name, Tail(log.path, lines), Levels())


def _dated(log: _Followed) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each new line, with the date by which it is put among those of others."""
    date = ""
    for line in log.tail.read():
        text = readable(line)
        if text[:4].isdigit():
            date = text[:19]
        yield date, {"who": log.name, "level": log.levels.of(text), "text": text[:LINE]}
