"""Where events come from: one client of the hub, for all subscribers."""

from __future__ import annotations

import logging
import time
from asyncio import AbstractEventLoop, Task, create_task, get_running_loop, sleep, to_thread
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ctrlhub.client.async_client import AsyncClient
from ctrlhub.client.rows import Row
from ctrlhub.client.unopened import engines_known, follow_engines, follow_output
from ctrlhub.gateway.access.roles import Role
from ctrlhub.gateway.api.engine_news import changes
from ctrlhub.gateway.api.fanout import ENGINES, OUTPUT, TASKS, Fanout
from ctrlhub.gateway.api.outcomes import plain
from ctrlhub.gateway.api.rest import Rest
from ctrlhub.gateway.api.submissions import Submissions
from ctrlhub.gateway.api.telling import task_of
from ctrlhub.wire.errors import CtrlHubError
from ctrlhub.wire.ids import number_of, text_of, to_ranges
from ctrlhub.wire.messages import OUTPUT_STREAMS, OutputItem

log = logging.getLogger(__name__)

PERIOD = 1.0
"""How often (seconds) the hub is asked, once for everybody, while anybody wants to know."""

REQUEST = "request:"
"""The topic of one request's end begins so."""

OUTPUT_OF = "output:"
"""The topic of what one request puts out begins so."""

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
        self._told: dict[int, dict[str, int]] = {}
        self._tasks: set[Task[None]] = set()

    async def start(self) -> None:
        """See that events come as long as there are subscribers."""
        await self._connected()
        if self._asking is None or self._asking.done():
            self._asking = create_task(self._ask())

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
        while self.fanout.subscribers:
            began = time.monotonic()
            try:
                await self._look()
            except CtrlHubError as error:
                log.warning("the hub does not answer for events: %s", error)
            await sleep(max(0.0, PERIOD - (time.monotonic() - began)))

    async def _look(self) -> None:
        await self._connected()
        if self.fanout.is_wanted(TASKS):
            told = await self._rest.telemetry()
            tasks = {"queued": told.queued, "running": told.running, **told.counters}
            if tasks != self._last_tasks:
                self._last_tasks = tasks
                self.fanout.publish("tasks", tasks, (TASKS,), time.time())
        followed = sorted(number_of(each) for each in self.fanout.wanted(REQUEST))
        while followed:
            page = await self._rest.ask(
                Role.VIEW, "history", "records", requests=to_ranges(followed)
            )
            for record in page["records"]:
                if record["status"] in ENDED:
                    self._ended(record)
            place = page["after"]
            followed = [] if place is None else [each for each in followed if each > place]

    def _ended(self, record: Mapping[str, Any]) -> None:
        task = task_of(record)
        topic = REQUEST + task["id"]
        self.fanout.publish("ended", task, (topic,), time.time())
        for subscriber in list(self.fanout.subscribers):
            self.fanout.remove_topics(subscriber, (topic,))

    # ------------------------------------------------------------ output

    def submitted(self, submissions: Submissions, numbers: Sequence[int]) -> None:
        """Take note of requests that were made here."""
        if self.fanout.is_wanted(OUTPUT):
            self._follow_output(submissions, numbers)

    def came(self, rows: Iterable[Row]) -> None:
        """Tell what requests have put out that was not told while they ran: they were too quick."""
        for row in rows:
            if row[0] in self._told:
                extras = row[6] or {}
                self._take_output(row[0], row[3], list(_left(self._told[row[0]], extras)), 0)
                del self._told[row[0]]

    def look_at_output(self) -> None:
        """Follow what is wanted of the output of requests that run."""
        for submissions in self._rest.all():
            wanted = submissions.out() if self.fanout.is_wanted(OUTPUT) else [
                number for number in map(number_of, self.fanout.wanted(OUTPUT_OF))
                if submissions.is_out(number)
            ]  # fmt: skip
            self._follow_output(submissions, wanted)

    def _follow_output(self, submissions: Submissions, numbers: Iterable[int]) -> None:
        new = [number for number in numbers if number not in self._told]
        if new:
            self._told.update((number, {}) for number in new)
            task = create_task(to_thread(follow_output, submissions.client.client, new, self))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

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
        name = text_of(request)
        topics = (OUTPUT, OUTPUT_OF + name)
        told = self._told.get(request)
        if told is None or not any(map(self.fanout.is_wanted, topics)):
            return
        for kind, position, value in items:
            if kind == "data":  # pickled
                continue
            told[kind] = position + (len(value) if isinstance(value, str) else 1)
            said = "text" if isinstance(value, str) else "display"
            data = {
                "id": name, "engine": engine, "attempt": attempt, "kind": kind, "position": position,
                said: plain(value),
            }  # fmt: skip
            self.fanout.publish("output", data, topics, time.time())


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
        for place in range(told.get("display", 0), len(shown)):
            yield "display", place, shown[place]
