"""What a result says of the output of its requests, and how that is shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

from ctrlhub.client.extras import in_order
from ctrlhub.client.metadata import Metadata
from ctrlhub.client.rows import Row, TaskCancelled, is_ok, opened
from ctrlhub.client.terminal import Terminal
from ctrlhub.wire.errors import CompositeError, RemoteError
from ctrlhub.wire.messages import OUTPUT_STREAMS

if TYPE_CHECKING:
    from ctrlhub.client.result_base import Home

GROUPINGS = ("type", "engine", "order")


class OutputMembers:
    """The part of a result that has to do with output."""

    __slots__ = ()

    _home: Home

    # Of the result.
    def _numbers(self) -> Sequence[int]:
        raise NotImplementedError

    def _rows(self) -> Sequence[Row | None]:
        raise NotImplementedError

    def _of_each(self, name: str) -> Any:
        raise NotImplementedError

    def _metadata_of(self, index: int) -> Metadata:
        raise NotImplementedError

    def _is_single(self) -> bool:
        """Say whether this is the result of one request, whose value is no list."""
        raise NotImplementedError

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is done, at most `timeout` seconds; return whether it is."""
        raise NotImplementedError

    # ------------------------------------------------------------ what was put out

    @property
    def stdout(self) -> Any:
        """What was printed; while it runs, what has come so far."""
        return self._of_each("stdout")

    @property
    def stderr(self) -> Any:
        """What was written to the standard error stream; while it runs, what has come so far."""
        return self._of_each("stderr")

    @property
    def outputs(self) -> Any:
        """What was displayed, as in a notebook: dicts with ``output_type``, ``data``, ``metadata``."""
        return self._of_each("outputs")

    @property
    def execute_result(self) -> Any:
        """The value that a cell ends with, as a dict with ``data`` by type; None if it has none."""
        return self._of_each("execute_result")

    @property
    def error(self) -> Any:
        """What was raised, or None."""
        return self._of_each("error")

    @property
    def data(self) -> Any:
        """What was published by `ctrlhub.datapub.publish_data`, also while it runs."""
        return self._of_each("data")

    def wait_for_output(self, timeout: float | None = None) -> bool:
        """Wait until all output is there: it comes with the result."""
        return self.wait(timeout)

    # ------------------------------------------------------------ showing it

    def display_outputs(self, groupby: str = "type", result_only: bool = False) -> None:
        """Wait, then show what was put out: printed, displayed, and the values of cells.

        Parameters
        ----------
        groupby
            ``'type'``: all that was printed, then all that was displayed, then the values.
            ``'engine'``: everything of one engine, in order, before the next.
            ``'order'``: as ``'type'``, with the first that each engine displayed, then the second …
        result_only
            The values of cells only.
        """
        if groupby not in GROUPINGS:
            raise ValueError(f"groupby must be one of {', '.join(GROUPINGS)}, not {groupby!r}")
        self.wait()
        rows = [row for row in self._rows() if row is not None]
        terminal = Terminal(labelled=not self._is_single())
        if groupby == "engine":
            for index, row in enumerate(rows):
                if not result_only:
                    _show(terminal, row)
                self._show_value(terminal, index, row)
            return
        if not result_only:
            _show_grouped(terminal, rows, alternating=groupby == "order")
        for index, row in enumerate(rows):
            self._show_value(terminal, index, row)

    def show_errors(self) -> None:
        """Show what was raised on each engine, and where."""
        terminal = Terminal(labelled=not self._is_single())
        raised = [row for row in self._rows() if row is not None and not is_ok(row)]
        for index, row in enumerate(raised):
            _show_error(terminal, row, index < CompositeError.tb_limit)

    def _show_value(self, terminal: Terminal, index: int, row: Row) -> None:
        """Show what a cell ended with, if it did."""
        if not (row[6] and row[6].get("execute_result")):
            return
        from ctrlhub.client.execute_reply import ExecuteReply

        terminal.end_line()
        ExecuteReply(self._metadata_of(index)).display()

    @contextmanager
    def stream_output(self) -> Iterator[None]:
        """Show output as it comes, for the time of a ``with`` block.

        What had come before is shown at the beginning. Of what is done by the end nothing is missing;
        its values and errors are shown, too.
        """
        from ctrlhub.client.output_stream import OutputStream

        numbers = list(self._numbers())
        index_of = {number: index for index, number in enumerate(numbers)}

        def row_of(number: int) -> Row | None:
            return self._rows()[index_of[number]]

        def show_end(terminal: Terminal, row: Row) -> None:
            if is_ok(row):
                self._show_value(terminal, index_of[row[0]], row)
            else:
                _show_error(terminal, row, next(errors) < CompositeError.tb_limit)

        errors = count()
        live_of = self._home.live_output
        stream = OutputStream(not self._is_single(), row_of, live_of, show_end)
        try:
            self._home.follow_output(numbers, stream)
            yield
        finally:
            self._home.leave(numbers, stream)
            for number in numbers:  # also of those whose end nobody has told us of
                stream.ended(number)
            stream.finish()


def _show_error(terminal: Terminal, row: Row, in_full: bool) -> None:
    """Show what was raised: with its traceback, or in a line where there are many."""
    error = opened(row)[2]
    has_traceback = in_full and isinstance(error, RemoteError | TaskCancelled)
    text = (error.traceback or "").rstrip() if has_traceback else ""
    terminal.write_error(text or f"{type(error).__name__}: {error}", row[3])


def _show(terminal: Terminal, row: Row) -> None:
    """Show what a request put out, in order."""
    for output in in_order(row[6] or {}):
        terminal.show(output, row[3])


def _show_grouped(terminal: Terminal, rows: Sequence[Row], alternating: bool) -> None:
    for name in OUTPUT_STREAMS:
        for row in rows:
            terminal.write(name, (row[6] or {}).get(name, ""), row[3])
            terminal.end_line()
    displayed = [
        [each for each in (row[6] or {}).get("outputs", ()) if "data" in each] for row in rows
    ]
    shown = [(place, index) for index, each in enumerate(displayed) for place in range(len(each))]
    if alternating:
        shown.sort()
    for place, index in shown:
        terminal.display(displayed[index][place], rows[index][3])
