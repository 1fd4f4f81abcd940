"""What was taken back before it left the client: the hub has never heard of it.

Who asks for it later is to see what the hub says of a request that it has cancelled itself: so the
client remembers the last ones, which it forgets nothing else by.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from ctrlhub.client.hook_request import StartHookRequest
from ctrlhub.client.requests import (
    CalledWithResults,
    CommandRequest,
    Function,
    Request,
    TaskRequest,
    Template,
)
from ctrlhub.wire.codec import size_of
from ctrlhub.wire.ids import text_of
from ctrlhub.wire.messages import Action, Payload, Stream

MOST = 1024
"""So many are remembered."""

LARGEST = 16 * 1024
"""Arguments of more bytes are not: so all take no more than 16 MiB."""

_EMPTY = (
    "engine_id", "engine_uuid", "started", "completed", "error", "stdout", "stderr",
    "execute_result", "request_bytes", "submitted",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A request that was taken back.

    Attributes
    ----------
    number
        Its id.
    stream, action, label
        What it was.
    payload
        Its arguments; None if they were not kept.
    template
        What is called, of a task.
    function, target
        The same, and where, of a command.
    """

    number: int
    stream: Stream
    action: str
    label: str | None
    payload: Payload | None
    template: Template | None = None
    function: Function | None = None
    target: int = -1

    def record(self, client: int) -> dict[str, Any]:
        """Return what the hub's record would say of it."""
        return {
            **dict.fromkeys(_EMPTY),
            "msg_id": text_of(self.number), "client": client, "stream": self.stream.value,
            "action": self.action, "label": self.label, "status": "aborted", "result_bytes": 0,
        }  # fmt: skip


class WithdrawnBook:
    """The last requests that were taken back, by id."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[int, Withdrawn] = {}

    def add(self, taken: Iterable[tuple[int, Request]]) -> None:
        """Remember requests; before they are told that they have ended."""
        for number, request in list(taken)[-MOST:]:
            found = _withdrawn(number, request)
            if found is not None:
                self._known[number] = found
        while len(self._known) > MOST:
            del self._known[next(iter(self._known))]

    def find(self, number: int) -> Withdrawn | None:
        """Return what was taken back under an id; from any thread."""
        return self._known.get(number)

    def all(self) -> list[Withdrawn]:
        """Return all that are remembered; from any thread."""
        return list(self._known.copy().values())


def _withdrawn(number: int, request: Request) -> Withdrawn | None:
    if isinstance(request, CommandRequest):
        (target,), (payload,) = request.part(number, number)
        return Withdrawn(
            number, Stream.MULTIENGINE, request.action, request.label or None, _kept(payload),
            function=request.function, target=target,
        )  # fmt: skip
    if isinstance(request, StartHookRequest):  # which nobody makes again by its id
        return None
    task = cast(TaskRequest, request)
    kept = None if isinstance(task, CalledWithResults) else _kept(task._payload(number))
    template = task._template()
    return Withdrawn(number, Stream.TASK, Action.APPLY.value, template.label, kept, template)


def _kept(payload: Payload) -> Payload | None:
    return payload if size_of(payload) <= LARGEST else None
