"""A cluster in a running event loop: the methods as coroutines, under the names of ipyparallel."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ctrlhub.cluster.engines import EngineCommands

if TYPE_CHECKING:
    from ctrlhub.client.client import Client

T = TypeVar("T")


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

    def start_cluster_sync(self, n: int | None = None) -> Self:
        """Start hub and engines."""
        raise NotImplementedError

    def start_controller_sync(self) -> Self:
        """Start the hub alone."""
        raise NotImplementedError

    async def start_cluster(self, n: int | None = None) -> Self:
        """Start hub and engines; `n` of these, if given."""
        return await _in_thread(self.start_cluster_sync, n)

    async def start_controller(self) -> Self:
        """Start the hub alone; engines follow with `start_engines`."""
        return await _in_thread(self.start_controller_sync)

    async def stop_cluster(self) -> None:
        """End everything."""
        await _in_thread(self.stop)

    async def stop_controller(self) -> None:
        """End the hub, and with it everything."""
        await _in_thread(self.stop)

    async def connect_client(self, **options: Any) -> Client:
        """Connect another client; the parameters are those of `Client`."""
        return await _in_thread(self.connect_client_sync, **options)

    async def start_and_connect(self, n: int | None = None, activate: bool = False) -> Client:
        """Start everything and return a client; parameters as of `start_and_connect_sync`."""
        return await _in_thread(self.start_and_connect_sync, n, activate)

    async def start_engines(
        self, n: int | None = None, engine_set_id: str | None = None, **options: Any
    ) -> str:
        """Start another set of engines; parameters as of `start_engines_sync`."""
        return await _in_thread(self.start_engines_sync, n, engine_set_id, **options)

    async def stop_engines(self, engine_set_id: str | None = None) -> None:
        """End a set of engines, or all."""
        await _in_thread(self.stop_engines_sync, engine_set_id)

    async def restart_engines(self, engine_set_id: str | None = None) -> None:
        """Put fresh processes in the places of all engines, or of a set's."""
        await _in_thread(self.restart_engines_sync, engine_set_id)

    async def signal_engines(self, signum: int | str, engine_set_id: str | None = None) -> None:
        """Send a signal to all engines, or to a set's."""
        await _in_thread(self.signal_engines_sync, signum, engine_set_id)

    async def stop_engine(self, engine_id: int) -> None:
        """End an engine, and wait until it has."""
        await _in_thread(self.stop_engine_sync, engine_id)

    async def restart_engine(self, engine_id: int) -> None:
        """Put a fresh process in the place of an engine."""
        await _in_thread(self.restart_engine_sync, engine_id)

    async def signal_engine(self, signum: int | str, engine_id: int) -> None:
        """Send a signal to an engine."""
        await _in_thread(self.signal_engine_sync, signum, engine_id)

    async def scale_async(
        self, n: int, engine_set_id: str | None = None, **options: Any
    ) -> list[int]:
        """Have so many engines in a set; parameters as of `scale`."""
        return await _in_thread(self.scale, n, engine_set_id, **options)

    async def __aenter__(self) -> Client:
        return await self.start_and_connect()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop_cluster()


async def _in_thread(call: Callable[..., T], *arguments: Any, **options: Any) -> T:
    from asyncio import to_thread  # scripts have no need of it

    return await to_thread(call, *arguments, **options)
