"""A cluster in a running event loop: the methods as coroutines, under the names of ipyparallel."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ctrlhub.cluster.engines import EngineCommands

if TYPE_CHECKING:
    from ctrlhub.client.client import Client


class Coroutines(EngineCommands):
    """What `Cluster` offers to a notebook's loop. The work is done in a thread meanwhile.

    A wait that is cancelled does not end what it has begun: `stop_cluster` does.
    """

    def start(self) -> Client:
        """Start everything."""
        raise NotImplementedError

    def stop(self) -> None:
        """End everything."""
        raise NotImplementedError

    def connect_client_sync(self, **options: Any) -> Client:
        """Connect another client."""
        raise NotImplementedError

    def start_and_connect_sync(self, n: int | None = None, activate: bool = False) -> Client:
        """Start everything and return a client."""
        raise NotImplementedError

    async def start_cluster(self) -> Self:
        """Start hub and engines."""
        from asyncio import to_thread  # scripts have no need of it

        await to_thread(self.start)
        return self

    async def stop_cluster(self) -> None:
        """End everything."""
        from asyncio import to_thread

        await to_thread(self.stop)

    async def connect_client(self, **options: Any) -> Client:
        """Connect another client; the parameters are those of `Client`."""
        from asyncio import to_thread

        return await to_thread(self.connect_client_sync, **options)

    async def start_and_connect(self, n: int | None = None, activate: bool = False) -> Client:
        """Start everything and return a client; parameters as of `start_and_connect_sync`."""
        from asyncio import to_thread

        return await to_thread(self.start_and_connect_sync, n, activate)

    async def restart_engines(self) -> None:
        """Put fresh processes in the places of all engines."""
        from asyncio import to_thread

        await to_thread(self.restart_engines_sync)

    async def signal_engines(self, signum: int | str) -> None:
        """Send a signal to all engines."""
        from asyncio import to_thread

        await to_thread(self.signal_engines_sync, signum)

    async def __aenter__(self) -> Client:
        return await self.start_and_connect()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop_cluster()
