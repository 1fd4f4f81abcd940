"""REST: tasks, which are run by name wherever there is room, and what has become of any request."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from ctrlhub.client.explaining import ENDS
from ctrlhub.client.rows import Row
from ctrlhub.gateway.api import resources as shapes
from ctrlhub.gateway.api.handler import ApiHandler, Asked
from ctrlhub.gateway.api.idempotency import KEY_PATTERN
from ctrlhub.gateway.api.jobs import REQUEST_ID, SECONDS, SUBMISSION, batches_of
from ctrlhub.gateway.api.operation import OCTETS, Answer, Operation
from ctrlhub.gateway.api.outcomes import (
    STATE_OF_RECORD,
    STATES,
    Outcome,
    outcome_of,
    output_of,
    pieces,
    when,
)
from ctrlhub.gateway.api.rest import text_ids
from ctrlhub.gateway.api.schema import Either, Flag, Integer, ListOf, Number, Record, Text, Unfit
from ctrlhub.gateway.handlers import Refusal
from ctrlhub.wire.errors import ResultLost
from ctrlhub.wire.ids import number_of, text_of

MOST_NAMED = 100_000
"""So many results may be asked for at once."""

MOST_TOGETHER = 64 * 1024 * 1024
"""And so many bytes of values; of larger ones it is told where they are."""

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
                "since": Text(40, about="That were submitted since then: ISO 8601"),
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
            headers={"Idempotency-Key": Text(255, 1, KEY_PATTERN)},
            body=SUBMISSION,
        ),
    }

    async def on_get(self, asked: Asked) -> None:
        """Tell of requests."""
        limit = int(asked.query.get("limit", 100))
        after = asked.query.get("after")
        found: list[Mapping[str, Any]] = []
        place: int | None = number_of(after) if after else 0
        query = _query_of(asked.query)
        while place is not None and len(found) <= limit:
            page = await self.rest.ask(
                self.role, "history", "select", query=query, keys=None, after=place
            )
            found += page["records"]
            place = page["after"]
            if not found and place is not None and len(page["records"]) == 0:
                break  # so much was looked at for nothing: whoever asks goes on himself
        shown = found[:limit]
        rest = len(found) > limit or place is not None
        last = shown[-1]["msg_id"] if shown and rest else text_of(place) if place else None
        self.answer({"tasks": [task_of(each) for each in shown], "next": last if rest else None})

    async def on_post(self, asked: Asked) -> None:
        """Submit tasks."""
        batches = batches_of(asked.body)
        key = self.request.headers.get("Idempotency-Key")
        submissions = await self.rest.of(self.role)
        if key is None:
            numbers = await submissions.tasks(batches)
        else:
            Text(255, 1, KEY_PATTERN).check(key, "Idempotency-Key")
            own = f"{self.identity.token} {key}"
            numbers = await self.rest.submit_once(self.role, own, bytes(self.body), batches)
        single = isinstance(asked.body, Mapping) and "map" not in asked.body
        wait = asked.query.get("wait", 0)
        if wait:
            await submissions.wait(numbers, wait)
        rows = [self.rest.row(number) for number in numbers] if wait else [None]
        if any(row is None for row in rows):
            await submissions.commits.safe()
        if single:
            self.set_header("Location", _href(numbers[0]))
        if all(row is not None for row in rows):
            await self.send(_one_or_all(rows, single), status=200)
        elif wait and not single:
            await self.send(_together(numbers, rows), status=202)
        else:
            self.answer(accepted(numbers), 202)


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


class TaskResult(ApiHandler):
    """What came of one."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "GET": Operation(
            {
                200: Answer("It has ended: how, and with what; bytes as they are", shapes.OUTCOME,
                    ("application/json", OCTETS)),
                202: Answer("It has not ended", shapes.PENDING),
            },
            path={"id": REQUEST_ID},
            query={
                "wait": shapes.WAIT,
                "value": Flag("Whether to answer with the value alone, or the error as 422"),
            },
        )
    }  # fmt: skip

    async def on_get(self, asked: Asked) -> None:
        """Tell what came of it."""
        number = number_of(asked.path["id"])
        row = await self.rest.fetched(self.role, number, asked.query.get("wait", 0.05))
        if row is None:
            self.answer(pending(number), 202)
            return
        outcome = outcome_of(row)
        _check_known(outcome, row)
        value = outcome.value
        if value is not None and (asked.query.get("value") or value.media_type == OCTETS):
            await self.send([value.data], value.media_type)
        elif asked.query.get("value"):
            error = outcome.error or {"type": "", "message": outcome.state}
            raise Refusal(422, outcome.state, f"{error['type']}: {error['message']}")
        else:
            await self.send(pieces(outcome))


class TaskOutput(ApiHandler):
    """What one has put out."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "GET": Operation(
            {200: Answer("What it has put out so far; all of it once it has ended", shapes.TASK_OUTPUT)},
            path={"id": REQUEST_ID},
        )
    }

    async def on_get(self, asked: Asked) -> None:
        """Tell what it has put out."""
        number = number_of(asked.path["id"])
        row = self.rest.row(number)
        if row is None:
            record = await self.rest.record(self.role, number)
            if record is None:
                raise unknown(number)
            state = STATE_OF_RECORD.get(record["status"], record["status"])
            if state in ("queued", "running"):
                live = await self.rest.live_output(number)
                self.answer({"id": text_of(number), "state": state, "complete": False, **output_of(live)})
                return
            row = await self.rest.fetched(self.role, number, 10.0)
            if row is None:
                raise TimeoutError(f"the output of {text_of(number)} has not come within 10 s")
        outcome = outcome_of(row)
        _check_known(outcome, row)
        head = {"id": text_of(number), "state": outcome.state, "complete": True}
        self.answer({**head, **outcome.output})


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


class Results(ApiHandler):
    """What came of many."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "GET": Operation(
            {
                200: Answer("All have ended", shapes.OUTCOMES),
                202: Answer("Some have not", shapes.OUTCOMES),
            },
            query={"ids": shapes.ID_LIST, "wait": shapes.WAIT},
        )
    }

    async def on_get(self, asked: Asked) -> None:
        """Tell what came of them."""
        if "ids" not in asked.query:
            raise Unfit("ids is missing: the ids of requests")
        numbers = numbers_in(asked.query["ids"])
        rows = await self.rest.fetched_all(self.role, numbers, asked.query.get("wait", 0.05))
        status = 200 if all(row is not None for row in rows) else 202
        await self.send(_together(numbers, rows), status=status)


async def stop(handler: ApiHandler, ids: Sequence[str], grace: float | None) -> None:
    """Stop requests, and tell what became of them."""
    client = await handler.rest.client(handler.role)
    handler.answer(await client.cancel_requests(ids, grace=grace))


def task_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record of the hub as REST tells it."""
    return {
        "id": record["msg_id"],
        "state": STATE_OF_RECORD.get(record["status"], record["status"]),
        "kind": "task" if record["stream"] == "task" else "command",
        "action": record["action"],
        "label": record["label"],
        "session": record["client"],
        "engine": record["engine_id"],
        "submitted": when(record["submitted"]),
        "started": when(record["started"]),
        "completed": when(record["completed"]),
        "error": record["error"],
        "stdout": record["stdout"],
        "stderr": record["stderr"],
        "request_bytes": record["request_bytes"],
        "result_bytes": record["result_bytes"],
    }


def accepted(numbers: Sequence[int]) -> dict[str, Any]:
    """Return what is said of requests that were accepted."""
    ids = text_ids(numbers)
    whole = len(ids) > 1 and numbers[-1] - numbers[0] == len(numbers) - 1
    named = f"{ids[0]}..{ids[-1]}" if whole else ",".join(ids)
    return {"ids": ids, "results": f"/api/v1/results?ids={named}"}


def pending(number: int) -> dict[str, Any]:
    """Return what is said of a request that has not ended."""
    return {"id": text_of(number), "state": "submitted", "href": _href(number)}


def unknown(number: int) -> ResultLost:
    """Return the error about a request that the hub does not know."""
    return ResultLost(
        f"the hub knows no request {text_of(number)}: it was never made, or has ended so long ago that it "
        "was forgotten"
    )


def numbers_in(text: str) -> list[int]:
    """Read a list of ids, and ranges of them.

    Raises
    ------
    Unfit
        They are too many, or a range is none.
    """
    numbers: list[int] = []
    for each in text.split(","):
        first, dots, last = each.partition("..")
        begin, end = number_of(first), number_of(last if dots else first)
        if not 0 <= end - begin < MOST_NAMED - len(numbers):
            raise Unfit(f"{each} is no range, or of more than {MOST_NAMED} requests")
        numbers += range(begin, end + 1)
    return numbers


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
        try:
            query["submitted"] = {"$gte": datetime.fromisoformat(asked["since"]).timestamp()}
        except (ValueError, OverflowError, OSError):
            raise Unfit("since must be a time of ISO 8601, such as 2026-01-31T12:00:00Z") from None
    return query


def _check_known(outcome: Outcome, row: Row) -> None:
    if isinstance(row[2], ResultLost):
        raise row[2]


def _href(number: int) -> str:
    return f"/api/v1/tasks/{text_of(number)}"


def _one_or_all(rows: Sequence[Row | None], single: bool) -> Iterator[Any]:
    if single:
        [row] = rows
        assert row is not None  # it is there
        return pieces(outcome_of(row))
    return _together([], rows)


def _together(numbers: Sequence[int], rows: Sequence[Row | None]) -> Iterator[Any]:
    """Yield the JSON of what came of many requests."""
    left = MOST_TOGETHER
    yield b'{"results": ['
    for place, row in enumerate(rows):
        if place:
            yield b", "
        if row is None:
            yield json.dumps(pending(numbers[place])).encode()
            continue
        outcome = outcome_of(row)
        size = 0 if outcome.value is None else memoryview(outcome.value.data).nbytes
        if size > left:
            yield json.dumps(pending(outcome.id) | {"state": outcome.state}).encode()
            continue
        left -= size
        yield b"".join(bytes(piece) for piece in pieces(outcome))
    yield b"]}"
