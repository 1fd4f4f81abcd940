"""A request like one that was taken back before the hub had heard of it."""

from __future__ import annotations

from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.requests import About, CommandRequest, Request
from ctrlhub.client.result_base import Home
from ctrlhub.client.withdrawn import Withdrawn
from ctrlhub.wire.errors import ResultLost
from ctrlhub.wire.ids import text_of


def asked_again(taken: Withdrawn, home: Home, number: int) -> Request:
    """Return a request that asks for the same under another id.

    Raises
    ------
    ResultLost
        Its arguments were not kept.
    """
    if taken.payload is None:
        raise ResultLost(
            f"the arguments of request {text_of(taken.number)}, which was cancelled before it was "
            "sent, were not kept: submit it anew"
        )
    if taken.template is not None:
        return AsyncResult(home, number, taken.payload, taken.template)
    owner = AsyncResult(home, number, b"", About(taken.action, taken.stream, taken.label))
    return CommandRequest(
        number, (taken.target,), taken.action, (taken.payload,), taken.function, owner, taken.label
    )
