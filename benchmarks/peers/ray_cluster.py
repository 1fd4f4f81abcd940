"""Ray: tasks, actors for what goes to one engine, and its object store."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from benchmarks.peers.base import Peer, pids_by_tasks

if TYPE_CHECKING:
    from benchmarks.work import Array

_OBJECT_STORE_BYTES = 1_000_000_000


class RayCluster(Peer):
    """``ray.init`` with as many CPUs as engines, and no dashboard."""

    package = "ray"
    client_import = "import ray"
    data_remark = "shared memory on one host"

    def start(self, engines: int) -> None:
        import ray

        self._ray = ray
        self._engines = engines
        ray.init(
            num_cpus=engines,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=_OBJECT_STORE_BYTES,
            _node_ip_address="127.0.0.1",
            _temp_dir=f"{tempfile.gettempdir()}/ray",
        )
        self._remote = lru_cache(ray.remote)

    def stop(self) -> None:
        self._ray.shutdown()

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self._remote(function).remote(*args)

    def results(self, futures: Sequence[Any]) -> list[Any]:
        return list(self._ray.get(futures))

    @cached_property
    def _actors(self) -> list[Any]:
        """Actors in the place of engines; they take no CPU from the tasks."""
        engine = self._ray.remote(num_cpus=0)(Engine)
        actors = [engine.remote() for _ in range(self._engines)]
        self._ray.get([actor.run.remote(int) for actor in actors])
        return actors

    def call_one(self, function: Callable[..., Any]) -> Any:
        return self._ray.get(self._actors[0].run.remote(function))

    def call_all(self, function: Callable[..., Any]) -> Any:
        return self._ray.get([actor.run.remote(function) for actor in self._actors])

    def push(self, array: Array) -> None:
        self._ray.get(self._actors[0].keep.remote(array))

    def push_all(self, array: Array) -> None:
        once = self._ray.put(array)
        self._ray.get([actor.keep.remote(once) for actor in self._actors])

    def pull(self, nbytes: int) -> Array:
        array: Array = self._ray.get(self._actors[0].kept.remote())
        return array

    def engine_pids(self) -> list[int]:
        return pids_by_tasks(self, self._engines)

    def hub_pids(self) -> list[int]:
        import psutil

        below = psutil.Process().children(recursive=True)
        return [p.pid for p in below if not _is_worker(p.cmdline())]


class Engine:
    """The class behind the actors."""

    def run(self, function: Callable[..., Any]) -> Any:
        """Call a function."""
        return function()

    def keep(self, array: Array) -> None:
        """Hold an array."""
        self._array = array

    def kept(self) -> Array:
        """Return it."""
        return self._array


def _is_worker(command: list[str]) -> bool:
    return any(part.startswith("ray::") or "default_worker" in part for part in command)
