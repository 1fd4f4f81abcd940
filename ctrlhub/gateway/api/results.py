"""REST: what came of requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ctrlhub.client.rows import Row
from ctrlhub.gateway.api import resources as shapes
from ctrlhub.gateway.api.handler import ApiHandler, Asked
from ctrlhub.gateway.api.jobs import REQUEST_ID
from ctrlhub.gateway.api.operation import JSON, OCTETS, Answer, Operation
from ctrlhub.gateway.api.outcomes import (
    STATE_OF_RECORD,
    SUBMITTED,
    NotKept,
    outcome_of,
    output_of,
    pieces,
)
from ctrlhub.gateway.api.schema import Anything
from ctrlhub.gateway.api.telling import numbers_in, pending, unknown
from ctrlhub.gateway.handlers import Refusal
from ctrlhub.wire.errors import ResultLost
from ctrlhub.wire.ids import number_of, text_of


class TaskResult(ApiHandler):
    """How one has ended."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "GET": Operation(
            {
                200: Answer("It has ended: how, and with what", shapes.OUTCOME),
                202: Answer("It has not ended", shapes.PENDING),
            },
            path={"id": REQUEST_ID},
            query={"wait": shapes.WAIT},
        )
    }

    async def on_get(self, asked: Asked) -> None:
        """Tell how it has ended."""
        row = await ended(self, asked)
        if row is not None:
            await self.send(pieces(outcome_of(row)))
            self.has_fetched(row[0])


class TaskValue(ApiHandler):
    """What one has returned."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "GET": Operation(
            {
                200: Answer("What it returned: JSON, or bytes as they are", Anything(), (JSON, OCTETS)),
                202: Answer("It has not ended", shapes.PENDING),
            },
            path={"id": REQUEST_ID},
            query={"wait": shapes.WAIT},
        )
    }

    async def on_get(self, asked: Asked) -> None:
        """Give it."""
        row = await ended(self, asked)
        if row is None:
            return
        if isinstance(row[2], NotKept):
            raise row[2]
        outcome = outcome_of(row)
        if outcome.value is None:
            error = outcome.error or {"type": "TaskCancelled", "message": "it was cancelled"}
            raise Refusal(409, outcome.state, f"{error['type']}: {error['message']}")
        await self.send_value(outcome.value)
        self.has_fetched(row[0])


async def ended(handler: ApiHandler, asked: Asked) -> Row | None:
    """Return the row of a request that has ended; where it has not, that is answered.

    Raises
    ------
    ResultLost
        Nobody knows how it has ended. Where it is known to be done and its value is lost, the row says so.
    """
    number = number_of(asked.path["id"])
    row = await handler.waiting(
        handler.rest.finding.fetched(handler.role, number, asked.query.get("wait", 0.05))
    )
    if row is None:
        states = await handler.rest.states(handler.role, [number])
        handler.answer(pending(number, handler.prefix, states.get(number, SUBMITTED)), 202)
        return None
    _check_known(row)
    return row


def _check_known(row: Row) -> None:
    if isinstance(row[2], ResultLost) and not isinstance(row[2], NotKept):
        raise row[2]


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
        row = await self.rest.finding.here(number)
        if row is None:
            record = await self.rest.record(self.role, number)
            if record is None:
                raise unknown(number)
            state = STATE_OF_RECORD.get(record["status"], record["status"])
            if state in ("queued", "running"):
                live = await self.rest.live_output(number)
                self.answer({"id": text_of(number), "state": state, "complete": False, **output_of(live)})
                return
            row = await self.rest.finding.fetched(self.role, number, 10.0)
            if row is None:
                raise TimeoutError(f"the output of {text_of(number)} has not come within 10 s")
        _check_known(row)
        outcome = outcome_of(row)
        head = {"id": text_of(number), "state": outcome.state, "complete": True}
        self.answer({**head, **outcome.output})


class Results(ApiHandler):
    """What came of many."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "GET": Operation(
            {
                200: Answer("All have ended", shapes.OUTCOMES),
                202: Answer("Some have not", shapes.OUTCOMES),
            },
            query={"ids": shapes.ID_LIST, "wait": shapes.WAIT},
            needed=("ids",),
        )
    }

    async def on_get(self, asked: Asked) -> None:
        """Tell what came of them."""
        numbers = numbers_in(asked.query["ids"])
        ended = await self.waiting(
            self.rest.finding.ended(self.role, numbers, asked.query.get("wait", 0.05))
        )
        await self.send_rows(numbers, ended)
