"""A prototype from outside the project: ``--prototype PATH``.

The file at PATH is loaded with its own folder on ``sys.path``. It offers::

    cluster = Cluster(n, engine="inline" or "thread")
    future = cluster.client.submit(function, *args)
    cluster.client.wait(futures)  # -> results
    cluster.hub.pid, [engine.pid for engine in cluster.engines]
    cluster.stop()
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from benchmarks import work
from benchmarks.peers.base import Peer

#: Names the file, in the environment of every run.
PATH_VARIABLE = "BENCHMARKS_PROTOTYPE"


class Prototype(Peer):
    """The prototype as it comes: its engines have one thread."""

    package = ""
    client_import = ""
    options: ClassVar[dict[str, Any]] = {}

    @classmethod
    def absence(cls) -> str:
        return "" if os.environ.get(PATH_VARIABLE) else "name one with --prototype"

    def start(self, engines: int) -> None:
        path = Path(os.environ[PATH_VARIABLE])
        sys.path.insert(0, str(path.parent))
        self._cluster = importlib.import_module(path.stem).Cluster(engines, **self.options)
        self._client = self._cluster.client

    def stop(self) -> None:
        self._cluster.stop()

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self._client.submit(_BY_VALUE.get(function, function), *args)

    def results(self, futures: Sequence[Any]) -> list[Any]:
        return list(self._client.wait(futures))

    def engine_pids(self) -> list[int]:
        return [engine.pid for engine in self._cluster.engines]

    def hub_pids(self) -> list[int]:
        return [self._cluster.hub.pid]


class PrototypeThread(Prototype):
    """Its engines talk from another thread than the one that works, as ctrl-hub's do."""

    options: ClassVar[dict[str, Any]] = {"engine": "thread"}


class _ByValue:
    """A function that travels as its source: a prototype's engines need not import this package."""

    def __init__(self, source: str) -> None:
        self._source = source

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return eval, (self._source,)

    def __call__(self, *args: Any) -> Any:
        return eval(self._source)(*args)


_BY_VALUE: dict[Callable[..., Any], Callable[..., Any]] = {
    work.noop: _ByValue("lambda *_: None"),
    work.pid: os.getpid,
}
