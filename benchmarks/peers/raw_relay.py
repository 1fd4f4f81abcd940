"""The raw limit as a peer: the client of `benchmarks.relay`."""

from __future__ import annotations

import itertools
import os
import pickle
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from benchmarks.peers.base import Peer

if TYPE_CHECKING:
    from concurrent.futures import Future

    from benchmarks.work import Array

#: Tasks in one message at most.
_BATCH = 512


class RawRelay(Peer):
    """One thread of the client submits and waits; another sends, receives and completes futures."""

    package = "zmq"
    client_import = "import zmq, msgpack, pickle, concurrent.futures"

    def start(self, engines: int) -> None:
        from concurrent.futures import Future
        from threading import Thread

        import zmq

        from benchmarks import relay

        self._relay = relay
        self._future = Future
        self._url = f"ipc://{tempfile.mkdtemp(prefix='relay-')}/hub"
        self._hub = self._command("hub", self._url, str(engines))
        self._engines = [self._command("engine", self._url) for _ in range(engines)]
        self._socket = relay.open_socket(zmq.DEALER)
        self._socket.connect(self._url)
        self._socket.send_multipart([relay.HELLO, b""])
        self._socket.recv_multipart()
        self._futures: dict[int, Future[Any]] = {}
        self._numbers = itertools.count()
        self._outbox: deque[tuple[int, int, bytes, bytes]] = deque()
        self._bulk: deque[tuple[Any, Future[Any]]] = deque()
        self._bulk_waiting: deque[Future[Any]] = deque()
        self._wakeup = os.eventfd(0)
        self._woken = False
        self._name = lru_cache(partial(pickle.dumps, protocol=5))
        self._thread = Thread(target=self._exchange, daemon=True)
        self._thread.start()

    @staticmethod
    def _command(*arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "benchmarks.relay", *arguments])

    def stop(self) -> None:
        for process in (self._hub, *self._engines):
            process.kill()
            process.wait()

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        return self._send(-1, function, args)

    def _send(self, engine: int, function: Callable[..., Any], args: Any) -> Future[Any]:
        number = next(self._numbers)
        future = self._futures[number] = self._future()
        self._outbox.append((number, engine, self._name(function), pickle.dumps(args, 5)))
        self._wake()
        return future

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            os.eventfd_write(self._wakeup, 1)

    def results(self, futures: Sequence[Any]) -> list[Any]:
        return [future.result() for future in futures]

    def call_one(self, function: Callable[..., Any]) -> Any:
        return self._send(0, function, ()).result()

    def call_all(self, function: Callable[..., Any]) -> list[Any]:
        engines = range(len(self._engines))
        return self.results([self._send(engine, function, ()) for engine in engines])

    def push(self, array: Array) -> None:
        self._send_bulk(array)

    def pull(self, nbytes: int) -> Array:
        import numpy as np

        return np.frombuffer(self._send_bulk(b""), dtype=np.float64)

    def _send_bulk(self, buffer: Any) -> Any:
        future: Future[Any] = self._future()
        self._bulk.append((buffer, future))
        self._wake()
        return future.result()

    def engine_pids(self) -> list[int]:
        from benchmarks.work import pid

        return self.call_all(pid)

    def hub_pids(self) -> list[int]:
        return [self._hub.pid]

    # In the thread that owns the socket

    def _exchange(self) -> None:
        import zmq

        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._wakeup, zmq.POLLIN)
        while True:
            for ready, _ in poller.poll():
                if ready == self._wakeup:
                    os.eventfd_read(self._wakeup)
                    self._woken = False  # before looking, so that nothing put in later is missed
                    self._flush()
                else:
                    self._receive()

    def _flush(self) -> None:
        outbox, relay = self._outbox, self._relay
        while outbox:
            calls = [outbox.popleft() for _ in range(min(_BATCH, len(outbox)))]
            self._socket.send_multipart([relay.CALLS, relay.pack(calls)])
        while self._bulk:
            buffer, future = self._bulk.popleft()
            self._bulk_waiting.append(future)
            self._socket.send_multipart([relay.BULK, buffer], copy=False)

    def _receive(self) -> None:
        tag, body = self._socket.recv_multipart(copy=False)
        if tag.bytes == self._relay.BULK:
            self._bulk_waiting.popleft().set_result(body.buffer)
            return
        for number, value in self._relay.unpack(body.buffer):
            self._futures.pop(number).set_result(pickle.loads(value))
