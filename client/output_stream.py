"""Showing output as it comes: what `AsyncResult.stream_output` does.

A thread of its own prints, since a terminal may stand still, and the thread that brings the results
must not. In a notebook its output so belongs to the cell that asked for it. What waits to be printed
is bounded: what has no room is told to be missing.
"""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from queue import SimpleQueue
from typing import Any, TypeAlias

from ctrlhub.client.extras import in_order
from ctrlhub.client.live_output import Reached, gap
from ctrlhub.client.rows import Row
from ctrlhub.client.terminal import Terminal
from ctrlhub.wire.codec import size_of_extras
from ctrlhub.wire.limits import OUTPUT_DISPLAY_BYTES
from ctrlhub.wire.messages import OUTPUT_STREAMS, OutputItem

_log = logging.getLogger("ctrlhub.client")

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
    show_end
        Shows the value or the error of one.
    """

    def __init__(self, labelled: bool, row_of: Callable[[int], Row | None], show_end: End) -> None:
        self._terminal = Terminal(labelled)
        self._row_of = row_of
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
            while (next_one := self._waiting.get()) is not None:
                request, run, item = next_one
                if item is None:
                    self._print_rest(request)
                else:
                    self._taken += size_of_extras(item[2])
                    self._print_item(request, run, item)
        except Exception:  # the terminal is gone, or something cannot be shown there
            _log.exception("the output of engines cannot be shown here; the results have it")

    def _print_item(self, request: int, run: _Run, item: OutputItem) -> None:
        engine = run[1]
        known, progress = self._progress.get(request, (run, Reached()))
        if known != run:  # it runs once more: its output begins anew
            progress = Reached()
        self._progress[request] = run, progress
        missing, value = progress.take(item)
        if value is None:
            return
        if item[0] in OUTPUT_STREAMS:
            text = gap(missing) + value if missing else value
            self._terminal.write(item[0], text, engine)
        elif item[0] == "display":
            self._terminal.display(value, engine)

    def _print_rest(self, request: int) -> None:
        """Print what has not been shown of a request that has ended, and how it did; once."""
        row = self._row_of(request)
        if row is None or request in self._shown:  # one that is fetched comes later
            return
        self._shown.add(request)
        extras = row[6] or {}
        run = extras.get("attempt", 0), row[3]
        for position, kind, value in _placed(extras):
            self._print_item(request, run, (kind, position, value))
        self._progress.pop(request, None)
        self._show_end(self._terminal, row)


def _placed(extras: Mapping[str, Any]) -> list[tuple[int, str, Any]]:
    """Return what a result says was put out, in order, each piece with its position."""
    placed: list[tuple[int, str, Any]] = []
    at = {"stdout": 0, "stderr": 0, "display": 0}
    for output in in_order(extras):
        text = output.get("text")
        kind = output["name"] if text is not None else "display"
        placed.append((at[kind], kind, output if text is None else text))
        at[kind] += 1 if text is None else len(text)
    return placed
