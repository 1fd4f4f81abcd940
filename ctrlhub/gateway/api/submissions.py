"""What REST has submitted through one client of the hub, and what has come of it."""

from __future__ import annotations

from asyncio import FIRST_COMPLETED, Task, create_task, to_thread, wait, wait_for
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

from ctrlhub.client.arrivals import arrivals_here
from ctrlhub.client.async_client import AsyncClient
from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.balanced_view import LoadBalancedView
from ctrlhub.client.direct_view import DirectView
from ctrlhub.client.loop_client import LoopClient
from ctrlhub.client.on_behalf import has_made, have_parent, records_by_number, stop_later, stored
from ctrlhub.client.room import without_waiting
from ctrlhub.client.rows import Row
from ctrlhub.client.unopened import give_up, next_number, numbers_of, output_so_far, rows_of
from ctrlhub.engine.by_name import call_by_name
from ctrlhub.gateway.api.failing import log_failure
from ctrlhub.gateway.api.jobs import TRACE, Batch, Job
from ctrlhub.gateway.api.kept import Kept
from ctrlhub.gateway.api.outcomes import is_lost, not_kept, refusal_in
from ctrlhub.wire.errors import CtrlHubError, InvalidEngineID, NoEnginesRegistered, ResultLost
from ctrlhub.wire.ids import text_of

T = TypeVar("T")

Held: TypeAlias = tuple[tuple[AsyncResult, int] | None, Row | None]
"""A request that is out, with its place in what it was submitted with; or else its row."""

MOST_KEPT = 256 * 1024 * 1024
"""How much (bytes) of results is kept here; older ones the hub's history has."""

MOST_ROWS = 200_000
"""And of how many."""

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
        Where rows are kept that have come.
    on_submitted
        Told what was submitted.
    on_ended
        Told what has ended.
    """

    def __init__(
        self,
        client: AsyncClient,
        kept: Kept,
        on_submitted: Callable[[Submissions, list[int]], object],
        on_ended: Callable[[Iterable[Row]], object],
    ) -> None:
        self.client = client
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
            The hub takes no more now; those of this call are stopped.
        InvalidEngineID
            An engine is named that is not there.
        """
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
        await stored(self.client.client, numbers)
        self._check(numbers)

    async def settled(self, numbers: Sequence[int], timeout: float) -> list[Row | None]:
        """Wait until requests that were made here have ended, for so long; else until they are stored.

        Return the rows of those that have ended. Errors as of `safe`: where the hub refuses some, nobody
        waits for the others.
        """
        held = self._held(numbers)
        if timeout:
            await self._first_of(create_task(self.safe(numbers)), create_task(self.wait(numbers, timeout)))
            self._check(numbers)
        else:
            await self.safe(numbers)
        rows = list(map(_row_held, held))
        gone = [n for n, row in zip(numbers, rows, strict=True) if row is None and n not in self._out]
        if timeout and gone:  # they had ended before, and have made room since
            again = dict(zip(gone, await self.from_hub(gone, timeout), strict=True))
            rows = [again.get(n, row) for n, row in zip(numbers, rows, strict=True)]
        return rows

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

    def _check(self, numbers: Sequence[int]) -> None:
        refusal = next(self.refusals(numbers), None)
        if refusal is not None:
            self.stop(numbers)
            raise refusal[1]

    def refusals(self, numbers: Iterable[int]) -> Iterator[tuple[int, CtrlHubError]]:
        """Yield those of some requests that were refused, and why."""
        for number in numbers:
            row = self.row(number)
            error = None if row is None else refusal_in(row)
            if error is not None:
                yield number, error

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
        return await self.call(engines, call_by_name, job.function, job.arguments, label=label)

    async def call(
        self, engines: Sequence[int], function: Callable[..., Any], *args: Any, label: str
    ) -> list[int]:
        """Call one of our own functions on explicit engines; return the ids, one for each."""
        view = await self._direct(engines, label)
        with without_waiting():
            return self._watched(view.apply_async(function, *args))

    async def execute(self, engines: Sequence[int], code: str, label: str) -> list[int]:
        """Run code on explicit engines, as a cell; return the ids, one for each."""
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
                self._kept.add(row)
            for number in numbers:
                del self._out[number]
        self._on_ended(rows)

    # ------------------------------------------------------------ what has come

    def row(self, number: int) -> Row | None:
        """Return the row of a request, if it is here."""
        found = self._out.get(number)
        if found is not None:
            return rows_of(found[0])[found[1]]
        return self._kept.find(number)

    def taken(self, number: int) -> Row:
        """Return the row of a request that was made here and has ended, and keep it no longer."""
        row = self.row(number)
        if row is None:
            raise ResultLost(f"the result of {text_of(number)} was not kept: ask the hub for it")
        self._kept.drop(number)
        return row

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

    async def fetched(self, number: int, timeout: float) -> Row | None:
        """Return the row of any request, from the hub if need be; None if it has not ended in time."""
        here, wanted = self.row(number), [number]
        if here is not None:
            return here
        if number in self._out:
            return (await self.rows(wanted, timeout))[0]
        return (await self.from_hub(wanted, timeout))[0]

    async def rows(self, numbers: Sequence[int], timeout: float) -> list[Row | None]:
        """Wait for requests that were made here; return the rows of those that have ended, or are here."""
        held = self._held(numbers)
        await self.wait(numbers, timeout)
        return list(map(_row_held, held))

    def _held(self, numbers: Iterable[int]) -> list[Held]:
        """Take hold of requests, so that who waits for them has their rows whatever there is room for."""
        return [(self._out.get(number), self._kept.find(number)) for number in numbers]

    async def from_hub(self, numbers: Sequence[int], timeout: float) -> list[Row | None]:
        """Return the rows of requests of whomever; None for those that have not ended in time."""
        result = await self.client.get_result([text_of(number) for number in numbers])
        if not await _all_within([result], timeout):
            give_up(self.client.client, result)
        rows = list(rows_of(result))
        lost = [row[0] for row in rows if row is not None and is_lost(row)]
        if lost:
            records = await to_thread(records_by_number, self.client.client, lost)
            rows = [row if row is None else not_kept(row, records.get(row[0])) for row in rows]
        return rows

    def live_output(self, number: int) -> Mapping[str, Any]:
        """Return what a request that was made here has put out so far."""
        return output_so_far(self.client.client, number)


def _row_held(held: Held) -> Row | None:
    out, row = held
    return row if out is None else rows_of(out[0])[out[1]]


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
