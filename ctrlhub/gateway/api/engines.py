"""REST: engines, and what is done to them."""

from __future__ import annotations

from asyncio import get_running_loop
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, ClassVar

from ctrlhub.gateway.api import resources as shapes
from ctrlhub.gateway.api.handler import ApiHandler, Asked
from ctrlhub.gateway.api.jobs import APPLY, EXECUTE, SECONDS, job_of
from ctrlhub.gateway.api.operation import Answer, Operation
from ctrlhub.gateway.api.outcomes import plain
from ctrlhub.gateway.api.schema import Either, Flag, Integer, Number, Record, Shape, Text, or_null
from ctrlhub.gateway.api.settling import tell
from ctrlhub.wire.errors import InvalidEngineID

SCALING = 4
"""So many sets are scaled at once; who comes then waits for them."""

ENGINES = {"engines": shapes.ENGINES_PATH}


class Engines(ApiHandler):
    """All of them."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "GET": Operation(
            {200: Answer("The engines of the moment", shapes.ENGINES)},
            query={"set": shapes.SET_PATH},
        )
    }

    async def on_get(self, asked: Asked) -> None:
        """Tell of them."""
        status = await (await self.rest.client(self.role)).status()
        wanted = asked.query.get("set")
        engines = [e for e in status["engines"] if wanted in (None, e.get("engine_set"))]
        self.answer({"engines": [plain(each) for each in engines]})


class EngineAt(ApiHandler):
    """One of them."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "GET": Operation(
            {200: Answer("What is known of it, and what it has to do", shapes.ENGINE_MORE)},
            path={"engine": shapes.ONE_ENGINE_PATH},
        )
    }

    async def on_get(self, asked: Asked) -> None:
        """Tell of it."""
        number = asked.path["engine"]
        client = await self.rest.client(self.role)
        found = [each for each in (await client.status())["engines"] if each["id"] == number]
        queues = await client.queue_status(verbose=True)
        if not found or number not in queues:
            raise InvalidEngineID(f"there is no engine {number}")
        of = queues[number]
        now = {"running": of["running"], "commands": of["queue"], "tasks": of["tasks"]}
        self.answer(plain(found[0]) | {"now": now})


def _commands(body: Shape) -> Operation:
    """Describe a call that gives explicit engines something to run."""
    return Operation(
        {
            200: Answer("They have ended within `wait`", Either((shapes.OUTCOMES,))),
            202: Answer("They are accepted, and stored", Either((shapes.ACCEPTED, shapes.OUTCOMES))),
        },
        path=ENGINES,
        query={"wait": shapes.WAIT},
        body=body,
    )


class Apply(ApiHandler):
    """Calls a function on explicit engines."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "POST": _commands(APPLY)
    }

    async def on_post(self, asked: Asked) -> None:
        """Call it."""
        submissions = await self.rest.of(self.role)
        engines = await submissions.engines(asked.path["engines"])
        label = asked.body.get("label") or asked.body["function"]
        numbers = await submissions.apply(engines, job_of(asked.body), label[:256])
        await tell(self, submissions, numbers, asked.query.get("wait", 0), single=False)


class Execute(ApiHandler):
    """Runs code on explicit engines."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "POST": _commands(EXECUTE)
    }

    async def on_post(self, asked: Asked) -> None:
        """Run it."""
        submissions = await self.rest.of(self.role)
        engines = await submissions.engines(asked.path["engines"])
        label = asked.body.get("label") or "execute"
        numbers = await submissions.execute(engines, asked.body["code"], label)
        await tell(self, submissions, numbers, asked.query.get("wait", 0), single=False)


class Interrupt(ApiHandler):
    """Interrupts what runs."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "POST": Operation({200: Answer("They are interrupted", shapes.ON_ENGINES)}, path=ENGINES)
    }

    async def on_post(self, asked: Asked) -> None:
        """Interrupt it."""
        await act(self, asked, "interrupt")


class Restart(ApiHandler):
    """Puts other processes in the places of engines."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "POST": Operation({202: Answer("They are being restarted", shapes.ON_ENGINES)}, path=ENGINES)
    }

    async def on_post(self, asked: Asked) -> None:
        """Restart them."""
        await act(self, asked, "restart", 202, block=False)


class Drain(ApiHandler):
    """Lets engines finish and leave."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "POST": Operation(
            {202: Answer("They are draining", shapes.ON_ENGINES)},
            path=ENGINES,
            body=Record({}, {"timeout": or_null(Number(0, SECONDS, "Seconds for what runs"))}),
            optional_body=True,
        )
    }

    async def on_post(self, asked: Asked) -> None:
        """Drain them."""
        timeout = (asked.body or {}).get("timeout")
        await act(self, asked, "drain", 202, block=False, timeout=timeout)


class Signal(ApiHandler):
    """Sends a signal to engine processes."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "POST": Operation(
            {200: Answer("It was sent", shapes.ON_ENGINES)},
            path=ENGINES,
            body=Record({"signal": Text(20, 1, "SIG[A-Z0-9+]{1,16}", about="Its name, such as SIGUSR1")}),
        )
    }

    async def on_post(self, asked: Asked) -> None:
        """Send it."""
        submissions = await self.rest.of(self.role)
        engines = await submissions.engines(asked.path["engines"])
        await (await self.rest.client(self.role)).send_signal(asked.body["signal"], engines)
        self.answer({"engines": engines})


class Shutdown(ApiHandler):
    """Ends engines."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "POST": Operation({202: Answer("They are to end", shapes.ON_ENGINES)}, path=ENGINES)
    }

    async def on_post(self, asked: Asked) -> None:
        """End them."""
        await act(self, asked, "shutdown", 202)


async def act(
    handler: ApiHandler, asked: Asked, what: str, status: int = 200, **options: Any
) -> None:
    """Do something to engines, and tell to which."""
    submissions = await handler.rest.of(handler.role)
    engines = await submissions.engines(asked.path["engines"])
    client = await handler.rest.client(handler.role)
    await getattr(client, what)(engines, **options)
    handler.answer({"engines": engines}, status)


class Sets(ApiHandler):
    """Sets of engines."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "GET": Operation({200: Answer("The sets that there are", shapes.SETS)})
    }

    async def on_get(self, asked: Asked) -> None:
        """Tell of them."""
        status = await (await self.rest.client(self.role)).status()
        found: dict[str, list[int]] = {}
        for engine in status["engines"]:
            found.setdefault(engine.get("engine_set", ""), []).append(engine["id"])
        self.answer({"sets": [{"name": n, "engines": ids} for n, ids in sorted(found.items())]})


class Scale(ApiHandler):
    """Makes a set larger or smaller."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "POST": Operation(
            {200: Answer("It has as many as were asked for", shapes.SCALED),
             202: Answer("It is on its way to as many", shapes.SCALED)},
            path={"set": shapes.SET_PATH},
            body=Record(
                {"engines": Integer(0, 100_000, "How many there are to be")},
                {"wait": Flag("Whether to wait for those that come"),
                 "drain_timeout": or_null(Number(0, SECONDS, "Seconds for what runs on those that go"))},
            ),
        )
    }  # fmt: skip

    async def on_post(self, asked: Asked) -> None:
        """Scale it."""
        name, count = asked.path["set"], int(asked.body["engines"])
        waits = asked.body.get("wait", False)
        scale = partial(
            scaled, self.gateway.profile.directory, name, count,
            60.0 if waits else None, asked.body.get("drain_timeout"),
        )  # fmt: skip
        ids = await get_running_loop().run_in_executor(scaling(), scale)
        self.answer({"set": name, "engines": ids}, 200 if waits else 202)


@cache
def scaling() -> ThreadPoolExecutor:
    """Return the threads that scale: what takes a minute is not to keep those that ask the hub."""
    return ThreadPoolExecutor(SCALING, thread_name_prefix="scaling")


def scaled(
    directory: Any, name: str, count: int, timeout: float | None, drain: float | None
) -> list[int]:
    """Scale a set, as ``ctrl-hub engines scale`` does; return the ids of its engines."""
    from ctrlhub.cluster.cluster import Cluster

    attached = Cluster.from_file(directory)
    with attached:
        return attached.scale(count, name, timeout=timeout, drain_timeout=drain)
