"""ipyparallel: the closest relative, whose names ctrl-hub keeps."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.peers.base import Peer

if TYPE_CHECKING:
    from benchmarks.work import Array


class IPythonParallel(Peer):
    """A cluster of its own with default settings."""

    package = "ipyparallel"
    client_import = "from ipyparallel import Client"
    largest_queue = 10_000

    def start(self, engines: int) -> None:
        import ipyparallel

        self._cluster = ipyparallel.Cluster(n=engines, log_level=logging.ERROR)
        self._client = self._cluster.start_and_connect_sync(activate=False)
        self._client.wait_for_engines(engines, interactive=False)
        self._balanced = self._client.load_balanced_view()
        self._all = self._client[:]
        self._one = self._client[self._client.ids[0]]

    def stop(self) -> None:
        self._client.close()
        self._cluster.stop_cluster_sync()

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self._balanced.apply_async(function, *args)

    def results(self, futures: Sequence[Any]) -> list[Any]:
        self._client.wait(futures)  # quicker than waiting for one after the other
        return [future.get() for future in futures]

    def map(self, function: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
        return list(self._balanced.map_async(function, items, chunksize=1).get())

    def call(self, function: Callable[..., Any]) -> Any:
        return self._balanced.apply_sync(function)

    def call_one(self, function: Callable[..., Any]) -> Any:
        return self._one.apply_sync(function)

    def call_all(self, function: Callable[..., Any]) -> Any:
        return self._all.apply_sync(function)

    def push(self, array: Array) -> None:
        self._one.push({"array": array}, block=True)

    def push_all(self, array: Array) -> None:
        self._all.push({"array": array}, block=True)

    def pull(self, nbytes: int) -> Array:
        array: Array = self._one.pull("array", block=True)
        return array

    def engine_pids(self) -> list[int]:
        from benchmarks.work import pid

        return list(self._all.apply_sync(pid))

    def hub_pids(self) -> list[int]:
        return [self._cluster.controller.pid]
