"""What requests of other clients put out: watched at the hub, once for all subscribers, while any wants it."""

from __future__ import annotations

import logging
import time
from asyncio import Lock, get_running_loop, to_thread
from collections.abc import Callable, Collection
from functools import partial

from ctrlhub.client.async_client import AsyncClient
from ctrlhub.client.taken_in import TakenIn
from ctrlhub.client.unopened import took_output, unwatch_output, watch_output
from ctrlhub.wire.errors import LimitExceeded, UnknownInterface
from ctrlhub.wire.ids import session_of
from ctrlhub.wire.messages import WatchedOutput, WatchedRow

log = logging.getLogger(__name__)

ACKNOWLEDGE = 2
"""The hub is told of every so many messages that they were taken in: a quarter of what may be on its way."""

LINGER = 5.0
"""So long (seconds) it is watched when nobody wants it: who has just asked for it has not subscribed yet."""


class OutputOfAll:
    """Watches the output of requests that were not made through this gateway.

    Parameters
    ----------
    own
        Returns the numbers of the sessions whose output comes in another way.
    tell
        Gets each piece of output, in the gateway's loop.
    leave_out
        Told how many pieces were left out.
    """

    def __init__(
        self,
        own: Callable[[], Collection[int]],
        tell: Callable[[WatchedRow], None],
        leave_out: Callable[[int], None],
    ) -> None:
        self._own = own
        self._tell = tell
        self._leave_out = leave_out
        self._loop = get_running_loop()
        self._lock = Lock()
        self._watching: tuple[AsyncClient, frozenset[int]] | None = None
        self._is_told = self._is_refused = False
        self._until = 0.0

    @property
    def is_on(self) -> bool:
        """Whether the hub tells of output."""
        return self._watching is not None

    async def begin(self, client: AsyncClient) -> None:
        """See that output comes: what is put out once this has returned is told.

        Raises
        ------
        CtrlHubError
            The hub does not answer.
        """
        self._until = time.monotonic() + LINGER
        async with self._lock:
            watching = client, frozenset(self._own())
            if self._watching == watching:
                return
            take = partial(self._came, client, TakenIn(ACKNOWLEDGE))
            try:
                await to_thread(watch_output, client.client, sorted(watching[1]), take)
                self._is_told = True
            except LimitExceeded as error:
                if not self._is_refused:
                    log.warning("only the output of requests made here is told as yet: %s", error)
                self._is_refused = True
                return  # it is tried again, as long as somebody wants it
            except UnknownInterface as error:
                self._is_told = False
                log.info("only the output of requests made here is told: %s", error)
            self._is_refused = False
            self._watching = watching

    async def look(self, client: AsyncClient, is_wanted: bool) -> None:
        """Begin, go on or end, as is wanted; errors as of `begin`."""
        if is_wanted:
            await self.begin(client)
        elif self._watching is not None and time.monotonic() >= self._until:
            async with self._lock:
                watched, self._watching = self._watching[0], None
                if self._is_told and not watched.closed:
                    await to_thread(unwatch_output, watched.client)

    def _came(self, client: AsyncClient, taken_in: TakenIn, message: WatchedOutput) -> None:
        """Take what came; in the client's I/O thread."""
        self._loop.call_soon_threadsafe(self._take, client, taken_in, message)

    def _take(self, client: AsyncClient, taken_in: TakenIn, message: WatchedOutput) -> None:
        own = self._own()
        if message.missed:
            self._leave_out(message.missed)
        for row in message.rows:
            if session_of(row[0]) not in own:
                self._tell(row)
        if taken_in.is_to_be_told(message.number) and not client.closed:
            took_output(client.client, message.number)
