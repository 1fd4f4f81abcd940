"""History: what clients can ask of requests that were made here, also by others.

It has no requests of its own: each interface keeps its own on record (`Recorded`), and this one asks
them. Answers are small, since they travel with the heartbeats: values come on the streams of results,
to whoever follows a request, and lists come in pages.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ctrlhub.controller.core.deadlines import Deadlines
from ctrlhub.controller.core.deliveries import Outcome
from ctrlhub.controller.core.later import OnceStored
from ctrlhub.controller.core.matching import check_keys, compiled, text_keys
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.interfaces.arguments import checked_grace, checked_ids, checked_ranges
from ctrlhub.controller.interfaces.base import Context, Interface, exposed, need
from ctrlhub.controller.interfaces.recorded import Recorded
from ctrlhub.controller.interfaces.rows import KEYS, TEXTS, Row
from ctrlhub.controller.interfaces.stopping import Stopping, together
from ctrlhub.controller.service import IControllerBase
from ctrlhub.wire.errors import InvalidRequest, LimitExceeded, ResultLost
from ctrlhub.wire.ids import Ranges, count, from_ranges, session_of, text_of, to_ranges
from ctrlhub.wire.messages import Role

AT_ONCE = 32_768
"""The most requests that one call may name."""

SCAN = 8_192
"""So many records are looked at for one answer, so that no question stops the hub."""

SCAN_TEXT = 1024 * 1024
"""And patterns are held against so many characters."""

ANSWER_BYTES = 512 * 1024
"""An answer is closed once its records take about so many bytes."""

RECORD_BYTES = 256
"""What a record takes in an answer without its texts."""

ON_ITS_WAY = 5.0
"""How long (seconds) a request of another client is waited for that has not arrived: whoever asks for
its result may be quicker than who makes it."""

MOST_LATEST = 1000
"""The most records that one call of `latest` returns."""


class HistoryQuery(Interface):
    """The interface for questions about requests.

    Parameters
    ----------
    controller, context
        As for `Interface`.
    """

    name = "history"
    unix_offset: float = 0.0
    """What the hub's clock lacks to Unix time (seconds); the hub sets it."""

    def __init__(self, controller: IControllerBase, context: Context) -> None:
        super().__init__(controller, context)
        self._expected: Deadlines[int] = Deadlines(context.alarm.at)

    @exposed(Role.VIEW)
    def follow(self, caller: Session, requests: Sequence[Sequence[int]]) -> dict[str, Any]:
        """Have results sent to the caller, now or once they are there; return which there may be.

        Those that have not arrived, and may yet, end with `ResultLost` if they do not.
        """
        found = []
        places = [interface.following for interface in self._recorded()]
        for place in places:
            place.check_room(caller)
        for number in self._named(requests):
            if any(place.follow(caller, number) for place in places):
                found.append(number)
            elif self._may_come(caller, number):
                self._expect(caller, number)
                found.append(number)
        return {"found": to_ranges(found)}

    def _may_come(self, caller: Session, number: int) -> bool:
        """Tell whether a request that is not on record may be on its way."""
        maker = self.context.sessions.of_number(session_of(number))
        if maker is None or maker is caller or maker.ended or not maker.role.is_client:
            return False
        return all(each.has_ended(number) is None for each in self._recorded())

    def _expect(self, caller: Session, number: int) -> None:
        for interface in self._recorded():  # it is not known yet whose it will be
            interface.following.expect(caller, number)
        if number not in self._expected:
            self._expected.set(number, self.context.now() + ON_ITS_WAY)

    def _give_up_expected(self, number: int) -> None:
        """Wait no more for what has not arrived, nor where it has not."""
        recorded = self._recorded()
        lacking = [each for each in recorded if each.find(number) is None]
        waiting = [each.following.give_up(number) for each in lacking]
        if len(lacking) < len(recorded):
            return
        error = ResultLost(
            f"request {text_of(number)} has not come to the hub within {ON_ITS_WAY:g} s of the question "
            "for its result: its client has not made it, or it was purged"
        )
        for session in waiting[0]:
            if all(session in each for each in waiting):  # and has not got its result meanwhile
                recorded[0].following.lose(session, number, error)

    def tick(self, now: float) -> None:
        """Do what is due."""
        for number in self._expected.take_due(now):
            self._give_up_expected(number)

    def next_deadline(self) -> float | None:
        """Say when `tick` is due."""
        return self._expected.next

    @exposed(Role.VIEW)
    def records(self, caller: Session, requests: Sequence[Sequence[int]]) -> dict[str, Any]:
        """Return the records of some requests: as many as an answer holds, and where to go on."""
        numbers = self._named(requests)
        return self._page(numbers, KEYS, lambda record: True, (), more=False)

    @exposed(Role.VIEW)
    def select(
        self,
        caller: Session,
        query: Mapping[str, Any],
        keys: Sequence[str] | None = None,
        after: int = 0,
    ) -> dict[str, Any]:
        """Return the records that fit a query, in order of their ids: a page of them.

        The value holds `records`, and `after`: what to pass for the next page, or None at the end.
        """
        shown, fits = _checked_keys(keys), compiled(query, KEYS)
        numbers = self._numbers_after(after)
        return self._page(numbers, shown, fits, text_keys(query), more=len(numbers) == SCAN)

    @exposed(Role.VIEW)
    def latest(
        self,
        caller: Session,
        query: Mapping[str, Any],
        keys: Sequence[str] | None = None,
        limit: int = 50,
        after: int = 0,
    ) -> dict[str, Any]:
        """Count the records that fit a query, and return those of them that were submitted last: for a page of them.

        The value holds `counts`, by status; `records`, at most `limit`, the last one last; and `after` as of
        `select`. Whoever wants the last ones of all has each page's, and chooses among them.
        """
        shown, fits = _checked_keys(keys), compiled(query, KEYS)
        if type(limit) is not int or not 0 < limit <= MOST_LATEST:
            raise InvalidRequest(f"limit must be a whole number of 1 to {MOST_LATEST}")
        numbers, read = self._numbers_after(after), text_keys(query)
        texts = [key for key in shown if key in TEXTS]
        more = len(numbers) == SCAN
        counts: Counter[str] = Counter()
        last: list[tuple[float, int, Row]] = []
        scanned = size = 0
        for place, number, row in self._rows(numbers):
            scanned += _characters(row, read)
            if fits(row):
                size += _characters(row, texts)
                counts[row.status()] += 1
                keep = heapq.heappush if len(last) < limit else heapq.heappushpop
                keep(last, (row.submitted(), number, row))
            if (scanned >= SCAN_TEXT or size >= ANSWER_BYTES) and place + 1 < len(numbers):
                numbers, more = numbers[: place + 1], True
                break
        return {
            "counts": dict(counts),
            "records": [row.shown(shown) for _, _, row in sorted(last, key=lambda each: each[:2])],
            "after": numbers[-1] if more else None,
        }

    @exposed(Role.VIEW)
    def requests(self, caller: Session, after: int = 0) -> dict[str, Any]:
        """Return the ids of all requests on record, as ranges: a page of them."""
        numbers = self._numbers_after(after)
        last = numbers[-1] if len(numbers) == SCAN else None
        return {"requests": to_ranges(numbers), "after": last}

    @exposed(Role.SUBMIT)
    def purge(
        self,
        caller: Session,
        requests: Sequence[Sequence[int]] = (),
        engines: Sequence[int] = (),
        rest: bool = False,
    ) -> int:
        """Forget requests that have ended: one's own, and those whose clients are gone.

        Those in `requests` (of the caller's own, it has the results), those that ended on `engines`,
        and with `rest` all that gone clients have left. Return how many. A client that is no admin has its
        own forgotten, and no others.
        """
        ranges, ids = checked_ranges(requests), frozenset(checked_ids(engines))
        if type(rest) is not bool:
            raise InvalidRequest("rest must be true or false")
        if rest or not _are_of(caller, ranges):
            need(caller, Role.ADMIN, "history.purge of what other clients have left")
        return sum(each.purge(caller, ranges, ids, rest) for each in self._recorded())

    @exposed(Role.SUBMIT)
    def resubmit(self, caller: Session, requests: Sequence[int], first: int) -> OnceStored:
        """Do again what was asked for, for the caller, by consecutive new ids from `first` on.

        All or nothing: where one cannot be done again, none is. Where all of the new ids are there, the
        call is one said again, since its answer was lost.
        """
        numbers = checked_ids(requests)
        if type(first) is not int or first < 0 or len(numbers) > AT_ONCE:
            raise InvalidRequest(f"at most {AT_ONCE} requests, and the first new id")
        if numbers and all(self._has_made(caller, first + n) for n in range(len(numbers))):
            return OnceStored(None)
        chosen = []
        for number in numbers:
            interface, request, _ = self._find(number)
            interface.check_again(request)
            chosen.append((interface, request))
        for interface in self._recorded():
            new = [first + place for place, (made, _) in enumerate(chosen) if made is interface]
            interface.check_new(caller, new)
        for place, (interface, request) in enumerate(chosen):
            interface.resubmit(caller, request, first + place)
        return OnceStored(None)

    @exposed(Role.SUBMIT)
    def stop(
        self, caller: Session, requests: Sequence[Sequence[int]], grace: float | None = None
    ) -> dict[str, Any]:
        """Stop requests of any client: those that wait at once, those that run by an interrupt.

        Whoever may end engines may this, too: it is the gentler way. Others stop their own. What nobody has
        asked for is nobody's.
        """
        numbers, seconds = set(self._named(requests)), checked_grace(grace)
        others = (n for n in numbers if session_of(n) != caller.number)
        if not caller.role.allows(Role.ADMIN) and any(map(self._has_come, others)):
            need(caller, Role.ADMIN, "history.stop of what other clients have asked for")
        every = [each for each in self.context.interfaces.values() if isinstance(each, Stopping)]
        return together(each.stop_anyones(numbers, seconds) for each in every)

    def _has_made(self, caller: Session, number: int) -> bool:
        """Tell whether a client has made a request, as far as that is remembered."""
        return session_of(number) == caller.number and self._has_come(number)

    def _has_come(self, number: int) -> bool:
        """Tell whether a request was made, as far as that is remembered."""
        return any(
            each.find(number) is not None or each.has_ended(number) is not None
            for each in self._recorded()
        )

    # ------------------------------------------------------------ looking

    def _recorded(self) -> list[Recorded[Any]]:
        every = self.context.interfaces.values()
        return [interface for interface in every if isinstance(interface, Recorded)]

    def _find(self, number: int) -> tuple[Recorded[Any], Any, Outcome | None]:
        for interface in self._recorded():
            found = interface.find(number)
            if found is not None:
                return (interface, *found)
        raise ResultLost(
            f"the hub knows no request {text_of(number)}: it has not come here, or was purged or "
            f"forgotten; the last {self.context.config.history_records} that have ended are remembered "
            "(history_records)"
        )

    def _named(self, requests: Any) -> list[int]:
        ranges = checked_ranges(requests)
        if count(ranges) > AT_ONCE:
            raise LimitExceeded(f"one call may name {AT_ONCE} requests: ask in several calls")
        return list(from_ranges(ranges))

    def _numbers_after(self, after: int) -> list[int]:
        if type(after) is not int:
            raise InvalidRequest("after must be the id of a request")
        found = (each.numbers_after(after, SCAN) for each in self._recorded())
        return heapq.nsmallest(SCAN, [number for numbers in found for number in numbers])

    def _page(
        self,
        numbers: Sequence[int],
        keys: Collection[str],
        fits: Callable[[Row], bool],
        read: Collection[str],
        *,
        more: bool,
    ) -> dict[str, Any]:
        """Return the records of those that fit, as many as an answer holds.

        `fits` reads through the texts of the keys `read`, which takes time.
        """
        page: list[dict[str, Any]] = []
        size = scanned = 0
        for place, number, row in self._rows(numbers):
            scanned += _characters(row, read)
            if fits(row):
                page.append(row.shown(keys))
                size += RECORD_BYTES + sum(map(_bytes_of, page[-1].values()))
            if (size >= ANSWER_BYTES or scanned >= SCAN_TEXT) and place + 1 < len(numbers):
                return {"records": page, "after": number}
        return {"records": page, "after": numbers[-1] if more else None}

    def _rows(self, numbers: Iterable[int]) -> Iterator[tuple[int, int, Row]]:
        """Yield the records of those that are on record: the place of each, its number, and itself."""
        recorded = self._recorded()
        for place, number in enumerate(numbers):
            for interface in recorded:
                found = interface.find(number)
                if found is not None:
                    yield place, number, Row(interface, *found, self._key_of, self.unix_offset)
                    break

    def _key_of(self, engine: int | None) -> str | None:
        return self.engine(engine).key if engine is not None and engine in self.engines else None


def _are_of(caller: Session, ranges: Ranges) -> bool:
    """Tell whether requests are a client's own, all of them."""
    return all(session_of(first) == session_of(last) == caller.number for first, last in ranges)


def _checked_keys(keys: Sequence[str] | None) -> tuple[str, ...]:
    """Return the keys of records that are asked for; None stands for all."""
    if keys is not None and not isinstance(keys, list | tuple):
        raise InvalidRequest("keys must be a list of keys of records")
    shown = KEYS if keys is None else tuple(keys)
    check_keys(shown, KEYS)
    return shown


def _characters(row: Row, keys: Collection[str]) -> int:
    """Return how many characters a query reads through in a record."""
    return sum(len(text) for text in map(row.__getitem__, keys) if isinstance(text, str)) if keys else 0


def _bytes_of(value: Any) -> int:
    return len(value.encode("utf-8", "surrogatepass")) if isinstance(value, str) else 0
