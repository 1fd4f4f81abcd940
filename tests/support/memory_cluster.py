"""A whole cluster in this process: hub, engines and clients in threads, on the memory transport."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from typing import Any

from ctrlhub import Client
from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.hub import Hub
from ctrlhub.controller.loop import HubLoop
from ctrlhub.controller.stores.memory import MemoryStore
from ctrlhub.controller.transports.memory import MemoryTransport
from tests.support.thread_engine import PATIENCE, ThreadEngine, routed_output

UNHURRIED: dict[str, Any] = {"suspect": 60.0, "lost": 600.0}
"""Seconds: all peers share one interpreter, so that any of them may be silent for a while."""


class MemoryCluster:
    """Offers of `ctrlhub.Cluster` what the contract suite uses."""

    def __init__(self, n: int, **options: Any) -> None:
        self.n = n
        self._config = HubConfig(profile="memory", **{**UNHURRIED, **options})
        self._transport = MemoryTransport()
        self._engines: list[ThreadEngine] = []
        self._hub: Hub | None = None
        self._serves = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="test-hub", daemon=True)

    def _serve(self) -> None:
        loop = HubLoop()
        self._hub = Hub(self._config, [self._transport], MemoryStore(), loop=loop)
        loop.soon(self._serves.set)
        self._hub.run()

    def start(self) -> Client:
        """Start hub and engines; return a client once all are registered."""
        self._thread.start()
        assert self._serves.wait(PATIENCE), "the hub does not serve"
        self._engines = [ThreadEngine(self._transport.connect()) for _ in range(self.n)]
        client = self.connect_client_sync()
        client.wait_for_engines(self.n, timeout=PATIENCE)
        return client

    def connect_client_sync(self, **options: Any) -> Client:
        """Connect another client."""
        return Client._on_link(self._transport.connect(), **options)

    def routed_output(self) -> AbstractContextManager[None]:
        """Part what the engines print while this is entered."""
        return routed_output()

    def stop(self) -> None:
        """End everything."""
        for engine in self._engines:
            engine.stop()
        if self._hub is not None:
            self._hub.stop("the test is over")
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the hub's thread does not end"
