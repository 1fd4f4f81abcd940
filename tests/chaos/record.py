"""What clients and engines write down: lines that survive whoever wrote them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any


class Said(Enum):
    """What a client writes down: its session when it joins, and what becomes of each submission."""

    JOINED = "joined"

    SUBMITTED = "submitted"
    ACKNOWLEDGED = "acknowledged"
    ENDED = "ended"
    ABANDONED = "abandoned"
    """Its client was killed before it was acknowledged, and the hub does not know it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a client's record."""

    at: float
    """Monotonic time, which all processes of a host share."""
    said: Said
    number: int
    """The first of the submission's numbers, which no other has."""
    kind: str = ""
    """Of what was submitted: task, map, command."""
    count: int = 1
    ids: tuple[str, ...] = ()
    end: str = ""
    """``ok``, ``wrong``, or the name of an error and its beginning."""


@dataclass(frozen=True, slots=True)
class Run:
    """An execution on an engine."""

    at: float
    begins: bool
    number: int
    pid: int


class Record:
    """The record of one client, and of those that took its place.

    Parameters
    ----------
    path
        Its file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def say(self, said: Said, number: int, **more: Any) -> None:
        """Append a line, which nothing that happens to this process takes back."""
        entry = asdict(Entry(time.monotonic(), said, number, **more))
        line = json.dumps({**entry, "said": said.value})
        os.write(self._file, line.encode() + b"\n")

    def entries(self) -> list[Entry]:
        """Return all lines."""
        return read_record(self._path)


def read_record(path: Path) -> list[Entry]:
    """Return the lines of a record."""
    found = []
    for line in path.read_text().splitlines():
        values = json.loads(line)
        said, ids = Said(values.pop("said")), tuple(values.pop("ids"))
        found.append(Entry(said=said, ids=ids, **values))
    return found


def read_runs(path: Path) -> Iterator[Run]:
    """Yield what engines have written; a killed one may leave its last line unfinished."""
    for line in path.read_text().splitlines():
        at, what, number, pid = line.split()
        yield Run(float(at), what == "b", int(number), int(pid))


def noting(path: str) -> Callable[[int], int]:
    """Return what engines run: it notes that it begins and ends, and takes some milliseconds."""

    def work(number: int) -> int:
        import os
        import time

        file = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(file, b"%.6f b %d %d\n" % (time.monotonic(), number, os.getpid()))
            time.sleep(number % 7 * 0.004)
            os.write(file, b"%.6f e %d %d\n" % (time.monotonic(), number, os.getpid()))
        finally:
            os.close(file)
        return 2 * number + 1

    return work


def deadly(path: str) -> Callable[[int], int]:
    """Return what kills every engine that runs it, after it has noted that it begins."""

    def work(number: int) -> int:
        import os
        import signal
        import time

        file = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.write(file, b"%.6f b %d %d\n" % (time.monotonic(), number, os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("it lives")

    return work
