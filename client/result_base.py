"""What every result offers, whether it is of one request or of many."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from ctrlhub.client.live_output import Follower, LiveRequest
from ctrlhub.client.metadata import KEYS, RUNNING, Metadata, metadata
from ctrlhub.client.output import OutputMembers
from ctrlhub.client.record_pages import records_of
from ctrlhub.client.requests import About, Request
from ctrlhub.client.result_arguments import mark_of, take_note
from ctrlhub.client.rows import Row
from ctrlhub.client.seconds import check_grace
from ctrlhub.client.timing import Timing
from ctrlhub.client.waits import Waits
from ctrlhub.wire.ids import Ranges, from_ranges, text_of, to_ranges
from ctrlhub.wire.messages import Stream


class Home(Protocol):
    """Where requests come from: the connection."""

    timeout: float
    """The deadline of questions to the hub, in seconds."""

    def check_wait(self) -> None:
        """Raise an error where waiting would be in vain."""

    def wait(self, ready: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until something is so, if this can be had without a change of threads."""

    def is_io_thread(self) -> bool:
        """Say whether the calling thread is the one that brings the results."""

    def cancel(self, stream: Stream, requests: Ranges, grace: float | None = None) -> set[int]:
        """Stop requests; return the ids of those that run, and are being interrupted."""

    def call(self, interface: str, method: str, arguments: Mapping[str, Any]) -> Any:
        """Ask the hub."""

    def next_ids(self, n: int) -> int:
        """Take `n` consecutive ids; return the first."""

    def submit(self, request: Request) -> None:
        """Leave a request."""

    def cancel_later(self, stream: Stream, requests: Ranges, grace: float | None = None) -> None:
        """Stop requests, and do not wait for it."""

    def engine_uuid(self, engine: int) -> str | None:
        """Return the key of an engine, if it is there."""

    def unix_time(self, monotonic: float) -> float:
        """Return the Unix time of a reading of the monotonic clock."""

    def live_output(self, request: int) -> LiveRequest | None:
        """Return what has come of the output of a request that runs."""

    def follow_output(self, requests: Sequence[int], follower: Follower) -> None:
        """Have somebody told of the output of requests, first of what has come; each ends once."""

    def leave(self, requests: Sequence[int], follower: Follower) -> None:
        """Have somebody told no more."""


class ResultBase(Waits, OutputMembers, Timing):
    """The part of a result that does not depend on how many requests there are.

    A subclass tells its ids (`_numbers`), their rows (`_rows`, None for those to come) and when
    each was received (`_stamp`, seconds of the monotonic clock).
    """

    __slots__ = ("_about", "_home", "_submitted")

    public_name: ClassVar[str] = "AsyncResult"
    """The name of the class, of those that users know, by which it is shown."""
    owner: ClassVar[bool] = True
    """Kept for programs that ask: results can be had as often as one asks, by anybody."""

    _about: About
    _home: Home
    _submitted: float

    def _numbers(self) -> Sequence[int]:
        raise NotImplementedError

    def _rows(self) -> Sequence[Row | None]:
        raise NotImplementedError

    def _stamp(self, index: int) -> float:
        raise NotImplementedError

    def _check_wait(self) -> None:
        self._home.check_wait()

    def _wait_leading(self, ready: Callable[[], bool], timeout: float | None) -> bool:
        return self._home.wait(ready, timeout)

    def __len__(self) -> int:
        return len(self._numbers())

    # A future is true, also that of an empty map.
    def __bool__(self) -> bool:
        return True

    def __reduce__(self) -> Any:
        mark = self._mark()
        if mark is not None:
            take_note(self)
            return mark
        raise TypeError(
            f"{self.public_name} belongs to its client and cannot be pickled: send its value, "
            "or give it to a task of a load-balanced view as an argument"
        )

    def _mark(self) -> tuple[Any, ...] | None:
        """Return what stands for it among the arguments of a task, if it is being pickled there."""
        return mark_of(self._numbers(), self._rows(), single=self._is_single(), chunks=False)

    def __repr__(self) -> str:
        return f"<{self.public_name}: {self._about.what}, {self._describe()}>"

    def _repr_html_(self) -> str:
        """Show how far it is, at this moment (Jupyter asks for it)."""
        from ctrlhub.client.html import bar, panel

        about = f"{self._about.what}: {self._describe()}, {self.elapsed:.3g} s"
        shown = "" if self.done() else f"<div>{bar(self.progress, len(self))}</div>"
        return panel(self.public_name, about, shown)

    def _describe(self) -> str:
        if not self.done():
            return f"{self.progress} of {len(self)} done" if len(self) > 1 else "pending"
        return "cancelled" if self.cancelled() else "failed" if self._failed() else "done"

    def running(self) -> bool:
        """Return whether it runs at this moment, or some of it: the hub is asked.

        What an engine has in stock behind other tasks waits still. A callback of results cannot wait
        for the answer, and gets False.

        Raises
        ------
        HubUnavailable
            The hub does not answer.
        """
        if self.done() or self._home.is_io_thread():
            return False
        return any(
            record["status"] == RUNNING
            for record in records_of(self._home, from_ranges(self._waiting()))
        )

    # ------------------------------------------------------------ stopping

    def cancel(self, grace: float | None = None) -> bool:
        """Stop it: what waits in the queue at once, what runs by an interrupt.

        Parameters
        ----------
        grace
            How long (seconds) a task may go on after the interrupt: then its engine's process is
            killed and started again. None leaves it to the `grace` it was submitted with, if any.

        Returns
        -------
        bool
            Whether it is cancelled now: it has not begun, and never will. What was running ends with
            the interrupt, or does not heed it, or was done at that moment: that shows when it is
            done. What catches the interrupt ends with what it returns or raises. In a callback of results, which cannot wait for the answer, False.

        Raises
        ------
        HubUnavailable
            The hub does not answer.
        ValueError
            There is a grace, and it is a command: ``client.restart()`` ends what does not listen.
        """
        waiting, stream = self._waiting(), self._about.stream
        check_grace(grace, stream)
        if waiting and self._home.is_io_thread():
            self._home.cancel_later(stream, waiting, grace)
            return False
        end = time.monotonic() + self._home.timeout
        if waiting and not self._home.cancel(stream, waiting, grace):
            # It will be told on the stream of results, too.
            self._await(self.done, max(0.0, end - time.monotonic()))
        return self.cancelled()

    def abort(self, grace: float | None = None) -> None:
        """Stop it, as `cancel` does.

        Parameters
        ----------
        grace
            As for `cancel`.

        Raises
        ------
        RuntimeError
            It is done.
        """
        if self.done():
            raise RuntimeError("it is done already, and cannot be aborted")
        self.cancel(grace)

    def _cancel_later(self) -> None:
        self._home.cancel_later(self._about.stream, self._waiting())

    def _waiting(self) -> Ranges:
        rows = zip(self._numbers(), self._rows(), strict=True)
        return to_ranges(number for number, row in rows if row is None)

    # ------------------------------------------------------------ what is known of it

    @property
    def msg_ids(self) -> list[str]:
        """The ids of its requests."""
        return [text_of(number) for number in self._numbers()]

    def _all_metadata(self) -> list[Metadata]:
        numbers, rows = self._numbers(), self._rows()  # made once: there may be many
        return [
            self._known(index, number, row)
            for index, (number, row) in enumerate(zip(numbers, rows, strict=True))
        ]

    def _metadata_of(self, index: int) -> Metadata:
        return self._known(index, self._numbers()[index], self._rows()[index])

    def _known(self, index: int, number: int, row: Row | None) -> Metadata:
        unix = self._home.unix_time
        return metadata(
            number,
            row,
            live=self._home.live_output(number) if row is None else None,
            about=self._about,
            uuid=self._home.engine_uuid,
            submitted=unix(self._submitted),
            received=unix(self._stamp(index)) if row is not None else 0.0,
        )

    @property
    def metadata(self) -> Any:
        """What is known of each request: a list, or one `Metadata` for a single one."""
        return self._all_metadata()

    def __getattr__(self, name: str) -> Any:
        """Return an item of the metadata, of each request or of the single one."""
        if name in KEYS:
            return self._of_each(name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def _of_each(self, name: str) -> Any:
        """Return one item of the metadata, of each request or of the single one."""
        known = self.metadata
        return known[name] if isinstance(known, Metadata) else [each[name] for each in known]

    @property
    def engine_id(self) -> Any:
        """Where it ran."""
        return self._of_each("engine_id")

    @property
    def status(self) -> Any:
        """How it ended: ``'ok'``, ``'error'`` or ``'aborted'``; None while it has not."""
        return self._of_each("status")

    # ------------------------------------------------------------ by engine

    def get_dict(
        self, timeout: float | None = None, return_exceptions: bool | None = None
    ) -> dict[int, Any]:
        """Return the values by engine.

        Parameters
        ----------
        timeout, return_exceptions
            As for `get`.

        Raises
        ------
        ValueError
            Several are of the same engine.
        """
        value = self.get(timeout, return_exceptions)
        rows = [row for row in self._rows() if row is not None]
        engines = [row[3] for row in rows]
        if len(set(engines)) != len(engines):
            raise ValueError("several results are of the same engine: use get()")
        values = value if len(rows) != 1 or isinstance(self.metadata, list) else [value]
        return dict(zip(engines, values, strict=True))

    @property
    def result_dict(self) -> dict[int, Any]:
        """The values by engine: `get_dict` without a timeout."""
        return self.get_dict()
