"""REST: tasks, which are run by name wherever there is room, and what has become of any request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar

from ctrlhub.client.explaining import ENDS
from ctrlhub.gateway.api import resources as shapes
from ctrlhub.gateway.api.handler import ApiHandler, Asked
from ctrlhub.gateway.api.idempotency import KEY_PATTERN
from ctrlhub.gateway.api.jobs import (
    REQUEST_ID,
    SECONDS,
    SUBMISSION,
    TRACEPARENT,
    TRACESTATE,
    batches_of,
    traced,
)
from ctrlhub.gateway.api.operation import Answer, Operation
from ctrlhub.gateway.api.outcomes import STATE_OF_RECORD, STATES
from ctrlhub.gateway.api.schema import (
    Either,
    Integer,
    ListOf,
    Moment,
    Number,
    Record,
    Text,
    moment,
)
from ctrlhub.gateway.api.settling import tell
from ctrlhub.gateway.api.telling import (
    MOST_NAMED,
    href,
    task_of,
    unknown,
)
from ctrlhub.wire.ids import number_of, text_of

MOST_ASKED = 8
"""So often the hub is asked for one page of requests: each time it looks through some thousand."""

RECORD_OF_STATE = {state: name for name, state in STATE_OF_RECORD.items()}


class Tasks(ApiHandler):
    """All of them."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "GET": Operation(
            {200: Answer("A page of requests, in the order of their ids", shapes.TASKS)},
            query={
                "state": Text(choices=STATES),
                "kind": Text(choices=("task", "command")),
                "session": Integer(0, 2**31 - 1, "Of this client's session"),
                "engine": Integer(0, 2**31 - 1, "That ran, or run, there"),
                "label": Text(256, about="Whose label fits this pattern, such as fit-*"),
                "since": Moment("That were submitted since then"),
                "after": REQUEST_ID,
                "limit": shapes.LIMIT,
            },
        ),
        "POST": Operation(
            {
                200: Answer("They have ended within `wait`", Either((shapes.OUTCOME, shapes.OUTCOMES))),
                202: Answer("They are accepted, and stored", Either((shapes.ACCEPTED, shapes.OUTCOMES))),
            },
            query={"wait": shapes.WAIT},
            headers={"Idempotency-Key": Text(255, 1, KEY_PATTERN), "traceparent": TRACEPARENT, "tracestate": TRACESTATE},
            body=SUBMISSION,
        ),
    }

    async def on_get(self, asked: Asked) -> None:
        """Tell of requests."""
        after = asked.query.get("after")
        query = _query_of(asked.query)

        def ask(place: int) -> Awaitable[Mapping[str, Any]]:
            return self.rest.ask(
                self.role, "history", "select", query=query, keys=None, after=place
            )

        place = number_of(after) if after else 0
        found, last = await page_of(ask, place, int(asked.query.get("limit", 100)))
        self.answer({"tasks": [task_of(each) for each in found], "next": last})

    async def on_post(self, asked: Asked) -> None:
        """Submit tasks."""
        parent = self.request.headers.get("traceparent", "")
        TRACEPARENT.check(parent, "traceparent")
        state = ",".join(self.request.headers.get_list("tracestate"))  # it may come in several lines
        TRACESTATE.check(state, "tracestate")
        batches = traced(batches_of(asked.body), parent, state)
        key = self.request.headers.get("Idempotency-Key")
        submissions = await self.rest.of(self.role)
        if key is None:
            numbers = await submissions.tasks(batches)
        else:
            Text(255, 1, KEY_PATTERN).check(key, "Idempotency-Key")
            own = f"{self.identity.token} {key}"
            numbers = await self.rest.submit_once(self.role, own, bytes(self.body), batches)
        single = isinstance(asked.body, Mapping) and "map" not in asked.body
        if single:
            self.set_header("Location", href(numbers[0], self.prefix))
        await tell(self, submissions, numbers, asked.query.get("wait", 0), single=single)


class TaskAt(ApiHandler):
    """One of them."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "GET": Operation(
            {200: Answer("What is known of it, and why it is where it is", shapes.TASK)},
            path={"id": REQUEST_ID},
        )
    }

    async def on_get(self, asked: Asked) -> None:
        """Tell of one request."""
        number = number_of(asked.path["id"])
        record = await self.rest.record(self.role, number)
        if record is None:
            raise unknown(number)
        task = task_of(record)
        if task["kind"] == "task" and task["state"] in ("queued", "running"):
            known = await self.rest.ask(self.role, "tasks", "explain", request=number)
            task["why"] = str(known["why"])
        else:
            task["why"] = ENDS.get(record["status"], "engines run commands in order")
        self.answer(task)


class TaskCancel(ApiHandler):
    """Stops one."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "POST": Operation(
            {200: Answer("What became of it", shapes.STOPPED)},
            path={"id": REQUEST_ID},
            body=Record({}, {"grace": Number(0, SECONDS, "Seconds until its engine is killed")}),
            optional_body=True,
        )
    }

    async def on_post(self, asked: Asked) -> None:
        """Stop it."""
        grace = (asked.body or {}).get("grace")
        await stop(self, [asked.path["id"]], grace)


class TasksCancel(ApiHandler):
    """Stops many."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "POST": Operation(
            {200: Answer("What became of them", shapes.STOPPED)},
            body=Record(
                {"ids": ListOf(REQUEST_ID, MOST_NAMED, 1)},
                {"grace": Number(0, SECONDS, "Seconds until their engines are killed")},
            ),
        )
    }

    async def on_post(self, asked: Asked) -> None:
        """Stop them."""
        await stop(self, asked.body["ids"], asked.body.get("grace"))


async def stop(handler: ApiHandler, ids: Sequence[str], grace: float | None) -> None:
    """Stop requests, and tell what became of them."""
    client = await handler.rest.client(handler.role)
    handler.answer(await client.cancel_requests(ids, grace=grace))


async def page_of(
    ask: Callable[[int], Awaitable[Mapping[str, Any]]], place: int, limit: int
) -> tuple[Sequence[Mapping[str, Any]], str | None]:
    """Return a page of records, and where the next one begins, behind that id; None at the end.

    It may hold less than there are: so often the hub is asked for it, and no more. Whoever wants to know
    goes on himself, behind all that was looked at.

    Parameters
    ----------
    ask
        Asks the hub for records behind a place: see `history.select`.
    place
        Where to begin.
    limit
        The most that it holds.
    """
    found: list[Mapping[str, Any]] = []
    for _ in range(MOST_ASKED):
        answer = await ask(place)
        found += answer["records"]
        if len(found) > limit:
            return found[:limit], found[limit - 1]["msg_id"]
        if answer["after"] is None:
            return found, None
        place = answer["after"]
    return found, text_of(place)


def _query_of(asked: Mapping[str, Any]) -> dict[str, Any]:
    query: dict[str, Any] = {}
    if "state" in asked:
        query["status"] = RECORD_OF_STATE.get(asked["state"], asked["state"])
    if "kind" in asked:
        query["stream"] = "task" if asked["kind"] == "task" else "multiengine"
    if "session" in asked:
        query["client"] = asked["session"]
    if "engine" in asked:
        query["engine_id"] = asked["engine"]
    if "label" in asked:
        query["label"] = {"$glob": asked["label"]}
    if "since" in asked:
        query["submitted"] = {"$gte": moment(asked["since"])}
    return query
