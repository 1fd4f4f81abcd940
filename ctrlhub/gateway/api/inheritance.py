"""What the gateway before this one has left in a session: its results are fetched, for whoever asks for them.

The hub keeps them until then, counts them among what the session may have, and in the end takes no more.
"""

from __future__ import annotations

import logging
from asyncio import Event, create_task, to_thread
from collections.abc import Callable, Sequence

from ctrlhub.client.client import Client
from ctrlhub.client.metadata import UNFINISHED
from ctrlhub.client.on_behalf import follow_each, left_behind, records_by_number
from ctrlhub.client.rows import RAISED, Row
from ctrlhub.wire.errors import CtrlHubError

log = logging.getLogger(__name__)

AT_ONCE = 4_096
"""So many results are fetched at once: the hub has only so many on their way."""


class Inheritance:
    """Fetches what was left in a client's session; begins at once, in the event loop.

    Parameters
    ----------
    client
        The client, whose results are kept as they come.
    on_ended
        Told of those that end from now on.
    """

    def __init__(self, client: Client, on_ended: Callable[[Sequence[Row]], object]) -> None:
        self._client = client
        self._on_ended = on_ended
        self._task = create_task(self._take())

    async def _take(self) -> None:
        try:
            numbers = await to_thread(left_behind, self._client)
            for place in range(0, len(numbers), AT_ONCE):
                await self._take_some(numbers[place : place + AT_ONCE])
        except CtrlHubError as error:
            log.warning("what was left in session %d is not fetched: %s", self._client.session, error)
        else:
            if numbers:
                log.info("%d requests were left in session %d", len(numbers), self._client.session)

    async def _take_some(self, numbers: Sequence[int]) -> None:
        """Fetch those that have ended, and wait for them; have the others come as they end."""
        records = await to_thread(records_by_number, self._client, numbers)
        ended = [n for n in numbers if n not in records or records[n]["status"] not in UNFINISHED]
        left, come = set(ended), Event()

        def take(row: Row) -> None:
            self._is_there(row)
            left.discard(row[0])
            if not left:
                come.set()

        if ended:
            follow_each(self._client, ended, take)
            await come.wait()
        going = set(numbers).difference(ended)
        if going:
            follow_each(self._client, sorted(going), self._end)

    def _end(self, row: Row) -> None:
        if self._is_there(row):
            self._on_ended([row])

    def _is_there(self, row: Row) -> bool:
        if row[1] == RAISED:
            log.info("a result that was left does not come: %s", row[2])
        return bool(row[1] != RAISED)
