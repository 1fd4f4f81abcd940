"""Showing output as it comes: what `AsyncResult.stream_output` does.

A thread of its own prints, since a terminal may stand still, and the thread that brings the results
must not. In a notebook its output so belongs to the cell that asked for it. What waits to be printed
is bounded: what has no room is looked up where the session keeps it, or told to be missing.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

from ctrlhub.client.extras import in_order
from ctrlhub.client.lines import NEVER, Lines
from ctrlhub.client.live_output import LiveRequest, Reached, gap
from ctrlhub.client.rows import Row
from ctrlhub.client.terminal import Terminal
from ctrlhub.link.guarded_log import GuardedLog
from ctrlhub.wire.codec import size_of_extras
from ctrlhub.wire.limits import OUTPUT_DISPLAY_BYTES
from ctrlhub.wire.messages import OUTPUT_STREAMS, OutputItem

_log = GuardedLog("ctrlhub.client")

End = Callable[[Terminal, Row], None]
"""Shows how a request has ended, beside its output."""

_Run: TypeAlias = tuple[int, int]
"""Which attempt at a request, and on which engine."""


class OutputStream:
    """Prints output of requests as it comes.

    Parameters
    ----------
    labelled
        Whether to say which engine it is from.
    row_of
        Returns the row of a request; None if its result is not there.
    live_of
        Returns what has come of one that runs; None for nothing.
    show_end
        Shows the value or the error of one.
    """

    def __init__(
        self,
        labelled: bool,
        row_of: Callable[[int], Row | None],
        live_of: Callable[[int], LiveRequest | None],
        show_end: End,
    ) -> None:
        self._terminal = Terminal(labelled)
        # Where there is one engine alone, there is nobody to wait for.
        self._lines = Lines(self._terminal.write) if labelled else None
        self._row_of = row_of
        self._live_of = live_of
        self._show_end = show_end
        self._progress: dict[int, tuple[_Run, Reached]] = {}
        self._shown: set[int] = set()
        # Ctrl-C may strike whoever puts something in: so no lock of Python's. None is the end.
        self._waiting: SimpleQueue[tuple[int, _Run, OutputItem | None] | None] = SimpleQueue()
        # Bytes that have been in the queue, and have left it: each is written by one side alone.
        self._put = self._taken = 0
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._print,), name="ctrlhub-output", daemon=True
        )
        self._thread.start()

    # ------------------------------------------------------------ as a follower

    def output(
        self, request: int, engine: int, items: Sequence[OutputItem], attempt: int = 0
    ) -> None:
        """Take what has come."""
        for item in items:
            size = size_of_extras(item[2])
            if self._put - self._taken + size <= OUTPUT_DISPLAY_BYTES:
                self._put += size
                self._waiting.put((request, (attempt, engine), item))

    def ended(self, request: int) -> None:
        """Take note that a result is there."""
        self._waiting.put((request, (0, -1), None))

    # ------------------------------------------------------------ the printing thread

    def finish(self) -> None:
        """Wait until all that has come is printed."""
        self._waiting.put(None)
        self._thread.join()
        self._terminal.end_line()

    def _print(self) -> None:
        try:
            while (next_one := self._next()) is not None:
                request, run, item = next_one
                if item is None:
                    self._print_rest(request)
                else:
                    self._taken += size_of_extras(item[2])
                    self._print_item(request, run, item)
            for _, engine in list(dict.fromkeys(run for run, _ in self._progress.values())):
                self._end_lines(engine)
        except Exception:  # the terminal is gone, or something cannot be shown there
            _log.exception("the output of engines cannot be shown here; the results have it")

    def _next(self) -> tuple[int, _Run, OutputItem | None] | None:
        """Return what is to be printed next; show meanwhile what waits for the end of its line."""
        lines = self._lines
        while lines is not None and lines.due != NEVER:
            try:
                return self._waiting.get(timeout=max(0.0, lines.due - time.monotonic()))
            except Empty:
                lines.look(time.monotonic())
        return self._waiting.get()

    def _print_item(self, request: int, run: _Run, item: OutputItem) -> None:
        engine = run[1]
        known, progress = self._progress.get(request, (run, Reached()))
        if known != run:  # it runs once more: its output begins anew
            self._end_lines(known[1])
            progress = Reached()
        self._progress[request] = run, progress
        kind = item[0]
        reached = progress.at(kind)
        missing, value = progress.take(item)
        if value is None:
            return
        if kind in OUTPUT_STREAMS:
            self._write(kind, self._found(request, run, kind, reached, missing) + value, engine)
        elif kind == "display":
            self._end_lines(engine)
            if missing:
                self._terminal.write_line(_displays_later(missing, engine))
            self._terminal.display(value, engine)

    def _found(self, request: int, run: _Run, name: str, start: int, missing: int) -> str:
        """Return what stands in the place of text that had no room here: itself, as far as it is kept."""
        if not missing:
            return ""
        text, live, row = "", self._live_of(request), self._row_of(request)
        if live is not None and (live.attempt, live.engine) == run:
            text = live.text(name, start, start + missing)
        elif row is not None and _run_of(row) == run:
            text = _kept_texts(row[6] or {}).get(name, "")[start : start + missing]
        return text if len(text) == missing else text + gap(missing - len(text))

    def _write(self, name: str, text: str, engine: int) -> None:
        if self._lines is None:
            self._terminal.write(name, text, engine)
        else:
            self._lines.write(name, text, engine, time.monotonic())

    def _end_lines(self, engine: int) -> None:
        """Show what waits for the end of its line: it does not come, or not now."""
        if self._lines is not None:
            self._lines.end(engine)

    def _print_rest(self, request: int) -> None:
        """Print what has not been shown of a request that has ended, and how it did; once."""
        row = self._row_of(request)
        if row is None or request in self._shown:  # one that is fetched comes later
            return
        self._shown.add(request)
        extras, run = row[6] or {}, _run_of(row)
        for position, kind, value in _placed(extras):
            self._print_item(request, run, (kind, position, value))
        known, progress = self._progress.pop(request, (run, Reached()))
        for name, note in _untold(extras, progress if known == run else Reached()):
            self._write(name, note, row[3])
        self._end_lines(row[3])
        self._show_end(self._terminal, row)


def _run_of(row: Row) -> _Run:
    return (row[6] or {}).get("attempt", 0), row[3]


def _kept_texts(extras: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts of a result, without a note of what was cut."""
    cuts = extras.get("cut", {})
    return {
        name: extras[name][: cuts[name][0]] if name in cuts else extras[name]
        for name in OUTPUT_STREAMS
        if name in extras
    }


def _placed(extras: Mapping[str, Any]) -> list[tuple[int, str, Any]]:
    """Return what a result says was put out, in order, each piece with its position.

    A note of what was cut from a text stands in no place of it.
    """
    placed: list[tuple[int, str, Any]] = []
    at = {"stdout": 0, "stderr": 0, "display": 0}
    for output in in_order({**extras, **_kept_texts(extras)}):
        text = output.get("text")
        kind = output["name"] if text is not None else "display"
        placed.append((at[kind], kind, output if text is None else text))
        at[kind] += 1 if text is None else len(text)
    return placed


def _untold(extras: Mapping[str, Any], progress: Reached) -> list[tuple[str, str]]:
    """Return what is to be said of text that a result does not have, as far as it was not shown."""
    notes = []
    for name, (kept, lost, length) in extras.get("cut", {}).items():
        left = kept + lost - max(kept, progress.at(name))
        if left:
            note = (
                f"\n[{left} more characters were printed; the end of it is in the engine's log]\n"
            )
            notes.append((name, note))
        notes.append((name, extras[name][kept + length :]))
    return [(name, note) for name, note in notes if note]


def _displays_later(missing: int, engine: int) -> str:
    """Return what stands in the place of what is displayed when the result is there."""
    what = "display of" if missing == 1 else "displays of"
    is_shown = "it is" if missing == 1 else "they are"
    return (
        f"[{missing} {what} engine {engine} took too much room to be shown at once; {is_shown} shown "
        "when the result is there]"
    )
