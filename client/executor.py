"""Views as executors of `concurrent.futures`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from concurrent.futures import wait as wait_for_futures
from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import ref

from ctrlhub.wire.errors import SerializationError, SessionClosed

if TYPE_CHECKING:
    from ctrlhub.client.view import View

FIRST_SWEEP = 1024
"""After so many calls it is looked which have ended; then each time there are twice as many."""


class ViewExecutor(Executor):
    """The executor of a view. It ends no engines when it is shut down.

    Parameters
    ----------
    view
        The view that applies and maps.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        # Weak: whoever drops a result does not want it to be kept. What is out, the session keeps.
        self._out: deque[ref[Future[Any]]] = deque()
        self._sweep_at = FIRST_SWEEP
        self._lock = Lock()
        self._closed = False

    @property
    def _max_workers(self) -> int:
        """The number of engines; libraries ask executors for this."""
        return len(self.view)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.view!r}>"

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Apply a function; return its result to come.

        What cannot be pickled is an error of the result, as with other executors.
        """
        if self._closed:
            self._refuse()
        try:
            result = self.view.apply_async(fn, *args, **kwargs)
        except SerializationError as error:
            return _failed(error)
        except SessionClosed as error:
            raise self._too_late() from error
        self._note(result)
        return result

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        **options: Any,
    ) -> Iterator[Any]:
        """Map a function; return an iterator over its values.

        An item that raised ends the iterator, and cancels the rest.

        Parameters
        ----------
        fn, *iterables
            The function, and its arguments: one sequence for each parameter. They are read at once.
        timeout
            The longest time in seconds, from now, that an item is waited for.
        chunksize
            How many items make a task, on a load-balanced view.
        **options
            Further options of the view's `map_async`.
        """
        if self._closed:
            self._refuse()
        if chunksize < 1:
            raise ValueError(f"chunksize must be a number from 1 on, not {chunksize!r}")
        end = None if timeout is None else time.monotonic() + timeout
        if not iterables:
            return iter(())
        if chunksize != 1:
            options["chunksize"] = chunksize
        try:
            result = self.view.map_async(fn, *iterables, **options)
        except SerializationError as error:
            return map(_failed(error).result, (None,))
        except SessionClosed as error:
            raise self._too_late() from error
        self._note(result)
        return _values(result, end)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing any more; the engines stay.

        Parameters
        ----------
        wait
            Wait until everything has ended.
        cancel_futures
            Cancel what has not begun. Tasks that run go on, as with other executors; commands, of
            direct views, are interrupted.
        """
        with self._lock:
            self._closed = True
        out = self._outstanding()
        if cancel_futures:
            self._cancel(out)
        if wait:
            wait_for_futures(out)

    def _refuse(self) -> None:
        """Raise the reason why nothing is taken any more."""
        raise RuntimeError("cannot schedule new futures after shutdown")

    def _too_late(self) -> RuntimeError:
        """Return what is raised where the client was closed before: by the interpreter's exit, maybe."""
        return RuntimeError(
            "cannot schedule new futures after shutdown: the client of this executor was closed"
        )

    def _cancel(self, out: list[Any]) -> None:
        if self.view.is_balanced:
            numbers = [n for future in out for first, last in future._waiting()
                       for n in range(first, last + 1)]  # fmt: skip
            if numbers:
                self.view._home.withdraw(numbers)
            return
        for future in reversed(out):  # what waits before what runs, whose end would let it begin
            future.cancel()

    def _outstanding(self) -> list[Any]:
        with self._lock:
            futures = [each() for each in self._out]
        return [future for future in futures if future is not None and not future.done()]

    def _note(self, result: Any) -> None:
        with self._lock:
            closed = self._closed
            self._out.append(ref(result))
        if closed:  # since it was looked at: nobody waits for this one
            result._cancel_later()
            self._refuse()
        if len(self._out) >= self._sweep_at:
            self._sweep()

    def _sweep(self) -> None:
        """Forget what has ended."""
        with self._lock:
            for _ in range(len(self._out)):  # others may add meanwhile
                each = self._out.popleft()
                future = each()
                if future is not None and not future.done():
                    self._out.append(each)
            self._sweep_at = max(FIRST_SWEEP, 2 * len(self._out))


def _failed(error: BaseException) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future


def _values(result: Any, until: float | None) -> Iterator[Any]:
    """Yield the items of a map; give up the rest with the iterator."""
    try:
        for place in range(result._places()):
            left = None if until is None else max(0.0, until - time.monotonic())
            if not result._await(lambda place=place: result._has_step(place), left):
                raise TimeoutError("an item did not come in time; the rest was cancelled")
            step = result._step(place)  # which lets go of what was yielded: it is the caller's alone
            result._forget(place)
            yield from step
    finally:
        if not result.done():
            result._cancel_later()
