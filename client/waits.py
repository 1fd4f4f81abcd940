"""Waiting for results: for the whole, for some of its parts, with a bar."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION
from concurrent.futures import wait as wait_for_futures
from typing import Any
from warnings import warn

from ctrlhub.client.awaiting import Awaiting
from ctrlhub.client.requests import About
from ctrlhub.client.rows import Row, is_ok
from ctrlhub.wire.errors import ResultNotCompleted


class Waits(Awaiting):
    """The part of a result that waits for it."""

    __slots__ = ()

    _about: About

    def _rows(self) -> Sequence[Row | None]:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    @property
    def progress(self) -> int:
        """How many of its parts are done."""
        return sum(row is not None for row in self._rows())

    def get(
        self,
        timeout: float | None = None,
        return_exceptions: bool | None = None,
        return_when: str | None = None,
    ) -> Any:
        """Return the value, or raise what the call raised.

        Parameters
        ----------
        timeout
            The longest wait in seconds; None or a negative number waits as long as it takes.
        return_exceptions
            Return exceptions instead of raising them: in the place of the values that are missing.
        return_when
            ``FIRST_EXCEPTION``: raise the first error at once, although others are still to come.

        Raises
        ------
        TimeoutError
            It is not there yet. It goes on, and can be asked for again.
        CompositeError
            Several calls were made, and some of them raised.
        """
        __tracebackhide__ = True
        if return_when is not None:
            self._check_first(timeout, return_when)
        return self._all(timeout) if return_exceptions else self.result(timeout)

    def _all(self, timeout: float | None) -> Any:
        """Return the value, with exceptions in the place of what is missing."""
        try:
            return self.result(timeout)
        except Exception as error:
            if not self.done():
                raise
            return error

    def _check_first(self, timeout: float | None, return_when: str) -> None:
        """Raise the first error that comes."""
        if return_when == FIRST_EXCEPTION:
            done, _ = wait_for_futures(self.split(), _limit(timeout), FIRST_EXCEPTION)
            for part in done:
                part.result(0)
        elif return_when == FIRST_COMPLETED:
            warn(
                "get() waits for the whole: wait(return_when=FIRST_COMPLETED) tells what is there",
                stacklevel=4,
            )
        elif return_when != ALL_COMPLETED:
            raise ValueError(f"return_when is one of concurrent.futures, not {return_when!r}")

    @property
    def r(self) -> Any:
        """The value: `get` without a timeout."""
        return self.result()

    def wait(self, timeout: float | None = None, return_when: str | None = None) -> Any:
        """Wait until it is done.

        Parameters
        ----------
        timeout
            The longest wait in seconds; None or a negative number waits as long as it takes.
        return_when
            ``FIRST_COMPLETED``, ``FIRST_EXCEPTION`` or ``ALL_COMPLETED``, as for
            `concurrent.futures.wait`.

        Returns
        -------
        bool or tuple of sets
            Whether it is done; with `return_when` its parts (see `split`), those that are done and
            the others.
        """
        __tracebackhide__ = True
        if return_when is None:
            return self._await(self.done, timeout)
        self._check_wait()
        return tuple(wait_for_futures(self.split(), _limit(timeout), return_when))

    def split(self) -> tuple[Any, ...]:
        """Return a result for each request.

        They can be waited for one by one, or in any way that futures can.
        """
        return (self,)

    def ready(self) -> bool:
        """Return whether it is done."""
        return self.done()

    def successful(self) -> bool:
        """Return whether it is done without an error.

        Raises
        ------
        ResultNotCompleted
            It is not done.
        """
        if not self.done():
            raise ResultNotCompleted("it is not done yet: wait() for it, or ask ready() first")
        return not self._failed()

    def wait_interactive(
        self,
        interval: float = 0.1,
        timeout: float | None = None,
        widget: bool | None = None,
        return_when: str | None = None,
    ) -> Any:
        """Show a progress bar while waiting.

        Parameters
        ----------
        interval
            How often (seconds) to bring the bar up to date.
        timeout
            The longest wait in seconds; None or a negative number waits as long as it takes.
        widget
            Show a Jupyter widget; None does where that is possible.
        return_when
            As for `wait`.

        Returns
        -------
        bool or tuple of sets
            As of `wait`.
        """
        from ctrlhub.client.progress import Progress

        end = time.monotonic() + timeout if timeout is not None and timeout >= 0 else float("inf")
        with Progress(len(self), self._about.what, widget=widget) as bar:
            while not self._is_enough(return_when) and (left := end - time.monotonic()) > 0:
                self._await(self.done, min(interval, left))
                bar.show(self.progress)
            bar.show(self.progress)
        return self.wait(0, return_when)

    def _is_enough(self, return_when: str | None) -> bool:
        """Say whether a wait is over."""
        if return_when in (FIRST_COMPLETED, FIRST_EXCEPTION) and not self.done():
            there = [row for row in self._rows() if row is not None]
            return any(return_when == FIRST_COMPLETED or not is_ok(row) for row in there)
        return self.done()

    # ------------------------------------------------------------ sending

    @property
    def sent(self) -> bool:
        """Whether its arguments may be changed: always, since they are taken as the call is made."""
        return True

    def wait_for_send(self, timeout: float | None = None) -> bool:
        """Wait until its arguments may be changed, which is at once; return True."""
        return True


def _limit(timeout: float | None) -> float | None:
    return None if timeout is None or timeout < 0 else timeout
