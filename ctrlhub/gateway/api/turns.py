"""Turns in the gateway's loop: what many ask for at a time is done one after the other, with pauses."""

from __future__ import annotations

import time
from asyncio import Lock, sleep
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """One at a time, in the order in which they come; and half of the loop's time at most.

    What a WebSocket says is handed on as long as there is something, with a look at what else the loop
    has to do only now and then. So what takes a while is done in a turn: behind each the loop is left
    to others for as long as it has taken.
    """

    def __init__(self) -> None:
        self._lock = Lock()

    @asynccontextmanager
    async def next(self) -> AsyncIterator[None]:
        """Wait for a turn, and end it by a pause."""
        async with self._lock:
            began = time.monotonic()
            try:
                yield
            finally:
                await sleep(time.monotonic() - began)
