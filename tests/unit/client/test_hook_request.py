"""A start hook on its way to a hub, and to the next one."""

from __future__ import annotations

import logging
from concurrent.futures import Future
from typing import Any

import pytest

from ctrlhub.client.hook_request import StartHookRequest
from ctrlhub.client.outgoing import Outgoing
from ctrlhub.client.requests import Function, Stirred
from ctrlhub.wire.errors import Failure, pack_failure
from ctrlhub.wire.messages import StartHook, Status, Stream


class Owner:
    """Keeps the rows that it is given."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []

    def _future(self) -> Future[Any]:
        return Future()

    def _take(self, index: int, row: tuple[Any, ...], now: float) -> Stirred | None:
        self.rows.append(row)
        return None


def row(number: int, status: Status = Status.OK, payload: bytes = b"N.") -> tuple[Any, ...]:
    """A row as it comes."""
    return (number, int(status), payload, -1, 0.0, 0.0, None)


RAISED = pack_failure(Failure("remote", "ValueError", "no good"))


@pytest.fixture
def outgoing() -> Outgoing:
    """Where requests leave."""
    return Outgoing()


def made(outgoing: Outgoing, number: int, name: str = "one") -> StartHookRequest:
    """Submit a hook."""
    function = Function(b"digest", b"code")
    kept = outgoing.start_hooks
    request = StartHookRequest(number, name, "apply", b"data", function, Owner(), kept)
    outgoing.submissions.append(request)
    return request


def sent(outgoing: Outgoing) -> list[StartHook]:
    """Take the hooks that leave."""
    return [each for _, each in outgoing.messages() if isinstance(each, StartHook)]


def again(outgoing: Outgoing) -> list[int]:
    """Take the hooks that are said again after a new hello."""
    found = outgoing.again(Stream.MULTIENGINE)
    return [each.id for each in found if isinstance(each, StartHook)]


def ends(outgoing: Outgoing, request: StartHookRequest, *how: Any) -> None:
    """Let a hook's row come."""
    outgoing.commands.requests.pop(request.first)._settle(row(request.first, *how), 1.0)


def test_it_brings_its_function_along(outgoing: Outgoing) -> None:
    """Each time: the hub may have forgotten it."""
    made(outgoing, 1)
    made(outgoing, 2, "two")

    assert [each.functions for each in sent(outgoing)] == [((b"digest", b"code"),)] * 2


def test_one_that_is_kept_is_given_to_the_next_hub(outgoing: Outgoing) -> None:
    """And to no hub twice that has accepted it."""
    first = made(outgoing, 1)
    sent(outgoing)
    assert again(outgoing) == [1]
    ends(outgoing, first)
    assert again(outgoing) == []

    outgoing.new_hub()

    assert again(outgoing) == [1]
    outgoing.commands.accept(((1, 1),))
    assert again(outgoing) == []


def test_one_that_replaces_another_is_given_last(outgoing: Outgoing) -> None:
    """As the hub before had it."""
    for number, name in enumerate(("one", "two", "one"), 1):
        request = made(outgoing, number, name)
        sent(outgoing)
        ends(outgoing, request)

    outgoing.new_hub()

    assert again(outgoing) == [2, 3]


def test_one_that_failed_is_not(outgoing: Outgoing) -> None:
    """Nor one whose name another one has."""
    failed, former, latter = made(outgoing, 1), made(outgoing, 2, "two"), made(outgoing, 3, "two")
    sent(outgoing)
    ends(outgoing, failed, Status.ERROR, RAISED)
    ends(outgoing, former)
    ends(outgoing, latter)

    outgoing.new_hub()

    assert again(outgoing) == [3]


def test_one_that_the_next_hub_does_not_keep(
    outgoing: Outgoing, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, since nobody waits for it any more, and it is given to no other one."""
    request = made(outgoing, 1)
    sent(outgoing)
    ends(outgoing, request)
    outgoing.new_hub()
    with caplog.at_level(logging.WARNING, "ctrlhub.client"):
        ends(outgoing, request, Status.ERROR, RAISED)

    assert "start hook 'one' is lost" in caplog.text
    assert "no good" in caplog.text
    outgoing.new_hub()
    assert again(outgoing) == []


def test_one_that_somebody_else_has_removed(outgoing: Outgoing) -> None:
    """It is given to no other hub; the others are."""
    for number, name in ((1, "one"), (2, "two")):
        request = made(outgoing, number, name)
        sent(outgoing)
        ends(outgoing, request)

    outgoing.forget_hooks(((1, 1), (7, 9)))
    outgoing.new_hub()

    assert again(outgoing) == [2]
