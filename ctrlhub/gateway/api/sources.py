"""Where events come from: one client of the hub, for all subscribers."""

from __future__ import annotations

import logging
import time
from asyncio import AbstractEventLoop, Task, create_task, get_running_loop, sleep, to_thread
from bisect import bisect_right
from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from typing import Any

from ctrlhub.client.async_client import AsyncClient
from ctrlhub.client.handing_over import has_put_out, is_bare
from ctrlhub.client.rows import Row
from ctrlhub.client.unopened import engines_known, follow_engines, follow_output
from ctrlhub.gateway.access.roles import Role
from ctrlhub.gateway.api.engine_news import changes
from ctrlhub.gateway.api.failing import log_failure
from ctrlhub.gateway.api.fanout import ENGINES, OUTPUT, TASKS, Fanout, Topic
from ctrlhub.gateway.api.followed import PER_TURN, Rounds
from ctrlhub.gateway.api.outcomes import plain
from ctrlhub.gateway.api.output_of_all import OutputOfAll
from ctrlhub.gateway.api.rest import Rest
from ctrlhub.gateway.api.submissions import Submissions
from ctrlhub.gateway.api.telling import task_of, unknown
from ctrlhub.wire.errors import CtrlHubError, HubUnavailable
from ctrlhub.wire.ids import number_of, text_of, to_ranges
from ctrlhub.wire.messages import OUTPUT_STREAMS, OutputItem, WatchedRow

log = logging.getLogger(__name__)

PERIOD = 1.0
"""How often (seconds) the hub is asked, once for everybody, while anybody wants to know."""

REQUEST = "request"
"""The word of the topics of single requests' ends."""

OUTPUT_OF = "output_of"
"""The word of the topics of what single requests put out."""

CALLS = 16
"""So often the hub is asked for followed requests in one turn, at most: an answer may hold few."""

MOST_AT_ONCE = 64 * 1024
"""So much text (characters) of what is put out faster than it can be told comes as an event."""

ENDED = ("ok", "error", "aborted")


class Sources:
    """Feeds the events.

    Parameters
    ----------
    fanout
        Where they go.
    rest
        What was submitted here.
    """

    def __init__(self, fanout: Fanout, rest: Rest) -> None:
        self.fanout = fanout
        self._rest = rest
        self._loop: AbstractEventLoop = get_running_loop()
        self._client: AsyncClient | None = None
        self._engines: Mapping[int, Mapping[str, Any]] = {}
        self._asking: Task[None] | None = None
        self._last_tasks: Any = None
        self._rounds = Rounds()
        self._told: dict[int, dict[str, int]] = {}
        self._tasks: set[Task[Any]] = set()
        self._of_all = OutputOfAll(self._own_sessions, self._take_watched, self._leave_out)

    async def start(self, topics: Iterable[Topic] = ()) -> None:
        """See that the hub can be asked, and tells of what somebody is about to subscribe to.

        Raises
        ------
        CtrlHubError
            It does not answer.
        """
        client = await self._connected()
        if _some_output(topics):
            await self._of_all.begin(client)
            self._go_on()  # whoever has asked may never subscribe: then it is ended

    def joined(self, topics: Collection[Topic]) -> None:
        """See that events come as long as there are subscribers; one of them has asked for topics."""
        self._go_on()
        if not self._of_all.is_on and _some_output(topics):
            task = create_task(_succeeds(self._look_at_output))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if OUTPUT in topics:
            for submissions in self._rest.all():
                self._follow_output(submissions, submissions.out())
            return
        numbers = [each[1] for each in topics if type(each) is tuple and each[0] == OUTPUT_OF]
        if numbers:
            for submissions in self._rest.all():
                self._follow_output(submissions, filter(submissions.is_out, numbers))

    def _go_on(self) -> None:
        """Ask the hub from now on, as long as there is somebody to be told, or output that is watched."""
        if self._asking is None or self._asking.done():
            self._asking = create_task(self._ask())
            self._asking.add_done_callback(log_failure)

    async def _connected(self) -> AsyncClient:
        client = await self._rest.client(Role.VIEW)
        if client is not self._client:
            self._client = client
            self._engines = engines_known(client.client)
            follow_engines(client.client, self._engines_changed)
        return client

    # ------------------------------------------------------------ engines

    def _engines_changed(self, engines: Mapping[int, Mapping[str, Any]]) -> None:
        """Take engines; in the client's I/O thread."""
        self._loop.call_soon_threadsafe(self._take_engines, engines)

    def _take_engines(self, engines: Mapping[int, Mapping[str, Any]]) -> None:
        before, self._engines = self._engines, engines
        for kind, engine in changes(before, engines):
            self.fanout.publish(kind, plain(engine), (ENGINES,), time.time())

    # ------------------------------------------------------------ what the hub is asked for

    async def _ask(self) -> None:
        while self.fanout.subscribers or self._of_all.is_on:
            began = time.monotonic()
            if await _succeeds(self._connected):
                await _succeeds(self._look_at_tasks)
                await _succeeds(self._look_at_followed)
                await _succeeds(self._look_at_output)
            await sleep(max(0.0, PERIOD - (time.monotonic() - began)))

    async def _look_at_tasks(self) -> None:
        if not self.fanout.is_wanted(TASKS):
            return
        told = await self._rest.telemetry()
        tasks = {"queued": told.queued, "running": told.running, **told.counters}
        if tasks != self._last_tasks:
            self._last_tasks = tasks
            self.fanout.publish("tasks", tasks, (TASKS,), time.time())

    async def _look_at_followed(self) -> None:
        """Ask for those that are followed, a slice at a time: all of them, or as many as a turn has."""
        followed = self.fanout.wanted(REQUEST)  # put in order once, whoever comes and goes meanwhile
        left = min(PER_TURN, len(followed))
        trouble: Exception | None = None
        for _ in range(CALLS):
            asked = self._rounds.next(followed, left)
            if not asked:
                break
            last = asked[-1]
            try:
                last = await self._look_at_some(asked)
            except HubUnavailable:
                raise  # no other slice would fare better
            except Exception as error:
                trouble = error
            self._rounds.passed(last)
            left -= bisect_right(asked, last)
        if trouble is not None:
            raise trouble

    async def _look_at_some(self, asked: Sequence[int]) -> int:
        """Tell of those that have ended; return which one the answer ends with."""
        page = await self._rest.ask(Role.VIEW, "history", "records", requests=to_ranges(asked))
        last: int = asked[-1] if page["after"] is None else page["after"]
        known = {number_of(record["msg_id"]): record for record in page["records"]}
        for number, record in known.items():
            if record["status"] in ENDED:
                self.fanout.publish("ended", task_of(record), ((REQUEST, number),), time.time())
                self.fanout.remove_everywhere((REQUEST, number))
        for number in self._rounds.lacking(asked[: bisect_right(asked, last)], known, time.monotonic()):
            said = {"id": text_of(number), "reason": str(unknown(number))}
            self.fanout.publish("unknown", said, ((REQUEST, number),), time.time())
            self.fanout.remove_everywhere((REQUEST, number))
        return last

    # ------------------------------------------------------------ output of others

    def _own_sessions(self) -> set[int]:
        """Return the sessions of what is submitted here: their output is followed, request by request."""
        return {each.client.client.session for each in self._rest.all()}

    async def _look_at_output(self) -> None:
        is_wanted = self.fanout.is_wanted(OUTPUT) or bool(self.fanout.wanted(OUTPUT_OF))
        await self._of_all.look(await self._connected(), is_wanted)

    def _take_watched(self, row: WatchedRow) -> None:
        """Tell what a request of somebody else puts out."""
        request, engine, attempt, items = row[:4]
        topics: tuple[Topic, ...] = (OUTPUT, (OUTPUT_OF, request))
        if any(map(self.fanout.is_wanted, topics)):
            for item in items:
                self._tell_output(request, engine, attempt, item, topics)

    def _leave_out(self, count: int) -> None:
        """Tell that more was put out than the hub tells of."""
        self.fanout.publish("output_left_out", {"pieces": count}, (OUTPUT,), time.time())

    def _tell_output(
        self, request: int, engine: int, attempt: int, item: OutputItem, topics: tuple[Topic, ...]
    ) -> None:
        kind, position, value = item[:3]
        said = "text" if isinstance(value, str) else "display"
        data = {
            "id": text_of(request), "engine": engine, "attempt": attempt, "kind": kind, "position": position,
            said: plain(value),
        }  # fmt: skip
        self.fanout.publish("output", data, topics, time.time())

    # ------------------------------------------------------------ output

    def submitted(self, submissions: Submissions, numbers: Sequence[int]) -> None:
        """Take note of requests that were made here."""
        if self.fanout.is_wanted(OUTPUT):
            self._follow_output(submissions, numbers)
        elif self.fanout.wanted(OUTPUT_OF):
            wanted = (each for each in numbers if self.fanout.is_wanted((OUTPUT_OF, each)))
            self._follow_output(submissions, wanted)

    def came(self, rows: Iterable[Row]) -> None:
        """Tell what requests have put out that was not told while they ran: they were too quick."""
        for row in rows:
            if row[0] in self._told and is_bare(row) and has_put_out(row):
                self._begin(self._came_whole(row[0]))
            elif row[0] in self._told:
                extras = row[6] or {}
                self._take_output(row[0], row[3], list(_left(self._told[row[0]], extras)), 0)
                del self._told[row[0]]

    def _follow_output(self, submissions: Submissions, numbers: Iterable[int]) -> None:
        new = [number for number in numbers if number not in self._told]
        if new:
            self._told.update((number, {}) for number in new)
            self._begin(to_thread(follow_output, submissions.client.client, new, self))

    def _begin(self, what: Coroutine[Any, Any, None]) -> None:
        task = create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(log_failure)

    async def _came_whole(self, number: int) -> None:
        row = await self._rest.shelf.find(number)
        if row is not None:
            self.came([row])

    def output(
        self, request: int, engine: int, items: Sequence[OutputItem], attempt: int = 0
    ) -> None:
        """Take what a request that was made here puts out; in the I/O thread of its client."""
        self._loop.call_soon_threadsafe(self._take_output, request, engine, items, attempt)

    def ended(self, request: int) -> None:
        """Take note that a request has ended; in the I/O thread. Its row has all that it put out."""

    def _take_output(
        self, request: int, engine: int, items: Sequence[OutputItem], attempt: int
    ) -> None:
        topics: tuple[Topic, ...] = (OUTPUT, (OUTPUT_OF, request))
        told = self._told.get(request)
        if told is None or not any(map(self.fanout.is_wanted, topics)):
            return
        for item in items:
            kind, position, value = item[:3]
            if kind == "data":  # pickled
                continue
            told[kind] = position + (len(value) if isinstance(value, str) else 1)
            self._tell_output(request, engine, attempt, item, topics)


def _some_output(topics: Iterable[Topic]) -> bool:
    return any(each == OUTPUT or (type(each) is tuple and each[0] == OUTPUT_OF) for each in topics)


async def _succeeds(look: Callable[[], Awaitable[object]]) -> bool:
    """Look for events; tell whether that was possible. What was not foreseen ends nothing but this turn."""
    try:
        await look()
    except CtrlHubError as error:
        log.warning("the hub does not answer for events: %s", error)
        return False
    except Exception:
        log.exception("looking for events has failed")
        return False
    return True


def _cut(text: str) -> str:
    """Return text that is not too long to be told; the result has all of it."""
    if len(text) <= MOST_AT_ONCE:
        return text
    return f"{text[:MOST_AT_ONCE]}\n[{len(text) - MOST_AT_ONCE} more characters: the result has them]\n"


def _left(told: Mapping[str, int], extras: Mapping[str, Any]) -> Iterator[OutputItem]:
    """Yield what a row has of output beyond what was told of it."""
    for kind in OUTPUT_STREAMS:
        text, place = extras.get(kind), told.get(kind, 0)
        if isinstance(text, str) and len(text) > place:
            yield kind, place, _cut(text[place:])
    shown = extras.get("outputs")
    if isinstance(shown, list | tuple):
        # Others say where text stands between them.
        displays = [s for s in shown if isinstance(s, Mapping) and s.get("output_type") != "stream"]
        for place in range(told.get("display", 0), len(displays)):
            yield "display", place, displays[place]
