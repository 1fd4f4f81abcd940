"""Results of any requests: which of them can be stopped, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from ctrlhub.client.connection import Connection
from ctrlhub.client.hub_result import AsyncHubResult
from ctrlhub.wire.errors import InvalidRequest
from ctrlhub.wire.ids import Ranges, request_id
from ctrlhub.wire.messages import Stream
from tests.unit.client.support import SESSION, Home, ok

ONE, TWO = request_id(SESSION, 1), request_id(SESSION, 2)


class Noting(Home):
    """Takes note of what is to be stopped."""

    session = SESSION

    def __init__(self) -> None:
        self.now: list[tuple[Any, Ranges]] = []
        self.later: list[tuple[Any, Ranges]] = []

    def wait(self, ready: Any, timeout: float | None) -> bool:
        """Do not wait."""
        return True

    def cancel(self, stream: Stream, requests: Ranges, grace: float | None = None) -> bool:
        """Note it."""
        self.now.append((stream, requests))
        return True

    def cancel_later(self, stream: Stream, requests: Ranges, grace: float | None = None) -> None:
        """Note it."""
        self.later.append((stream, requests))

    def call(self, interface: str, method: str, arguments: Mapping[str, Any]) -> None:
        """Note it."""
        self.now.append((f"{interface}.{method}", arguments["requests"]))

    def call_later(self, interface: str, method: str, arguments: Mapping[str, Any]) -> None:
        """Note it."""
        self.later.append((f"{interface}.{method}", arguments["requests"]))


def made(home: Noting, *numbers: int) -> AsyncHubResult:
    """Return a result of requests."""
    return AsyncHubResult(cast(Connection, home), numbers, single=False)


def stopped(requests: Ranges) -> list[tuple[Any, Ranges]]:
    """Return what is said to stop requests of which nobody knows what they are."""
    ways = (Stream.TASK, "tasks.cancel", Stream.MULTIENGINE, "multiengine.abort")
    return [(way, requests) for way in ways]


def test_tasks_and_commands_are_stopped() -> None:
    """Whether one waits for it or not: the result does not know which they are."""
    home = Noting()
    result = made(home, ONE, TWO)
    result._take(0, ok(ONE), 1.0)
    result._cancel_later()
    assert (home.later, home.now) == (stopped(((TWO, TWO),)), [])


def test_the_parts_stop_theirs() -> None:
    """Each its own."""
    home = Noting()
    part = made(home, ONE, TWO).split()[1]
    part._cancel_later()
    assert home.later == stopped(((TWO, TWO),))
    part._take(0, ok(TWO), 1.0)
    part.cancel()
    assert home.now == []


def test_others_requests_are_theirs_to_stop() -> None:
    """The error names one; nothing is stopped."""
    home = Noting()
    other = request_id(SESSION + 1, 1)
    for result in (made(home, ONE, other), made(home, ONE, other).split()[1]):
        with pytest.raises(InvalidRequest, match=f"{SESSION + 1}-1"):
            result.cancel()
    assert home.now == home.later == []
