"""The standard library's pools: no hub, no named engines, one machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.peers.base import Peer, pids_by_tasks

if TYPE_CHECKING:
    from benchmarks.work import Array


class ProcessPool(Peer):
    """`concurrent.futures.ProcessPoolExecutor` with its defaults."""

    package = "concurrent.futures"
    client_import = "from concurrent.futures import ProcessPoolExecutor"
    data_remark = "task argument, task result"

    def start(self, engines: int) -> None:
        from concurrent.futures import ProcessPoolExecutor

        self._engines = engines
        self._pool = ProcessPoolExecutor(engines)
        self.engine_pids()  # it starts them when they are needed

    def stop(self) -> None:
        self._pool.shutdown()

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self._pool.submit(function, *args)

    def results(self, futures: Sequence[Any]) -> list[Any]:
        return [future.result() for future in futures]

    def map(self, function: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
        return list(self._pool.map(function, items, chunksize=1))

    def push(self, array: Array) -> None:
        from benchmarks.work import swallow

        self._pool.submit(swallow, array).result()

    def pull(self, nbytes: int) -> Array:
        from benchmarks.work import sample

        return self._pool.submit(sample, nbytes).result()

    def engine_pids(self) -> list[int]:
        return pids_by_tasks(self, self._engines)


class MultiprocessingPool(Peer):
    """`multiprocessing.Pool` with its defaults."""

    package = "multiprocessing.pool"
    client_import = "from multiprocessing import Pool"
    data_remark = "task argument, task result"

    def start(self, engines: int) -> None:
        from multiprocessing import Pool

        self._engines = engines
        self._pool = Pool(engines)
        self.engine_pids()

    def stop(self) -> None:
        self._pool.close()
        self._pool.join()

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self._pool.apply_async(function, args)

    def results(self, futures: Sequence[Any]) -> list[Any]:
        return [future.get() for future in futures]

    def map(self, function: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
        return self._pool.map(function, items, chunksize=1)

    def push(self, array: Array) -> None:
        from benchmarks.work import swallow

        self._pool.apply(swallow, (array,))

    def pull(self, nbytes: int) -> Array:
        from benchmarks.work import sample

        return self._pool.apply(sample, (nbytes,))

    def engine_pids(self) -> list[int]:
        return pids_by_tasks(self, self._engines)
