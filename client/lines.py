"""Whole lines of each engine, where several write at once. No I/O.

An engine's line is shown once it is complete. As it comes, it is shown only where it stands in
nobody's way: when this engine alone has written, or the line has not been completed for a while and no
other one is open. A line that is written over (a progress bar) is shown as it comes, one at a time;
those of others are shown in their turn, with what they have come to. What others print in between
goes above it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

ALONE, AMONG_OTHERS = 0.2, 1.0
"""How long (seconds) a line may take to be completed, before it is shown as it is."""

LONGEST = 64 * 1024
"""A line that is longer (characters) is shown in pieces."""

NEVER = float("inf")

Speaker: TypeAlias = tuple[str, int]
"""A stream's name, and an engine."""

Show = Callable[[str, str, int], None]


@dataclass(slots=True)
class _Held:
    """The begin of a line that is not shown yet, and since when it waits."""

    text: str
    since: float


class Lines:
    """Gathers what engines print, and shows it line by line.

    Parameters
    ----------
    show
        Shows text: the stream's name, the text, the engine.
    """

    def __init__(self, show: Show) -> None:
        self._show = show
        self._engines: set[int] = set()
        self._held: dict[Speaker, _Held] = {}
        self._open: Speaker | None = None
        self._bar = ""

    def write(self, name: str, text: str, engine: int, now: float) -> None:
        """Take text."""
        self._engines.add(engine)
        speaker = name, engine
        held = self._held.pop(speaker, None)
        since = now if held is None else held.since
        whole, end, rest = ((held.text if held is not None else "") + text).rpartition("\n")
        if end:
            since = now
            self._show_whole(speaker, whole + end)
        if len(rest) > LONGEST:
            self._show_open(speaker, rest)
        elif rest:
            self._begin(speaker, rest, since)
        self._resume()
        self.look(now)

    def _show_whole(self, speaker: Speaker, text: str) -> None:
        """Show whole lines, in place of what is open; a progress bar will go on below them."""
        if speaker != self._open:
            text = "\n".join(map(_last_state, text.split("\n")))
            self._displace()
        self._open, self._bar = None, ""
        self._show(speaker[0], text, speaker[1])

    def _displace(self) -> None:
        """Have the progress bar that is open shown again, before others."""
        if self._open is not None and self._bar:
            self._held = {self._open: _Held(self._bar, NEVER), **self._held}

    def _begin(self, speaker: Speaker, text: str, since: float) -> None:
        """Show the begin of a line if it may be shown, or hold it."""
        if speaker == self._open or (self._open is None and _is_bar(text)):
            self._show_open(speaker, text)
        else:
            self._held[speaker] = _Held(_last_state(text), since)

    def _show_open(self, speaker: Speaker, text: str) -> None:
        self._open = speaker
        self._bar = _last_state(text) if _is_bar(text) else ""
        self._show(speaker[0], text, speaker[1])

    def _resume(self) -> None:
        """Show the next progress bar, if there is room for one."""
        if self._open is None:
            bars = (each for each, held in self._held.items() if _is_bar(held.text))
            if (speaker := next(bars, None)) is not None:
                self._show_open(speaker, self._held.pop(speaker).text)

    @property
    def due(self) -> float:
        """When to `look`."""
        if self._open is not None or not self._held:
            return NEVER
        patience = ALONE if len(self._engines) == 1 else AMONG_OTHERS
        return min(held.since for held in self._held.values()) + patience

    def look(self, now: float) -> None:
        """Show the begin of a line that takes too long to be completed."""
        if now >= self.due:
            speaker = min(self._held, key=lambda each: self._held[each].since)
            self._show_open(speaker, self._held.pop(speaker).text)

    def end(self, engine: int) -> None:
        """Show what is left of an engine: nothing more comes, or something else comes first."""
        for speaker in [each for each in self._held if each[1] == engine]:
            held = self._held.pop(speaker)
            self._displace()
            self._open, self._bar = None, ""
            self._show(speaker[0], held.text, engine)
        if self._open is not None and self._open[1] == engine:
            self._open, self._bar = None, ""
        self._resume()


def _is_bar(text: str) -> bool:
    """Tell whether the begin of a line is written over another one."""
    return "\r" in text.rstrip("\r")


def _last_state(line: str) -> str:
    """Return what is seen in the end of a line that was written over."""
    start = line.rfind("\r", 0, len(line.rstrip("\r")))
    return line if start < 0 else line[start:]
