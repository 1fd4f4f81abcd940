"""Dask: a scheduler and workers in processes of their own, as on a cluster."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers.base import Peer

if TYPE_CHECKING:
    from benchmarks.work import Array


class DaskCluster(Peer):
    """``dask scheduler`` and ``dask worker`` with one thread for each worker process."""

    package = "distributed"
    client_import = "from distributed import Client"

    def start(self, engines: int) -> None:
        import distributed

        scratch = tempfile.mkdtemp(prefix="dask-")
        contact = Path(scratch, "scheduler.json")
        contact_option = f"--scheduler-file={contact}"
        self._scheduler = self._command("scheduler", contact_option, "--host=127.0.0.1", "--port=0")
        self._workers = self._command(
            "worker",
            contact_option,
            f"--nworkers={engines}",
            "--nthreads=1",
            "--host=127.0.0.1",
            f"--local-directory={scratch}",
        )
        # The client waits for the file by itself.
        self._client = distributed.Client(scheduler_file=str(contact), set_as_default=False)
        self._client.wait_for_workers(engines)
        self._one = min(self._client.scheduler_info(n_workers=-1)["workers"])
        self._pushed: Any = None

    @staticmethod
    def _command(verb: str, *options: str) -> subprocess.Popen[bytes]:
        module = f"distributed.cli.dask_{verb}"
        return subprocess.Popen(
            [sys.executable, "-m", module, "--no-dashboard", *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        self._client.close()
        for process in (self._workers, self._scheduler):
            process.terminate()
            process.wait()

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self._client.submit(function, *args, pure=False)  # else equal calls run once

    def results(self, futures: Sequence[Any]) -> list[Any]:
        return list(self._client.gather(futures))

    def map(self, function: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
        return self.results(self._client.map(function, list(items), pure=False))

    def call_one(self, function: Callable[..., Any]) -> Any:
        return self._client.run(function, workers=[self._one])[self._one]

    def call_all(self, function: Callable[..., Any]) -> Any:
        return self._client.run(function)

    def push(self, array: Array) -> None:
        self._pushed = None  # lets go of the one before
        self._pushed = self._client.scatter(array, workers=[self._one], hash=False)

    def push_all(self, array: Array) -> None:
        self._pushed = None
        self._pushed = self._client.scatter(array, broadcast=True, hash=False)

    def pull(self, nbytes: int) -> Array:
        array: Array = self._pushed.result()
        return array

    def engine_pids(self) -> list[int]:
        from benchmarks.work import pid

        return list(self._client.run(pid).values())

    def hub_pids(self) -> list[int]:
        return [self._scheduler.pid]
