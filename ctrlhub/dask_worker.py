"""A Dask worker in this process: what `Client.become_dask` has engines do.

It lives in threads of its own, beside the engine's code, and ends with its scheduler.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed import Worker

START_TIMEOUT = 30.0
"""How long (seconds) a worker has to find its scheduler."""

_running: _Running | None = None


class _Running:
    """A worker, and the event loop that it lives in."""

    def __init__(self, scheduler: str, options: dict[str, Any]) -> None:
        self.scheduler = scheduler
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="dask-worker", daemon=True
        )
        self._thread.start()
        try:
            self.worker = self._run(_worker(scheduler, options))
        except BaseException:
            self._end()
            raise

    def serves(self, scheduler: str) -> bool:
        """Say whether it works for a scheduler, still."""
        return self.scheduler == scheduler and self.worker.status.name == "running"

    def stop(self) -> None:
        self._run(self.worker.close(reason="stop_dask"))
        self._end()

    def _run(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _worker(scheduler: str, options: dict[str, Any]) -> Worker:
    from distributed import Nanny, Worker

    kind = Nanny if options.pop("nanny", False) else Worker
    return await asyncio.wait_for(kind(scheduler, **options), START_TIMEOUT)


def start(scheduler: str, options: dict[str, Any]) -> str:
    """Have this process work for a Dask scheduler; return the worker's address.

    One that works for it already goes on, one of another scheduler ends.

    Parameters
    ----------
    scheduler
        The scheduler's address.
    options
        Arguments of `distributed.Worker`; with ``nanny=True`` of `distributed.Nanny`.
    """
    global _running
    if _running is None or not _running.serves(scheduler):
        stop()
        _running = _Running(scheduler, dict(options))
    address: str = _running.worker.address
    return address


def stop() -> None:
    """End this process's worker, if there is one."""
    global _running
    running, _running = _running, None
    if running is not None:
        running.stop()
