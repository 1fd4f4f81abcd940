"""What a result says of the output of its requests, and how that is shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ctrlhub.client.extras import in_order
from ctrlhub.client.metadata import Metadata
from ctrlhub.client.rows import Row, is_ok, opened
from ctrlhub.client.terminal import Terminal

if TYPE_CHECKING:
    from ctrlhub.client.execute_reply import ExecuteReply
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

    def _all_metadata(self) -> list[Metadata]:
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
        replies = self._replies()
        if groupby == "engine":
            for index, row in enumerate(rows):
                if not result_only:
                    _show(terminal, [row])
                _display_reply(terminal, replies[index])
            return
        if not result_only:
            _show_grouped(terminal, rows, alternating=groupby == "order")
        for reply in replies:
            _display_reply(terminal, reply)

    def _replies(self) -> list[ExecuteReply | None]:
        """Return for each request what its cell ended with, if it did."""
        if not any(row is not None and row[6] for row in self._rows()):
            return [None] * len(self._rows())
        from ctrlhub.client.execute_reply import ExecuteReply

        return [
            ExecuteReply(known) if known["execute_result"] is not None else None
            for known in self._all_metadata()
        ]

    @contextmanager
    def stream_output(self) -> Iterator[None]:
        """Show output as it comes, for the time of a ``with`` block.

        What had come before is shown at the beginning. Of what is done by the end nothing is missing;
        its values and errors are shown, too.
        """
        from ctrlhub.client.output_stream import OutputStream

        numbers = list(self._numbers())
        index_of = {number: index for index, number in enumerate(numbers)}

        def row_of(number: int) -> Row:
            row = self._rows()[index_of[number]]
            assert row is not None
            return row

        stream = OutputStream(not self._is_single(), row_of, self._show_end)
        try:
            self._home.follow_output(numbers, stream)
            yield
        finally:
            self._home.leave(numbers, stream)
            stream.finish()

    def _show_end(self, terminal: Terminal, row: Row) -> None:
        """Show the value or the error that a request ended with."""
        if not is_ok(row):
            error = opened(row)[2]
            text = getattr(error, "traceback", None)
            terminal.write_line((text or repr(error)).rstrip(), error=True)
        elif row[6] and row[6].get("execute_result"):
            index = list(self._numbers()).index(row[0])
            _display_reply(terminal, self._replies()[index])


def _show(terminal: Terminal, rows: Sequence[Row]) -> None:
    """Show what requests put out, one after the other."""
    for row in rows:
        for output in in_order(row[6] or {}):
            terminal.show(output, row[3])


def _show_grouped(terminal: Terminal, rows: Sequence[Row], alternating: bool) -> None:
    for name in ("stdout", "stderr"):
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


def _display_reply(terminal: Terminal, reply: ExecuteReply | None) -> None:
    if reply is not None:
        terminal.end_line()
        reply.display()
