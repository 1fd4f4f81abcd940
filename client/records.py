"""What a client knows, and can ask, of requests: its own and everybody's.

The client keeps nothing of what has ended: however many requests it makes, it does not grow. Its
results are kept by those who hold them; of all others the hub keeps a history, from which they can be
had again. So `history`, `results` and `metadata` are views of what the hub knows, not copies.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import wait as wait_for_futures
from datetime import datetime
from itertools import count
from operator import itemgetter
from typing import Any, TypeAlias

from ctrlhub.client.asked_again import asked_again
from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.connection import Connection
from ctrlhub.client.following import unknown
from ctrlhub.client.hub_result import AsyncHubResult
from ctrlhub.client.lookups import AllMetadata, RequestIds, Results
from ctrlhub.client.metadata import UNFINISHED, Metadata, local_time
from ctrlhub.client.record_pages import records_of
from ctrlhub.client.targets import Targets
from ctrlhub.wire.errors import ResultLost
from ctrlhub.wire.ids import Ranges, number_of, text_of, within

Named: TypeAlias = int | str | AsyncResult | Iterable["int | str | AsyncResult"] | None
"""A place in `Client.history`, the id of a request, a result, or several of these."""

TIMES = ("submitted", "started", "completed")

ON_THE_WAY = 0.05
"""How long (seconds) to wait for one's own request to reach the hub, before it is asked again."""

class Records:
    """The part of a client that knows of requests."""

    _connection: Connection
    _forgotten: int = 0
    _purged: Ranges = ()

    def _resolve(self, targets: Targets) -> list[int]:
        raise NotImplementedError

    # ------------------------------------------------------------ one's own

    @property
    def history(self) -> RequestIds:
        """The ids of this client's requests, first first."""
        return RequestIds(self._connection.numbers()[self._forgotten :])

    @property
    def outstanding(self) -> set[str]:
        """The ids of this client's requests that have not ended."""
        return {text_of(number) for number in self._connection.outstanding_numbers()}

    @property
    def results(self) -> Results:
        """The results of this client's requests, by id, as far as the hub remembers them.

        The value, or the exception; each is fetched from the hub as it is asked for.
        """
        return Results(self)

    @property
    def metadata(self) -> AllMetadata:
        """What is known of this client's requests, by id, as far as the hub remembers them."""
        return AllMetadata(self)

    # ------------------------------------------------------------ results

    def get_result(
        self, indices_or_msg_ids: Named = None, block: bool | None = None, owner: bool = True
    ) -> AsyncResult:
        """Return the result of requests made earlier, or by another client.

        Parameters
        ----------
        indices_or_msg_ids
            A place in `history` (negative: from the end), the id of a request, a result, or several
            of these; None is the last request.
        block
            Wait until it is there.
        owner
            Kept for programs that pass it. Results can be had as often as one asks.

        Returns
        -------
        AsyncResult
            The very one that is waited for here, or an `AsyncHubResult`. It ends with `ResultLost`
            where the hub does not know the request any more.
        """
        result = self._result_of(indices_or_msg_ids)
        if block:
            result.wait()
        return result

    def _result_of(self, named: Named) -> AsyncResult:
        if isinstance(named, AsyncResult):
            return named
        numbers = self._numbers_of(named)
        single = named is None or isinstance(named, int | str)
        for request in self._connection.outstanding():
            future = request._future()
            if numbers[0] in request._numbers() and isinstance(future, AsyncResult):
                if list(future._numbers()) == numbers and future._is_single() is single:
                    return future
                break
        result = AsyncHubResult(self._connection, numbers, single=single)
        self._connection.follow(result, numbers)
        return result

    def resubmit(
        self,
        indices_or_msg_ids: Named = None,
        metadata: Mapping[str, Any] | None = None,
        block: bool | None = None,
    ) -> AsyncHubResult:
        """Have requests done again: tasks anywhere, commands on their engines.

        They may have ended, or not: that changes nothing for them.

        Parameters
        ----------
        indices_or_msg_ids
            As for `get_result`.
        metadata
            Kept for programs that pass it.
        block
            Wait until it is done.

        Returns
        -------
        AsyncHubResult
            The results to come, of new requests.

        Raises
        ------
        ResultLost
            The hub does not know one, or has not kept its arguments. Nothing is done then.
        """
        numbers = self._numbers_of(indices_or_msg_ids)
        single = indices_or_msg_ids is None or isinstance(indices_or_msg_ids, int | str)
        connection, withdrawn = self._connection, self._connection.withdrawn
        here = {n: each for n in numbers if (each := withdrawn.find(n)) is not None}
        there = [n for n in numbers if n not in here]
        first = connection.next_ids(len(numbers))
        # The hub takes consecutive ids for those that it does again.
        of_hub, of_ours = count(first), count(first + len(there))
        fresh = [next(of_ours if n in here else of_hub) for n in numbers]
        requests = [
            asked_again(here[n], connection, new)
            for n, new in zip(numbers, fresh, strict=True)
            if n in here
        ]
        shown = text_of(numbers[0]) if len(numbers) == 1 else f"{len(numbers)} requests"
        result = AsyncHubResult(connection, fresh, single=single, what=f"{shown} again")
        connection.follow(result, fresh, ask=False)
        try:
            if there:
                self._do_again(there, first)
        except BaseException:
            connection.unfollow(result, fresh)
            raise
        for request in requests:
            connection.submit(request)
        if block:
            result.wait()
        return result

    def _do_again(self, numbers: Sequence[int], first: int) -> None:
        """Have the hub do requests again, by new ids; it may not have them yet."""
        connection, wish = self._connection, {"requests": numbers, "first": first}
        wanted, end = set(numbers), time.monotonic() + connection.timeout
        while True:
            requests = [r for r in connection.outstanding() if not wanted.isdisjoint(r._numbers())]
            try:
                connection.call("history", "resubmit", wish)
            except ResultLost:
                if not requests or time.monotonic() >= end:
                    raise
                wait_for_futures([each._future() for each in requests], ON_THE_WAY)
            else:
                return

    def result_status(self, msg_ids: Named, status_only: bool = True) -> dict[str, Any]:
        """Return which requests have ended.

        Parameters
        ----------
        msg_ids
            As for `get_result`.
        status_only
            Leave out the results of those that have.

        Returns
        -------
        dict
            ``pending`` and ``completed``, lists of ids; unless `status_only` the value or the
            exception of each that has ended, by its id.

        Raises
        ------
        ResultLost
            The hub does not know one.
        """
        numbers = self._numbers_of(msg_ids)
        own = self._connection.outstanding_numbers()
        records = {r["msg_id"]: r for r in self._records(n for n in numbers if n not in own)}
        for number in numbers:
            withdrawn = self._connection.withdrawn.find(number)
            if withdrawn is not None:
                records[text_of(number)] = withdrawn.record(self._connection.session)
        pending: list[str] = []
        completed: list[str] = []
        for number in numbers:
            name = text_of(number)
            if number not in own and name not in records:
                raise unknown(number)
            waits = number in own or records[name]["status"] in UNFINISHED
            (pending if waits else completed).append(name)
        status: dict[str, Any] = {"pending": pending, "completed": completed}
        if completed and not status_only:
            values = self.get_result(completed).get(return_exceptions=True)
            status.update(zip(completed, values, strict=True))
        return status

    def _numbers_of(self, named: Named) -> list[int]:
        """Return the ids that are meant.

        Raises
        ------
        IndexError
            There is no such place in the history.
        ValueError, TypeError
            That is no way to name requests.
        """
        if named is None:
            named = -1
        if isinstance(named, int) and not isinstance(named, bool):
            try:
                return [self._connection.numbers()[self._forgotten :][named]]
            except IndexError:
                raise IndexError(
                    f"there is no request {named} in a history of {len(self.history)}"
                ) from None
        if isinstance(named, str):
            return [number_of(named)]
        if isinstance(named, AsyncResult):
            return list(named._numbers())
        if isinstance(named, bool) or not isinstance(named, Iterable):
            raise TypeError(
                "requests are named by places in the history, ids such as '7-42', or results, "
                f"not by {type(named).__name__}"
            )
        numbers = [number for each in named for number in self._numbers_of(each)]
        if not numbers:
            raise ValueError("no request is named")
        return numbers

    # ------------------------------------------------------------ everybody's

    def hub_history(self) -> list[str]:
        """Return the ids of all requests that the hub knows of, of every client, in order of time."""
        return [record["msg_id"] for record in self._selected({}, ("msg_id",))]

    def db_query(
        self, query: Mapping[str, Any], keys: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """Return the records of requests, of every client, that fit a query.

        Parameters
        ----------
        query
            Conditions by key, which must all hold: a value, or a dict of operators, such as
            ``{"status": "ok", "submitted": {"$gt": yesterday}, "label": {"$glob": "fit-*"}}``. There
            are ``$lt $gt $lte $gte $eq $ne $in $nin $glob $exists``.
        keys
            What to return of each; None is everything. ``msg_id`` is always there.

        Returns
        -------
        list of dict
            In the order in which they were submitted. Times are `datetime` with a time zone.

        Raises
        ------
        InvalidRequest
            There is no such key or operator; the message says which there are.
        """
        wanted = None if keys is None else ("msg_id", *keys)
        return [_dated(record) for record in self._selected(_plain(query), wanted)]

    def _selected(
        self, query: Mapping[str, Any], keys: Iterable[str] | None
    ) -> list[dict[str, Any]]:
        """Return the records that fit a query, in order of time; the hub has them by client."""
        shown = None if keys is None else list(dict.fromkeys(keys))
        wanted = None if shown is None else list({*shown, "msg_id", "submitted"})
        found: list[dict[str, Any]] = []
        after: int | None = 0
        while after is not None:
            arguments = {"query": query, "keys": wanted, "after": after}
            page = self._connection.call("history", "select", arguments)
            found += page["records"]
            after = page["after"]
        found.sort(key=lambda record: (record["submitted"], number_of(record["msg_id"])))
        return found if shown is None else [{key: each[key] for key in shown} for each in found]

    def _records(self, numbers: Iterable[int]) -> list[dict[str, Any]]:
        """Return the records of some requests, as far as the hub knows them."""
        return [_dated(record) for record in records_of(self._connection, numbers)]

    # ------------------------------------------------------------ for the lookups

    def _own_records(self, names: Iterable[object] | None = None) -> list[dict[str, Any]]:
        """Return the records of requests in the history that were not purged; all, or of some ids."""
        session, withdrawn = self._connection.session, self._connection.withdrawn
        if names is None:
            found = [_dated(record) for record in self._selected({"client": session}, None)]
            taken_back = withdrawn.all()
        else:
            texts = [name for name in names if isinstance(name, str) and name in self.history]
            numbers = [number_of(text) for text in texts]
            found = self._records(numbers)
            taken_back = [each for n in numbers if (each := withdrawn.find(n)) is not None]
        found += [each.record(session) for each in taken_back]
        mine, is_purged = self._connection.numbers()[self._forgotten :], within(self._purged)
        numbered = ((number_of(each["msg_id"]), each) for each in found)
        kept = [(n, each) for n, each in numbered if n in mine and not is_purged(n)]
        return [each for _, each in sorted(kept, key=itemgetter(0))]

    def _metadata_outstanding(self, name: str) -> Metadata | None:
        """Return what is known here of a request that has not ended; the hub may not have it yet."""
        for request in self._connection.outstanding():
            future = request._future()
            if name in RequestIds(request._numbers()) and isinstance(future, AsyncResult):
                return future._metadata_of(future._numbers().index(number_of(name)))
        return None


def _plain(value: Any) -> Any:
    """Return a query as what a call can carry: times as seconds."""
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    return value


def _dated(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with its times as such."""
    dated = dict(record)
    for name in TIMES:
        if isinstance(dated.get(name), float):
            dated[name] = local_time(dated[name])
    return dated
