"""Showing output as it comes: what `AsyncResult.stream_output` does.

A thread of its own prints, since a terminal may stand still, and the thread that brings the results
must not. In a notebook its output so belongs to the cell that asked for it. What waits to be printed
is bounded: what has no room is told to be missing.
"""

from __future__ import annotations

import contextvars
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ctrlhub.client.extras import in_order
from ctrlhub.client.live_output import STREAMS, Progress, gap
from ctrlhub.client.rows import Row
from ctrlhub.client.terminal import Terminal
from ctrlhub.wire.codec import size_of_extras
from ctrlhub.wire.limits import OUTPUT_DISPLAY_BYTES
from ctrlhub.wire.messages import OutputItem

_log = logging.getLogger("ctrlhub.client")

End = Callable[[Terminal, Row], None]
"""Shows how a request has ended, beside its output."""


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
        self._progress: dict[int, Progress] = {}
        self._shown: set[int] = set()
        self._condition = threading.Condition()
        self._waiting: deque[tuple[int, int, OutputItem | None]] = deque()
        self._bytes = 0
        self._over = False
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._print,), name="ctrlhub-output", daemon=True
        )
        self._thread.start()

    # ------------------------------------------------------------ as a follower

    def output(self, request: int, engine: int, items: Sequence[OutputItem]) -> None:
        """Take what has come."""
        with self._condition:
            for item in items:
                size = size_of_extras(item[2])
                if self._bytes + size <= OUTPUT_DISPLAY_BYTES:
                    self._bytes += size
                    self._waiting.append((request, engine, item))
            self._condition.notify()

    def ended(self, request: int) -> None:
        """Take note that a result is there."""
        with self._condition:
            self._waiting.append((request, -1, None))
            self._condition.notify()

    # ------------------------------------------------------------ the printing thread

    def finish(self) -> None:
        """Wait until all that has come is printed."""
        with self._condition:
            self._over = True
            self._condition.notify()
        self._thread.join()
        self._terminal.end_line()

    def _print(self) -> None:
        try:
            while (next_one := self._next()) is not None:
                request, engine, item = next_one
                if item is None:
                    self._print_rest(request)
                else:
                    self._print_item(request, engine, item)
        except Exception:  # the terminal is gone, or something cannot be shown there
            _log.exception("the output of engines cannot be shown here; the results have it")

    def _next(self) -> tuple[int, int, OutputItem | None] | None:
        with self._condition:
            self._condition.wait_for(lambda: self._waiting or self._over)
            if not self._waiting:
                return None
            request, engine, item = self._waiting.popleft()
            self._bytes -= size_of_extras(item[2]) if item is not None else 0
            return request, engine, item

    def _print_item(self, request: int, engine: int, item: OutputItem) -> None:
        progress = self._progress.setdefault(request, Progress())
        missing, value = progress.take(item)
        if value is None:
            return
        if item[0] in STREAMS:
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
        for position, kind, value in _placed(row[6] or {}):
            self._print_item(request, row[3], (kind, position, value))
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
