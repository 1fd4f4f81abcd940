"""Where events come from: one client of the hub, for all subscribers."""

from __future__ import annotations

import logging
import time
from asyncio import AbstractEventLoop, Task, create_task, get_running_loop, sleep, to_thread
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ctrlhub.client.async_client import AsyncClient
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
from ctrlhub.wire.messages import OutputItem

log = logging.getLogger(__name__)

PERIOD = 1.0
"""How often (seconds) the hub is asked, once for everybody, while anybody wants to know."""

REQUEST = "request:"
"""The topic of one request's end begins so."""

OUTPUT_OF = "output:"
"""The topic of what one request puts out begins so."""

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
        self._followed: set[int] = set()
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

    def look_at_output(self) -> None:
        """Follow what is wanted of the output of requests that run."""
        for submissions in self._rest.all():
            wanted = submissions.out() if self.fanout.is_wanted(OUTPUT) else [
                number for number in map(number_of, self.fanout.wanted(OUTPUT_OF))
                if submissions.is_out(number)
            ]  # fmt: skip
            self._follow_output(submissions, wanted)

    def _follow_output(self, submissions: Submissions, numbers: Iterable[int]) -> None:
        new = [number for number in numbers if number not in self._followed]
        if new:
            self._followed.update(new)
            task = create_task(to_thread(follow_output, submissions.client.client, new, self))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def output(
        self, request: int, engine: int, items: Sequence[OutputItem], attempt: int = 0
    ) -> None:
        """Take what a request that was made here puts out; in the I/O thread of its client."""
        self._loop.call_soon_threadsafe(self._take_output, request, engine, items, attempt)

    def ended(self, request: int) -> None:
        """Take note that a request has ended; in the I/O thread. Its result has all that it put out."""
        self._loop.call_soon_threadsafe(self._followed.discard, request)

    def _take_output(
        self, request: int, engine: int, items: Sequence[OutputItem], attempt: int
    ) -> None:
        name = text_of(request)
        topics = (OUTPUT, OUTPUT_OF + name)
        if not any(map(self.fanout.is_wanted, topics)):
            return
        for kind, position, value in items:
            if kind == "data":  # pickled
                continue
            said = "text" if isinstance(value, str) else "display"
            data = {
                "id": name, "engine": engine, "attempt": attempt, "kind": kind, "position": position,
                said: plain(value),
            }  # fmt: skip
            self.fanout.publish("output", data, topics, time.time())
