"""What all handlers of REST share in one gateway: submissions by role, rows that are kept, keys."""

from __future__ import annotations

import logging
import time
from asyncio import Lock, to_thread
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from ctrlhub.client.async_client import AsyncClient
from ctrlhub.client.on_behalf import all_stored, is_first, records_by_number, stored
from ctrlhub.client.rows import Row
from ctrlhub.gateway.access.roles import Role
from ctrlhub.gateway.api.finding import Finding
from ctrlhub.gateway.api.held import refusals_in
from ctrlhub.gateway.api.idempotency import Claimed, KeyReused, Keys, Stage, digest_of
from ctrlhub.gateway.api.inheritance import Inheritance
from ctrlhub.gateway.api.jobs import Batch, some_of
from ctrlhub.gateway.api.journal import Journal
from ctrlhub.gateway.api.kept import Kept
from ctrlhub.gateway.api.outcomes import STATE_OF_RECORD, is_refused
from ctrlhub.gateway.api.shelf import Limits, Shelf
from ctrlhub.gateway.api.submissions import MOST_KEPT, MOST_ROWS, Submissions
from ctrlhub.gateway.context import Gateway
from ctrlhub.wire.errors import HubUnavailable
from ctrlhub.wire.ids import to_ranges
from ctrlhub.wire.telemetry import Telemetry

MOST_STATES = 1024
"""Of so many requests at once the hub is asked whether they run: it takes about a millisecond."""

log = logging.getLogger(__name__)

SHELF = "gateway-results"
"""The directory in the profile's that has results."""

JOURNAL = "gateway-keys.jsonl"
"""The file in the profile's directory that has the keys of submissions."""


class Rest:
    """What handlers share.

    Parameters
    ----------
    gateway
        The gateway.

    Attributes
    ----------
    shelf
        Results.
    finding
        Finds results.
    live
        The events, once somebody has subscribed.
    on_submitted : callable
        Told what was submitted.
    on_ended : callable
        Told what has ended.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._kept = Kept(MOST_KEPT, MOST_ROWS)
        config = gateway.config
        self.shelf = Shelf(
            Path(gateway.profile.directory) / SHELF, Limits(config.results_bytes, config.results_age)
        )
        self.finding = Finding(self.of, self.all, self._kept, self.shelf)
        self._by_role: dict[Role, Submissions] = {}
        self.on_submitted: Callable[[Submissions, list[int]], object] = _heed_nothing
        self.on_ended: Callable[[Iterable[Row]], object] = id
        self._keys: Keys | None = None
        self._inheriting: set[Inheritance] = set()
        self._beginning = Lock()
        self._turns: WeakValueDictionary[str, Lock] = WeakValueDictionary()
        self._journal = Journal(Path(gateway.profile.directory) / JOURNAL)

    async def client(self, role: Role) -> AsyncClient:
        """Return the client of a role."""
        return await self._gateway.clients.of(role)

    async def of(self, role: Role) -> Submissions:
        """Return what is submitted by a role."""
        client = await self.client(role)
        known = self._by_role.get(role)
        if known is not None and known.client is client:
            return known
        made = Submissions(
            client,
            self._kept,
            self.shelf,
            lambda *what: self.on_submitted(*what),
            lambda rows: self.on_ended(rows),
        )
        async with self._beginning:
            known = self._by_role.get(role)
            if known is not None and known.client is client:  # somebody was quicker
                return known
            if is_first(client.client):  # whoever had its number before
                await self.shelf.forget(client.client.session)
            await to_thread(made.begin)
            self._by_role[role] = made
        self._inheriting.add(Inheritance(client.client, lambda rows: self.on_ended(rows)))
        return made

    async def telemetry(self) -> Telemetry:
        """Return the hub's figures, not older than a second."""
        return await self._gateway.telemetry.now()

    def all(self) -> Sequence[Submissions]:
        """Return what is submitted by each role."""
        return list(self._by_role.values())

    async def record(self, role: Role, number: int) -> dict[str, Any] | None:
        """Return what the hub knows of a request; None if nothing."""
        found = await self.ask(role, "history", "records", requests=to_ranges([number]))
        return found["records"][0] if found["records"] else None

    async def states(self, role: Role, numbers: Sequence[int]) -> dict[int, str]:
        """Return whether requests are queued or run, as the hub knows it: of the first so many."""
        if not numbers:
            return {}
        client = await self.client(role)
        records = await to_thread(records_by_number, client.client, numbers[:MOST_STATES])
        return {number: STATE_OF_RECORD.get(each["status"], each["status"]) for number, each in records.items()}

    async def ask(self, role: Role, interface: str, method: str, **arguments: Any) -> Any:
        """Ask the hub something, as a client of a role."""
        client = await self.client(role)
        return await to_thread(
            lambda: getattr(client.client.interface(interface), method)(**arguments)
        )

    async def live_output(self, number: int) -> Mapping[str, Any]:
        """Return what a request has put out so far, if it was made here; else nothing."""
        for each in self._by_role.values():
            if each.is_out(number):
                return each.live_output(number)
        return {}

    # ------------------------------------------------------------ keys

    async def submit_once(
        self, role: Role, key: str, body: bytes, batches: Sequence[Batch]
    ) -> list[int]:
        """Submit tasks, unless that was done by this key before; return their ids, once they are stored.

        Raises
        ------
        KeyReused
            The key was used for something else.
        HubUnavailable, LimitExceeded …
            The hub has not stored them, or has refused some: then the others are stopped, and the key is
            as if it had not been said.
        """
        submissions = await self.of(role)
        turn = self._turns.setdefault(key, Lock())
        async with turn:  # who says it twice at a time gets the answer of the first, twice
            before = self._known_keys().find(key, time.time())
            if before is None:
                places = [0] * sum(len(batch.jobs) for batch in batches)
            elif before.digest != digest_of(body):
                raise KeyReused("this Idempotency-Key was used for another body: take a new one")
            elif before.stage is Stage.STORED:
                return before.numbers
            else:
                places = await self._standing(submissions, before.numbers)
            return await self._complete(submissions, key, body, batches, places)

    async def _complete(
        self,
        submissions: Submissions,
        key: str,
        body: bytes,
        batches: Sequence[Batch],
        places: Sequence[int],
    ) -> list[int]:
        """Submit those tasks that have no id but 0; return the ids of all, once they are stored."""
        keys = self._known_keys()

        def claim(new: Iterable[int]) -> Claimed:
            fresh = iter(new)
            numbers = [number or next(fresh) for number in places]
            claimed = keys.claim(key, body, numbers, time.time())
            self._journal.add(claimed, keys)
            return claimed

        def go_back() -> None:
            claimed = keys.claim(key, body, places, time.time())
            self._journal.add(claimed if any(places) else keys.withdraw(claimed), keys)

        lacking = some_of(batches, [not number for number in places])
        new: list[int] = []
        if lacking:
            try:
                new = await submissions.tasks(lacking, claim)
            except Exception:
                go_back()
                raise
        claimed = claim(new)
        held = submissions.held(new)
        await stored(submissions.client.client, new)
        refusal = next(refusals_in(held), None)
        if refusal is not None:
            go_back()
            submissions.stop(new)
            raise refusal[1]
        self._journal.add(keys.stored(claimed), keys)
        return claimed.numbers

    async def _standing(self, submissions: Submissions, numbers: Sequence[int]) -> list[int]:
        """Return which requests of an earlier try stand; 0 for each that the hub has not, or has refused."""
        client = submissions.client.client
        unsure = {number for number in numbers if number}
        ours = [number for number in unsure if submissions.has_made(number)]
        try:
            await stored(client, ours)
            unsure.difference_update(ours)
        except HubUnavailable as error:
            if any(map(submissions.is_out, ours)):
                raise
            log.info("the hub is asked for what was submitted: %s", error)
        gone = {0, *(number for number, _ in refusals_in(submissions.held(ours)))}
        if unsure:
            records = await to_thread(records_by_number, client, unsure)
            await to_thread(all_stored, client)  # what it has is to outlive it
            gone |= {n for n in unsure if n not in records or is_refused(records[n])}
        return [0 if number in gone else number for number in numbers]

    def _known_keys(self) -> Keys:
        if self._keys is None:
            keys = Keys()
            keys.read(self._journal.lines(), time.time())
            self._keys = keys  # only what was read: who knows half of the keys makes things twice
        return self._keys


def _heed_nothing(submissions: Submissions, numbers: list[int]) -> None:
    """Do nothing: nobody wants to know."""


def rest_of(gateway: Gateway) -> Rest:
    """Return what handlers of a gateway share."""
    return gateway.parts.one(Rest, gateway)
