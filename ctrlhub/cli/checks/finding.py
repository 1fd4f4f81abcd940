"""One thing that was looked at, and how it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How something is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and may be the reason for something that does not."""
    WRONG = "wrong"
    """A cluster does not work with it, or not safely."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    about
        What it is, in a word or two.
    level
        How it is.
    text
        What was found.
    advice
        What to do; empty where nothing is to be done.
    """

    about: str
    level: Level
    text: str
    advice: str = ""


def ok(about: str, text: str) -> Finding:
    """Say that something is as it should be."""
    return Finding(about, Level.OK, text)


def warning(about: str, text: str, advice: str) -> Finding:
    """Say that something may be the reason for trouble."""
    return Finding(about, Level.WARNING, text, advice)


def wrong(about: str, text: str, advice: str) -> Finding:
    """Say that something does not work."""
    return Finding(about, Level.WRONG, text, advice)


def size(count: float) -> str:
    """Give a number of bytes for people."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
