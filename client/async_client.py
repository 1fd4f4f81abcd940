"""AsyncClient: the way in for programs that run in asyncio."""

from __future__ import annotations

from asyncio import Event, to_thread, wrap_future
from asyncio import timeout as within
from collections.abc import Generator, Iterator
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import Any, Self

from ctrlhub.client.arrivals import arrivals_here
from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.async_views import (
    AsyncBroadcastView,
    AsyncDirectView,
    AsyncLoadBalancedView,
)
from ctrlhub.client.client import Client
from ctrlhub.client.coroutines import asking
from ctrlhub.client.jobs import SomeJobs
from ctrlhub.client.loop_client import LoopClient
from ctrlhub.client.targets import Targets


class AsyncClient:
    """A client whose views are coroutines, in any event loop of asyncio, that of Jupyter as well.

    It connects as it is entered (``async with``) or awaited. Calls are made in the loop's own
    thread, which is told of their results as they come; only what asks the hub a question takes a
    thread for the time of the answer.

    Parameters
    ----------
    *where, **options
        As for `Client`.
    client
        A client that is there already. It is used, and left open.

    Examples
    --------
    >>> async with AsyncClient() as client:
    ...     view = client.load_balanced_view()
    ...     await view.apply(pow, 2, 3)
    8
    """

    def __init__(self, *where: Any, client: Client | None = None, **options: Any) -> None:
        if client is not None and (where or options):
            raise TypeError("a client that is there needs nothing more: give it alone")
        self._connect = partial(Client, *where, **options)
        self._client = client
        self._seen: LoopClient | None = None
        self._own = client is None

    # ------------------------------------------------------------ life

    @property
    def _inner(self) -> Client:
        if self._client is None:
            raise RuntimeError(
                "not connected: use `async with AsyncClient() as client`, or await it"
            )
        return self._client

    @property
    def _here(self) -> LoopClient:
        """The client that views stand on, which waits for nobody in the event loop."""
        if self._seen is None:
            self._seen = LoopClient.of(self._inner)
        return self._seen

    async def connect(self) -> Self:
        """Connect, if that has not been done; raise what `Client` raises if it cannot."""
        if self._client is None:
            self._client = await to_thread(self._connect)
        if self._client._connection.may_miss_engines:
            await to_thread(self._client._connection.current_engines)
        return self

    def __await__(self) -> Generator[Any, None, Self]:
        """Connect."""
        return self.connect().__await__()

    async def close(self) -> None:
        """Leave the hub, but for a client that was there already."""
        if self._own and self._client is not None:
            await to_thread(self._client.close)

    async def __aenter__(self) -> Self:
        return await self.connect()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return "<AsyncClient>" if self._client is None else f"<AsyncClient on {self._client!r}>"

    @property
    def client(self) -> Client:
        """The client that this one stands on; its calls that wait block the event loop."""
        return self._inner

    @property
    def closed(self) -> bool:
        """Whether it was closed, by us or by the hub's end."""
        return self._inner.closed

    # ------------------------------------------------------------ engines and views

    @property
    def ids(self) -> list[int]:
        """The ids of the engines that are known here, in order."""
        return sorted(self._inner._connection.engines())

    def __len__(self) -> int:
        return len(self.ids)

    # A client is true, also while there are no engines.
    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[AsyncDirectView]:
        """Yield a view on each engine."""
        for number in self.ids:
            yield self.direct_view(number)

    def __getitem__(self, targets: Targets) -> AsyncDirectView:
        """Return a view on one engine, or on those there are now of several or a slice.

        The hub is not asked for engines that are not known here: `wait_for_engines` makes sure.
        """
        return AsyncDirectView(self._here[targets].set_flags(block=False))

    def direct_view(self, targets: Targets = "all", **flags: Any) -> AsyncDirectView:
        """Return a view on explicit engines; parameters as of `Client.direct_view`."""
        inner = self._here.direct_view(targets, block=False)
        return AsyncDirectView(inner).set_flags(**flags)

    def broadcast_view(self, targets: Targets = "all", **flags: Any) -> AsyncBroadcastView:
        """Return a view on explicit engines; parameters as of `Client.broadcast_view`."""
        inner = self._here.broadcast_view(targets, block=False)
        return AsyncBroadcastView(inner).set_flags(**flags)

    def load_balanced_view(self, targets: Targets = None, **flags: Any) -> AsyncLoadBalancedView:
        """Return a view on engines as one; parameters as of `Client.load_balanced_view`."""
        inner = self._here.load_balanced_view(targets, block=False)
        return AsyncLoadBalancedView(inner).set_flags(**flags)

    async def wait_for_engines(self, n: int | None = None, timeout: float | None = None) -> None:
        """Wait until there are `n` engines; parameters and errors as of `Client.wait_for_engines`."""
        future = self._inner.wait_for_engines(n, timeout=timeout, block=False)
        assert future is not None  # it does not block
        await wrap_future(future)

    async def clear(self, targets: Targets = "all") -> None:
        """Forget everything in the namespaces of engines."""
        await self.direct_view(targets).clear()

    # ------------------------------------------------------------ what was asked

    async def wait(self, jobs: SomeJobs = None, timeout: float | None = None) -> bool:
        """Wait for results, and say whether all are done; parameters as of `Client.wait`.

        If this wait is cancelled, what it waited for goes on.
        """
        futures = await to_thread(self._inner._futures, jobs)
        limit = None if timeout is None or timeout < 0 else timeout
        try:
            async with within(limit):
                for future in futures:
                    if isinstance(future, AsyncResult):
                        await future._until(future.done)
                    elif not future.done():
                        await _end(future)
        except TimeoutError:
            return all(future.done() for future in futures)
        return True

    abort = asking(Client.abort)
    cancel_requests = asking(Client.cancel_requests)
    db_query = asking(Client.db_query)
    detach = asking(Client.detach)
    end_session = asking(Client.end_session)
    drain = asking(Client.drain)
    explain = asking(Client.explain)
    flush = asking(Client.flush)
    forward_logging = asking(Client.forward_logging)
    gateway = asking(Client.gateway)
    get_result = asking(Client.get_result)
    hub_history = asking(Client.hub_history)
    interrupt = asking(Client.interrupt)
    on_engine_start = asking(Client.on_engine_start)
    purge_everything = asking(Client.purge_everything)
    purge_results = asking(Client.purge_results)
    queue_status = asking(Client.queue_status)
    remove_start_hook = asking(Client.remove_start_hook)
    restart = asking(Client.restart)
    result_status = asking(Client.result_status)
    resubmit = asking(Client.resubmit)
    send_signal = asking(Client.send_signal)
    sessions = asking(Client.sessions)
    shutdown = asking(Client.shutdown)
    start_engines = asking(Client.start_engines)
    status = asking(Client.status)
    telemetry = asking(Client.telemetry)
    unfetched = asking(Client.unfetched)
    unforward_logging = asking(Client.unforward_logging)
    upload = asking(Client.upload)


async def _end(future: Future[Any]) -> None:
    """Wait for a future of any kind, and leave it as it is."""
    ended, arrivals = Event(), arrivals_here()
    future.add_done_callback(lambda _: arrivals.add(ended.set))
    await ended.wait()
