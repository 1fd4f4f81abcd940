"""The raw limit: client -> relay -> engines in pyzmq, msgpack and pickle, and nothing else.

It sends what ctrl-hub sends, in batches as ctrl-hub does, and leaves out all that makes a product:
no security, no store, no acknowledgement, no heartbeat, no engine that may die, one thread in each
process but the client. So it says what this machine allows a hub in plain Python.

Messages are ``[tag, body]``, with the sender before the tag where a ROUTER reads:

======  ==================  ==========================================================
HELLO   both ways           a client asks; the answer comes when all engines are there
READY   engine -> relay     an engine is there
CALLS   client -> relay     ``[(number, engine or -1, function, arguments), ...]``
CALLS   relay -> engine     the same with the relay's own numbers
DONE    both ways back      ``[(number, result), ...]``
BULK    through to engine   ``[tag, buffer]``: kept there; an empty one asks for it back
======  ==================  ==========================================================

Run by `benchmarks.peers.raw_relay` as ``python -m benchmarks.relay hub URL N`` and ``... engine``.
"""

from __future__ import annotations

import functools
import itertools
import pickle
import sys
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any

import msgpack
import zmq

HELLO, READY, CALLS, DONE, BULK = b"H", b"R", b"C", b"D", b"B"
ANY_ENGINE = -1

#: Tasks an engine is given ahead; it gets more when half of them are done, so batches stay large.
_AHEAD = 256
#: Messages taken in before what they caused is sent.
_TURN = 256

Call = tuple[int, int, bytes, bytes]

pack: Callable[[Any], bytes] = msgpack.Packer().pack
unpack: Callable[[Any], Any] = msgpack.unpackb


def open_socket(kind: int) -> zmq.Socket[bytes]:
    """Return a socket that drops nothing, and does not wait for the other side at the end."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
    socket = context.socket(kind)
    socket.linger = 0
    socket.sndhwm = socket.rcvhwm = 0
    return socket


class _Hub:
    """Queue, who waits for what, and how much more each engine may get."""

    def __init__(self, socket: zmq.Socket[bytes], engines: int) -> None:
        self._socket = socket
        self._expected = engines
        self._engines: list[bytes] = []
        self._room: dict[bytes, int] = {}
        self._waiting: deque[Call] = deque()
        self._addressed: defaultdict[bytes, list[Call]] = defaultdict(list)
        self._replies: defaultdict[bytes, list[tuple[int, bytes]]] = defaultdict(list)
        self._callers: dict[int, tuple[bytes, int]] = {}
        self._numbers = itertools.count()
        self._greeted: bytes | None = None
        self._bulk_client = b""

    def serve(self) -> None:
        """Relay until killed."""
        receive = self._socket.recv_multipart
        while True:
            self._take(receive(copy=False))
            try:
                for _ in range(_TURN):
                    self._take(receive(zmq.NOBLOCK, copy=False))
            except zmq.Again:
                pass
            self._send_replies()
            self._send_calls()

    def _take(self, frames: Sequence[zmq.Frame]) -> None:
        sender, tag, *body = frames
        peer = sender.bytes
        match tag.bytes:
            case b"C":
                self._take_calls(peer, unpack(body[0].buffer))
            case b"D":
                self._take_results(peer, unpack(body[0].buffer))
            case b"B":
                self._pass_bulk(peer, body)
            case b"R":
                self._engines.append(peer)
                self._room[peer] = _AHEAD
            case b"H":
                self._greeted = peer
        if self._greeted is not None and len(self._engines) == self._expected:
            self._socket.send_multipart([self._greeted, HELLO, b""])
            self._greeted = None

    def _take_calls(self, client: bytes, calls: list[Call]) -> None:
        for number, engine, function, arguments in calls:
            own = next(self._numbers)
            self._callers[own] = client, number
            call = own, engine, function, arguments
            if engine == ANY_ENGINE:
                self._waiting.append(call)
            else:
                self._addressed[self._engines[engine]].append(call)

    def _take_results(self, engine: bytes, results: list[tuple[int, bytes]]) -> None:
        self._room[engine] += len(results)
        for own, value in results:
            client, number = self._callers.pop(own)
            self._replies[client].append((number, value))

    def _pass_bulk(self, peer: bytes, body: list[zmq.Frame]) -> None:
        if peer in self._room:
            receiver = self._bulk_client
        else:
            receiver, self._bulk_client = self._engines[0], peer
        self._socket.send_multipart([receiver, BULK, *body], copy=False)

    def _send_replies(self) -> None:
        for client, results in self._replies.items():
            self._socket.send_multipart([client, DONE, pack(results)])
        self._replies.clear()

    def _send_calls(self) -> None:
        for engine, calls in self._addressed.items():
            self._room[engine] -= len(calls)
            self._socket.send_multipart([engine, CALLS, pack(calls)])
        self._addressed.clear()
        if not self._waiting:
            return
        share = -(-len(self._waiting) // len(self._engines))
        for engine, room in sorted(self._room.items(), key=lambda item: -item[1]):
            count = min(share, room, len(self._waiting))
            if count > 0 and room >= _AHEAD // 2:
                self._room[engine] -= count
                calls = [self._waiting.popleft() for _ in range(count)]
                self._socket.send_multipart([engine, CALLS, pack(calls)])


def serve_hub(url: str, engines: int) -> None:
    """Run the relay until killed."""
    socket = open_socket(zmq.ROUTER)
    socket.bind(url)
    _Hub(socket, engines).serve()


def serve_engine(url: str) -> None:
    """Run one engine until killed."""
    socket = open_socket(zmq.DEALER)
    socket.connect(url)
    socket.send_multipart([READY, b""])
    load_function = functools.lru_cache(pickle.loads)
    load, dump = pickle.loads, pickle.dumps
    kept: Any = b""
    while True:
        tag, body = socket.recv_multipart(copy=False)
        if tag.bytes == CALLS:
            results = [
                (number, dump(load_function(function)(*load(arguments)), 5))
                for number, _, function, arguments in unpack(body.buffer)
            ]
            socket.send_multipart([DONE, pack(results)])
        elif len(body) == 0:
            socket.send_multipart([BULK, kept], copy=False)
        else:
            kept = body
            socket.send_multipart([BULK, b""])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["hub", url, engines]:
            serve_hub(url, int(engines))
        case ["engine", url]:
            serve_engine(url)
