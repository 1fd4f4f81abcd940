"""Finding results, wherever they are: here, on their way, or at the hub; a few at a time, so that none are held."""

from __future__ import annotations

import time
from asyncio import Event, timeout, to_thread
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ctrlhub.client.client import Client
from ctrlhub.client.handing_over import is_bare
from ctrlhub.client.metadata import UNFINISHED
from ctrlhub.client.on_behalf import follow_each, records_by_number
from ctrlhub.client.rows import Row
from ctrlhub.gateway.access.roles import Role
from ctrlhub.gateway.api.kept import Kept, weight
from ctrlhub.gateway.api.shelf import Shelf
from ctrlhub.gateway.api.shelf_file import with_unread
from ctrlhub.gateway.api.submissions import Submissions

LEAST = 0.05
"""So long (seconds) the hub is waited for in any case."""

PATIENCE = 10.0
"""And so long for what it has said is there."""

AT_ONCE = 16
"""So many results the hub is asked for at a time: each may have some MB of output."""

LOOKED_AT = 256
"""So many requests are looked at for the next rows that there is room for."""

ASKED_OF = 2048
"""And for the states of so many."""

MOST_HELD = 8 * 1024 * 1024
"""So many bytes of what others have asked for are held, once they have come, until they are told."""


@dataclass(slots=True)
class Ended:
    """Which of some requests have ended.

    Attributes
    ----------
    numbers
        Their ids.
    held
        Rows of some of them that the hub may not give again.
    """

    numbers: set[int] = field(default_factory=set)
    held: dict[int, Row] = field(default_factory=dict)
    size: int = 0

    def add(self, row: Row) -> None:
        """Take note that a request has ended; hold its row, if that takes little memory."""
        self.numbers.add(row[0])
        if is_bare(row):  # it is of our own session, and on the shelf
            return
        row = with_unread(row)
        size = weight(row)
        if self.size + size <= MOST_HELD:
            self.size += size
            self.held[row[0]] = row


class Finding:
    """Finds results.

    Parameters
    ----------
    of
        Returns what is submitted by a role.
    every
        Returns that of all roles.
    kept
        Requests that have ended without a result.
    shelf
        Results.
    """

    def __init__(
        self,
        of: Callable[[Role], Awaitable[Submissions]],
        every: Callable[[], Sequence[Submissions]],
        kept: Kept,
        shelf: Shelf,
    ) -> None:
        self._of = of
        self._every = every
        self._kept = kept
        self._shelf = shelf

    async def here(self, number: int) -> Row | None:
        """Return the row of a request that was made here and has ended."""
        return self._own(number) or await self._shelf.find(number)

    async def fetched(self, role: Role, number: int, wait: float) -> Row | None:
        """Return the row of a request; None if it has not ended in time."""
        for each in self._every():
            if each.is_out(number):
                await each.wait([number], wait)
        row = await self.here(number)
        if row is not None or self._is_out(number):
            return row
        return (await (await self._of(role)).from_hub([number], wait))[0]

    async def ended(self, role: Role, numbers: Sequence[int], wait: float) -> Ended:
        """Wait until requests have ended, for so long; return which have."""
        until = time.monotonic() + wait
        for each in self._every():
            await each.wait(numbers, max(0.0, until - time.monotonic()))
        left = [number for number in numbers if not self._is_out(number)]
        ended = Ended({number for number in left if self._own(number) is not None})
        ended.numbers |= await self._shelf.known([n for n in left if n not in ended.numbers])
        missing = [number for number in left if number not in ended.numbers]
        if missing:
            client = (await self._of(role)).client.client
            await self._ended_at_hub(client, missing, max(LEAST, until - time.monotonic()), ended)
        return ended

    async def rows(
        self, role: Role, numbers: Sequence[int], ended: Ended
    ) -> AsyncIterator[Row | None]:
        """Yield the rows of requests, in order; None for those that have not ended."""
        place = 0
        while place < len(numbers):
            some = await self._some(role, numbers[place : place + LOOKED_AT], ended)
            place += len(some)
            for row in some:
                yield row

    # ------------------------------------------------------------ here

    def _is_out(self, number: int) -> bool:
        return any(each.is_out(number) for each in self._every())

    def _own(self, number: int) -> Row | None:
        """Return a row that has no result: the request was refused, or taken back."""
        for each in self._every():
            row = each.row(number)
            if row is not None and not is_bare(row):
                return row
        return self._kept.find(number)

    async def _some(self, role: Role, numbers: Sequence[int], ended: Ended) -> list[Row | None]:
        """Return the rows of the first of some requests, at least one."""
        at_hand: dict[int, Row | None] = {}
        for number in numbers:
            row = ended.held.pop(number, None) or self._own(number)
            if row is not None or number not in ended.numbers:
                at_hand[number] = row
        sought = [number for number in numbers if number not in at_hand]
        if sought:
            found = await self._shelf.some(sought)
            at_hand.update((n, row) for n, row in zip(sought, found, strict=False) if row is not None)
            lacking = [n for n, row in zip(sought, found, strict=False) if row is None][:AT_ONCE]
            if lacking:
                rows = await (await self._of(role)).from_hub(lacking, PATIENCE)
                at_hand.update(zip(lacking, rows, strict=True))
        some: list[Row | None] = []
        for number in numbers:
            if number not in at_hand:
                break
            some.append(at_hand[number])
        return some

    # ------------------------------------------------------------ at the hub

    async def _ended_at_hub(
        self, client: Client, numbers: Sequence[int], wait: float, ended: Ended
    ) -> None:
        statuses = await to_thread(_statuses, client, numbers)
        ended.numbers.update(n for n, status in statuses.items() if status not in UNFINISHED)
        left = {number for number in numbers if number not in ended.numbers}
        if not left:
            return
        come = Event()

        def take(row: Row) -> None:
            ended.add(row)
            left.discard(row[0])
            if not left:
                come.set()

        stop = follow_each(client, sorted(left), take)
        try:
            async with timeout(wait):
                await come.wait()
        except TimeoutError:
            pass
        finally:
            if left:
                stop()


def _statuses(client: Client, numbers: Sequence[int]) -> Mapping[int, str]:
    """Return what the hub's records say of requests, of which there may be many; of each one word."""
    found: dict[int, str] = {}
    for place in range(0, len(numbers), ASKED_OF):
        records = records_by_number(client, numbers[place : place + ASKED_OF])
        found.update((number, str(record["status"])) for number, record in records.items())
    return found
