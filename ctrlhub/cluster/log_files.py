"""Which logs a profile has, and whose they are. Nobody is asked: a hub that is dead has logs as well."""

from __future__ import annotations

import mmap
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ctrlhub.wire.places import Profile

_JOINED = re.compile(rb"joined as engine (\d+)\s")
_SLOT = re.compile(r"engine-(\d+)\.log")


class Writer(StrEnum):
    """Who writes a log."""

    SUPERVISOR = "supervisor"
    HUB = "hub"
    NANNY = "nanny"
    SET = "set"
    ENGINE = "engine"


@dataclass(frozen=True, slots=True)
class LogFile:
    """One log.

    Parameters
    ----------
    path
        Where it is.
    writer
        Who writes it.
    name
        Whose it is, in a word or two.
    engine
        Of an engine, its id, as far as the log says.
    """

    path: Path
    writer: Writer
    name: str
    engine: int | None = None


def log_files(profile: Profile) -> list[LogFile]:
    """Find the logs of a profile: those of the hub and of who starts engines, and then those of engines."""
    found = [_of(profile, path) for path in profile.logs.rglob("*.log") if not _is_aside(path)]
    order = list(Writer)
    return sorted(found, key=lambda each: (order.index(each.writer), each.engine is None, each.engine or 0, each.path))


def _is_aside(path: Path) -> bool:
    return path.name.endswith(".old.log")


def _of(profile: Profile, path: Path) -> LogFile:
    place = path.relative_to(profile.logs)
    if len(place.parts) == 1 and place.stem in (Writer.SUPERVISOR, Writer.HUB, Writer.NANNY):
        return LogFile(path, Writer(place.stem), place.stem)
    slot = _SLOT.fullmatch(path.name)
    if slot is not None:
        engine = engine_of(path)
        name = f"engine {engine}" if engine is not None else f"engine ? ({place})"
        return LogFile(path, Writer.ENGINE, name, engine)
    return LogFile(path, Writer.SET, str(place.with_suffix("")))


def engine_of(path: Path) -> int | None:
    """Return the id of the engine that writes a log, which is not its slot's number; None if it is not said."""
    for each in (path, path.with_suffix(".old.log")):
        if last := deque(_joined(each), 1):
            return last[0]
    return None


def _joined(path: Path) -> Iterator[int]:
    """Yield each id that was given to the writer of a log."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            yield from (int(match[1]) for match in _JOINED.finditer(text))
    except (FileNotFoundError, ValueError):  # there is none, or it is empty
        return
