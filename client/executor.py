"""Views as executors of `concurrent.futures`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from concurrent.futures import wait as wait_for_futures
from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from ctrlhub.client.view import View


class ViewExecutor(Executor):
    """The executor of a view. It ends no engines when it is shut down.

    Parameters
    ----------
    view
        The view that applies and maps.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self._out: WeakKeyDictionary[Future[Any], None] = WeakKeyDictionary()
        self._lock = Lock()
        self._closed = False

    @property
    def _max_workers(self) -> int:
        """The number of engines; libraries ask executors for this."""
        return len(self.view)

    def __repr__(self) -> str:
        return f"<ViewExecutor of {self.view!r}>"

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Apply a function; return its result to come."""
        self._check_open()
        return self._noted(self.view.apply_async(fn, *args, **kwargs))

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        **options: Any,
    ) -> Iterator[Any]:
        """Map a function; return an iterator over its values.

        Parameters
        ----------
        fn, *iterables
            The function, and its arguments: one sequence for each parameter.
        timeout
            The longest time in seconds, from now, that an item is waited for.
        chunksize
            How many items make a task, on a load-balanced view.
        **options
            Further options of the view's `map_async`.
        """
        self._check_open()
        if chunksize != 1:
            options["chunksize"] = chunksize
        result = self._noted(self.view.map_async(fn, *iterables, **options))
        return _values(result, None if timeout is None else time.monotonic() + timeout)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing any more; the engines stay.

        Parameters
        ----------
        wait
            Wait until everything has ended.
        cancel_futures
            Cancel what has not ended.
        """
        with self._lock:
            self._closed = True
            out = [future for future in self._out if not future.done()]
        if cancel_futures:
            for future in reversed(out):  # what waits before what runs, whose end would let it begin
                future.cancel()
        if wait:
            wait_for_futures(out)

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("cannot schedule new futures after shutdown")

    def _noted(self, result: Any) -> Any:
        with self._lock:
            self._out[result] = None
        return result


def _values(result: Any, until: float | None) -> Iterator[Any]:
    """Yield the items of a map; give up the rest with the iterator."""
    try:
        for place in range(result._places()):
            left = None if until is None else max(0.0, until - time.monotonic())
            if not result._await(lambda place=place: result._has_step(place), left):
                raise TimeoutError("an item did not come in time; the rest was cancelled")
            yield from result._step(place)
    finally:
        if not result.done():
            result._cancel_later()
