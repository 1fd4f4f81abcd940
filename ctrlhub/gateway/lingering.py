"""An answer to who is still sending.

To close a connection on which something was not read has the system throw away the answer, too. So the
answer is sent, our side is closed, and what still comes is read and let go, for a while.
"""

from __future__ import annotations

import asyncio
import socket
from http import HTTPStatus

from tornado.httputil import HTTPHeaders
from tornado.iostream import IOStream, StreamClosedError

PATIENCE = 2.0
"""How long (seconds) it is read on."""

MOST = 64 * 1024 * 1024
"""So much (bytes) is let go; who sends more loses the answer."""

MOST_AT_ONCE = 256
"""So many are read on at a time; beyond that who sends may lose the answer."""

PIECE = 64 * 1024

_running: set[asyncio.Task[None]] = set()


def lingering_answer(stream: IOStream, status: int, headers: HTTPHeaders, body: bytes) -> None:
    """Answer on a stream that was taken from its connection, and end it."""
    headers["Content-Length"] = str(len(body))
    headers["Connection"] = "close"
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.get_all())
    data = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{head}\r\n".encode("latin1") + body
    if len(_running) >= MOST_AT_ONCE:
        stream.write(data)
        stream.close()
        return
    task = asyncio.get_running_loop().create_task(_linger(stream, data))
    _running.add(task)
    task.add_done_callback(_running.discard)


async def _linger(stream: IOStream, data: bytes) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            await stream.write(data)
            if type(stream) is IOStream:  # TLS would have to say goodbye first, and does not while it reads
                stream.socket.shutdown(socket.SHUT_WR)
            left = MOST
            while left > 0:
                left -= len(await stream.read_bytes(PIECE, partial=True))
    except (StreamClosedError, TimeoutError, OSError):
        pass  # that is the end we wait for, or as long as we wait
    finally:
        stream.close()
