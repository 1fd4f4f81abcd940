"""What REST has submitted through one client of the hub, and what has come of it."""

from __future__ import annotations

from asyncio import FIRST_COMPLETED, Task, create_task, to_thread, wait, wait_for
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from ctrlhub.client.arrivals import arrivals_here
from ctrlhub.client.async_client import AsyncClient
from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.balanced_view import LoadBalancedView
from ctrlhub.client.direct_view import DirectView
from ctrlhub.client.handing_over import is_bare
from ctrlhub.client.loop_client import LoopClient
from ctrlhub.client.on_behalf import (
    acknowledge,
    hand_over,
    has_made,
    have_parent,
    keep_acceptance,
    records_by_number,
    stop_later,
    stored,
)
from ctrlhub.client.room import without_waiting
from ctrlhub.client.rows import Row
from ctrlhub.client.unopened import give_up, next_number, numbers_of, output_so_far, rows_of
from ctrlhub.engine.by_name import call_by_name
from ctrlhub.gateway.api.failing import log_failure
from ctrlhub.gateway.api.held import Held, refusals_in, row_of
from ctrlhub.gateway.api.jobs import TRACE, Batch, Job
from ctrlhub.gateway.api.kept import Kept
from ctrlhub.gateway.api.outcomes import is_lost, not_kept
from ctrlhub.gateway.api.shelf import Shelf
from ctrlhub.gateway.api.shelf_file import with_unread
from ctrlhub.wire.errors import InvalidEngineID, NoEnginesRegistered
from ctrlhub.wire.ids import session_of, text_of
from ctrlhub.wire.messages import Stream

T = TypeVar("T")

MOST_KEPT = 16 * 1024 * 1024
"""How much (bytes) is remembered of requests that have ended without a result: refused, taken back."""

MOST_ROWS = 200_000
"""And of how many."""

WINDOW = 8 * 1024 * 1024
"""So many bytes of results may be on their way here at a time, for each role."""

MOST_VIEWS = 256
"""So many sets of options have a view that is ready."""


class Submissions:
    """Requests that were made by HTTP through one client.

    All of it in the event loop's thread.

    Parameters
    ----------
    client
        The client, which keeps acceptance.
    kept
        Where rows are kept of requests that have ended without a result.
    shelf
        Where results are kept.
    on_submitted
        Told what was submitted.
    on_ended
        Told what has ended.
    """

    def __init__(
        self,
        client: AsyncClient,
        kept: Kept,
        shelf: Shelf,
        on_submitted: Callable[[Submissions, list[int]], object],
        on_ended: Callable[[Sequence[Row]], object],
    ) -> None:
        self.client = client
        self._shelf = shelf
        self._passing: set[int] = set()
        self._session = client.client.session
        self._on_submitted = on_submitted
        self._on_ended = on_ended
        self._kept = kept
        self._loop_client = LoopClient.of(client.client)
        self._views: OrderedDict[Any, LoadBalancedView] = OrderedDict()
        self._out: dict[int, tuple[AsyncResult, int]] = {}
        self._watching: set[Any] = set()

    @property
    def outstanding(self) -> int:
        """How many requests have not ended."""
        return len(self._out)

    @property
    def next_number(self) -> int:
        """The id that the next request will have."""
        return next_number(self.client.client)

    # ------------------------------------------------------------ submitting

    async def tasks(
        self, batches: Sequence[Batch], claim: Callable[[range], object] = id
    ) -> list[int]:
        """Submit tasks; return their ids, in order. They are accepted once `safe` says so.

        Parameters
        ----------
        batches
            The tasks.
        claim
            Called with the ids that they will have, before the first of them leaves.

        Raises
        ------
        LimitExceeded
            The hub takes no more now, and those of this call are stopped; or there is no room for results.
        StoreError
            Results cannot be kept.
        InvalidEngineID
            An engine is named that is not there.
        """
        self._shelf.check_room()
        views = [await self._known(partial(self._view, batch.options)) for batch in batches]
        first = self.next_number  # nobody waits from here on, and so nobody takes ids in between
        claim(range(first, first + sum(len(batch.jobs) for batch in batches)))
        results: list[AsyncResult] = []
        try:
            with without_waiting():
                for view, batch in zip(views, batches, strict=True):
                    results.append(_submitted(view, batch.jobs))
        except BaseException:
            for result in results:
                result._cancel_later()
            raise
        return [number for result in results for number in self._watched(result)]

    async def safe(self, numbers: Sequence[int]) -> None:
        """Wait until the hub has stored requests that were made here; if it refuses one, stop the others.

        Raises
        ------
        HubUnavailable
            It has not said so.
        LimitExceeded, StoreError, PermissionDenied, InvalidRequest
            It has refused some.
        """
        held = self.held(numbers)
        await stored(self.client.client, numbers)
        self._check(numbers, held)

    async def settled(self, numbers: Sequence[int], timeout: float) -> None:
        """Wait until requests that were made here have ended, for so long; else until they are stored.

        Errors as of `safe`: where the hub refuses some, nobody waits for the others.
        """
        if timeout:
            held = self.held(numbers)
            await self._first_of(create_task(self.safe(numbers)), create_task(self.wait(numbers, timeout)))
            self._check(numbers, held)
        else:
            await self.safe(numbers)

    async def _first_of(self, safe: Task[None], ended: Task[bool]) -> None:
        try:
            await wait({safe, ended}, return_when=FIRST_COMPLETED)
            if safe.done():
                safe.result()
            if not await ended:
                await safe
        finally:
            ended.cancel()
            safe.cancel()

    def _check(self, numbers: Sequence[int], held: Iterable[Held]) -> None:
        refusal = next(refusals_in(held), None)
        if refusal is not None:
            self.stop(numbers)
            raise refusal[1]

    def stop(self, numbers: Sequence[int]) -> None:
        """Stop tasks that were made here and have not ended, and do not wait for it."""
        out = [number for number in numbers if self.is_out(number)]
        if out:
            stop_later(self.client.client, out)

    def has_made(self, number: int) -> bool:
        """Tell whether a request was made by this client, in this process."""
        return has_made(self.client.client, number)

    async def apply(self, engines: Sequence[int], job: Job, label: str) -> list[int]:
        """Call a function on explicit engines; return the ids, one for each."""
        self._shelf.check_room()
        view = await self._direct(engines, label)
        with without_waiting():
            return self._watched(view.apply_async(call_by_name, job.function, job.arguments))

    async def call(
        self, engines: Sequence[int], function: Callable[..., Any], *args: Any, label: str
    ) -> list[int]:
        """Call one of our own functions on explicit engines; return the ids, one for each.

        What comes of it is for who waits for it, and is not kept.
        """
        view = await self._direct(engines, label)
        first = self.next_number
        self._passing.update(range(first, first + len(engines)))  # before anything of it can come
        with without_waiting():
            return self._watched(view.apply_async(function, *args))

    async def execute(self, engines: Sequence[int], code: str, label: str) -> list[int]:
        """Run code on explicit engines, as a cell; return the ids, one for each."""
        self._shelf.check_room()
        view = await self._direct(engines, label)
        with without_waiting():
            return self._watched(view.execute(code, silent=False))

    async def engines(self, named: str) -> list[int]:
        """Return the engines that a path names, each once: ``all``, or ids with commas between them.

        Raises
        ------
        InvalidEngineID, NoEnginesRegistered
            They are not there.
        """
        wanted: Any = "all"
        if named != "all":
            wanted = list(dict.fromkeys(int(each) for each in named.split(",")))
        return await self._known(lambda: self._loop_client._resolve(wanted))

    async def _direct(self, engines: Sequence[int], label: str) -> DirectView:
        wanted = list(engines)
        return await self._known(
            lambda: self._loop_client.direct_view(wanted, block=False, label=label)
        )

    async def _known(self, make: Callable[[], T]) -> T:
        """Return what can be made once the engines are known here; the hub is asked if need be."""
        try:
            return make()
        except (InvalidEngineID, NoEnginesRegistered):
            return await to_thread(make)

    def _view(self, options: Mapping[str, Any]) -> LoadBalancedView:
        if TRACE in options:
            flags = {name: value for name, value in options.items() if name != TRACE}
            made = self._loop_client.load_balanced_view(block=False, **flags)
            have_parent(made, *options[TRACE])
            return made
        if not options.keys().isdisjoint(("targets", "after", "follow", "resources")):
            return self._loop_client.load_balanced_view(block=False, **options)
        key = tuple(sorted(options.items()))
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = self._loop_client.load_balanced_view(block=False, **options)
            if len(self._views) > MOST_VIEWS:
                self._views.popitem(last=False)
        return view

    def _watched(self, result: AsyncResult) -> list[int]:
        numbers = list(numbers_of(result))
        for place, number in enumerate(numbers):
            self._out[number] = (result, place)
        watcher = create_task(self._watch(result, numbers))
        self._watching.add(watcher)
        watcher.add_done_callback(self._watching.discard)
        watcher.add_done_callback(log_failure)
        self._on_submitted(self, numbers)
        return numbers

    async def _watch(self, result: AsyncResult, numbers: Sequence[int]) -> None:
        try:
            await arrivals_here().expect(result)
        finally:  # whatever has failed: what is not here the hub is asked for
            rows = [row for row in rows_of(result) if row is not None]
            for row in rows:
                if not is_bare(row) and row[0] not in self._passing:
                    self._kept.add(row)
            for number in numbers:
                del self._out[number]
            self._passing.difference_update(numbers)
        self._on_ended(rows)

    # ------------------------------------------------------------ as a keeper, in the I/O thread

    def wants(self, number: int) -> bool:
        """Tell whether a result is to be kept: those of our own requests are."""
        return session_of(number) == self._session and number not in self._passing

    def take(self, stream: Stream, row: Row) -> bool:
        """Keep a result; a word of the hub's that it has none is none."""
        if is_lost(row):
            return False
        self._shelf.put(row, stream, self._safe)
        return True

    def _safe(self, stream: Stream, numbers: Collection[int]) -> None:
        """Acknowledge results that are kept; in the shelf's thread."""
        acknowledge(self.client.client, stream, numbers)

    def begin(self) -> None:
        """Have results kept from now on; not from an event loop."""
        keep_acceptance(self.client.client)
        hand_over(self.client.client, self, WINDOW)

    # ------------------------------------------------------------ what has come

    def row(self, number: int) -> Row | None:
        """Return the row of a request, if it is here."""
        found = self._out.get(number)
        if found is not None:
            return rows_of(found[0])[found[1]]
        return self._kept.find(number)

    def out(self) -> list[int]:
        """Return the ids of the requests that have not ended."""
        return list(self._out)

    def is_out(self, number: int) -> bool:
        """Tell whether a request was made here, and has not ended as far as is known here."""
        return number in self._out and self.row(number) is None

    async def wait(self, numbers: Iterable[int], timeout: float) -> bool:
        """Wait for requests that were made here; tell whether all have ended."""
        wanted: dict[int, tuple[AsyncResult, list[int]]] = {}
        for number in numbers:
            found = self._out.get(number)
            if found is not None:
                wanted.setdefault(id(found[0]), (found[0], []))[1].append(found[1])
        results: list[AsyncResult] = []
        for result, places in wanted.values():
            if len(places) == len(result):
                results.append(result)
            else:
                parts = result.split()
                results += [parts[place] for place in places]
        return await _all_within(results, timeout)

    async def rows(self, numbers: Sequence[int], timeout: float) -> list[Row | None]:
        """Wait for requests that were made here; return the rows of those that have ended."""
        held = self.held(numbers)
        await self.wait(numbers, timeout)
        return list(map(row_of, held))

    def held(self, numbers: Iterable[int]) -> list[Held]:
        """Take hold of requests, so that who waits for them knows how they have ended whatever is kept."""
        return [(self._out.get(number), self._kept.find(number)) for number in numbers]

    async def from_hub(self, numbers: Sequence[int], timeout: float) -> list[Row | None]:
        """Return the rows of requests of whomever; None for those that have not ended in time."""
        result = await self.client.get_result([text_of(number) for number in numbers])
        try:
            await _all_within([result], timeout)
        finally:
            if not result.done():
                give_up(self.client.client, result)
        rows = [row and await self._whole(row) for row in rows_of(result)]
        if lost := [row[0] for row in rows if row is not None and is_lost(row)]:
            records = await to_thread(records_by_number, self.client.client, lost)
            rows = [row if row is None else not_kept(row, records.get(row[0])) for row in rows]
        return rows

    async def _whole(self, row: Row) -> Row:
        """Return a row with its value, which may have gone to the shelf."""
        found = await self._shelf.find(row[0]) if is_bare(row) else None
        return found or with_unread(row)

    def live_output(self, number: int) -> Mapping[str, Any]:
        """Return what a request that was made here has put out so far."""
        return output_so_far(self.client.client, number)


def _submitted(view: LoadBalancedView, jobs: Sequence[Job]) -> AsyncResult:
    if len(jobs) == 1:
        return view.apply_async(call_by_name, jobs[0].function, jobs[0].arguments)
    return view.map_async(
        call_by_name, [job.function for job in jobs], [job.arguments for job in jobs]
    )


async def _all_within(results: Sequence[AsyncResult], timeout: float) -> bool:
    """Wait for results; tell whether all have come within a time (seconds)."""

    async def all_of() -> None:
        for result in results:
            if not result.done():
                await arrivals_here().expect(result)

    try:
        await wait_for(all_of(), timeout)
    except TimeoutError:
        return all(result.done() for result in results)
    return True
