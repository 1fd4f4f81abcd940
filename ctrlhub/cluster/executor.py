"""`Executor`: engines in the place of `concurrent.futures.ProcessPoolExecutor`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import finalize, ref

from ctrlhub.client.executor import ViewExecutor
from ctrlhub.cluster.local import available_cores
from ctrlhub.cluster.pool import Pool
from ctrlhub.wire.errors import SessionClosed

if TYPE_CHECKING:
    from ctrlhub.client.balanced_view import LoadBalancedView
    from ctrlhub.client.client import Client

MOST_WORKERS = 1024
"""The most engines of a private cluster."""


class Executor(ViewExecutor):
    """An executor of `concurrent.futures`, to be used as one uses `ProcessPoolExecutor`.

    Without a client it has a private cluster on this host, which ends after `shutdown`, at the exit
    of the interpreter, or when nobody has the executor any more; in each case what was submitted is
    done before.

    A task that ends its engine is run again on another, three times at most, and then fails with an
    `EngineError`, which is a `BrokenExecutor`; the engine is replaced, and everything else goes on.
    Cancelling a task that runs interrupts it.

    Parameters
    ----------
    max_workers
        How many engines, 1,024 at most; as many as there are cores, if not given. With a client: how many of its
        engines, those of the lowest ids; if not given, all of them, also those to come.
    mp_context
        Taken for the sake of programs that pass it. Engines are always made afresh, and share
        nothing with this process.
    initializer, initargs
        What each engine calls before all else, also one that comes in another's place. Where it
        fails, everything outstanding fails with a `BrokenExecutor`, and so does `submit`.
    max_tasks_per_child
        After so many calls an engine is replaced by a fresh one; a chunk of a map is not parted.
    client
        The client whose engines are to be used; it is left as it is by `shutdown`.

    Raises
    ------
    StartFailed
        The private cluster did not become ready.

    Examples
    --------
    >>> with Executor() as executor:  # doctest: +SKIP
    ...     list(executor.map(pow, [1, 2, 3], [2, 2, 2]))
    [1, 4, 9]
    """

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: Any = None,
        initializer: Callable[..., Any] | None = None,
        initargs: Iterable[Any] = (),
        *,
        max_tasks_per_child: int | None = None,
        client: Client | None = None,
    ) -> None:
        _check_number("max_workers", max_workers)
        _check_number("max_tasks_per_child", max_tasks_per_child)
        if mp_context is not None and not hasattr(mp_context, "get_start_method"):
            raise TypeError(f"mp_context is a multiprocessing context or None, not {mp_context!r}")
        if initializer is not None and not callable(initializer):
            raise TypeError(f"initializer must be a callable, not {initializer!r}")
        self._pool: Pool | None = None
        self._uninitialize: Any = None
        arguments = tuple(initargs)
        if client is not None:
            if max_tasks_per_child is not None:
                raise ValueError(
                    "max_tasks_per_child replaces engines, which others may use: leave out the client"
                )
            targets = None if max_workers is None else client.ids[:max_workers]
            super().__init__(client.load_balanced_view(targets))
            if initializer is not None:
                name = f"executor-{os.urandom(4).hex()}"
                client.on_engine_start(initializer, *arguments, name=name)
                # Also of an executor that is forgotten: the hub keeps hooks for all that come.
                self._uninitialize = finalize(self, _remove_after, self._out, client, name)
            return
        if max_workers is not None and max_workers > MOST_WORKERS:
            raise ValueError(
                f"max_workers must be at most {MOST_WORKERS}, not {max_workers}: all of them are started "
                "at once, as processes of this host"
            )
        pool = self._pool = Pool(available_cores() if max_workers is None else max_workers)
        finalize(self, pool.finish_later).atexit = False
        super().__init__(_view_of(pool, max_tasks_per_child))
        if initializer is not None:
            pool.initialize(initializer, arguments)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing any more, and end the private cluster once all is done.

        Parameters
        ----------
        wait
            Wait for that. Otherwise it happens in the background.
        cancel_futures
            Cancel what does not run yet.
        """
        super().shutdown(wait, cancel_futures=cancel_futures)
        if self._uninitialize is not None:
            self._uninitialize()
        if self._pool is not None and wait:
            self._pool.finish()
        elif self._pool is not None:
            self._pool.finish_later()

    @property
    def _max_workers(self) -> int:
        return len(self.view) if self._pool is None else self._pool.workers

    def __repr__(self) -> str:
        where = "" if self._pool is None else " of its own"
        state = ", shut down" if self._closed else ""
        return f"<Executor: {self._max_workers} engines{where}{state}>"


def _remove_after(out: Iterable[ref[Future[Any]]], client: Client, name: str) -> None:
    """Remove an initializer once nothing is out any more that an engine to come might run."""
    futures = [each() for each in tuple(out)]
    left = {future for future in futures if future is not None and not future.done()}

    def ended(future: Future[Any] | None = None) -> None:
        left.discard(future)
        if not left and not client.closed:
            with suppress(SessionClosed):  # at this moment
                client._forget_start_hook(name)

    if not left:
        ended()
    for future in tuple(left):
        future.add_done_callback(ended)


def _view_of(pool: Pool, most: int | None) -> LoadBalancedView:
    if most is None:
        return pool.client.load_balanced_view()
    from ctrlhub.cluster.wearing_view import WearingView

    return WearingView(pool.client, most)


def _check_number(name: str, value: object) -> None:
    if value is None:
        return
    if type(value) is not int:
        raise TypeError(f"{name} must be a whole number or None, not {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be greater than 0, not {value}")
