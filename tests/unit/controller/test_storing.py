"""Commits go to the store together; and at once where somebody waits and the store has nothing to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ctrlhub.controller import storing as module
from ctrlhub.controller.core.commits import PATIENCE
from ctrlhub.controller.core.effects import Acknowledge, Commit, Connection, Fetched, Send
from ctrlhub.controller.storing import Storing
from ctrlhub.wire import messages as m
from tests.support.exchange import Exchange
from tests.support.multiengine import a_peer, exchange

__all__ = ["exchange"]

ONE = Connection(0, m.Stream.TASK, b"one")


class World:
    """A loop and a store by hand, with a clock."""

    is_behind = False

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 10.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.writes: list[tuple[Sequence[Any], Callable[[], None]]] = []
        self.sent: list[Send] = []
        loop: Any = self
        store: Any = self
        self.storing = Storing(store, loop, self.sent.append, lambda: None, lambda: None)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """As the loop does."""
        self.timers.append((self.now + seconds, call))

    def write(self, operations: Sequence[Any], then: Callable[[], None]) -> None:
        """As a store does."""
        self.writes.append((operations, then))

    def gather(self, number: int, soon: bool = False) -> None:
        """Hand over a commit."""
        then = (Acknowledge(ONE, m.Accepted, [number]),)
        self.storing.gather(Commit((Fetched(((number, number),)),), then, soon))

    def passes(self, seconds: float) -> None:
        """Let time pass, and timers with it."""
        self.now += seconds
        due = [timer for timer in self.timers if timer[0] <= self.now]
        self.timers = [timer for timer in self.timers if timer[0] > self.now]
        for _, call in due:
            call()

    def stored(self) -> list[int]:
        """Let the store finish what it has; return how many requests each write was about."""
        writes, self.writes = self.writes, []
        for _, then in writes:
            then()
        return [sum(len(each.requests) for each in operations) for operations, _ in writes]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """One of this test's own."""
    return World(monkeypatch)


def test_commits_gather_for_a_moment(world: World) -> None:
    """Where nobody waits for them."""
    world.gather(1)
    world.gather(2)
    world.passes(PATIENCE / 2)
    assert not world.writes
    world.passes(PATIENCE)
    assert world.stored() == [2]


def test_who_waits_is_served_at_once_with_all_that_has_gathered(world: World) -> None:
    """Behind the turn, of which all goes along; and acknowledged once it is safe."""
    world.gather(1)
    world.gather(2, soon=True)
    world.gather(3)
    assert not world.writes
    world.passes(0.0)
    assert not world.sent
    assert world.stored() == [3]
    assert [each.message for each in world.sent] == [m.Accepted(((1, 3),))]
    world.passes(2 * PATIENCE)
    assert not world.writes


def test_what_comes_while_the_store_writes_goes_together(world: World) -> None:
    """One commit behind the other, as fast as the store is, and none for each request."""
    world.gather(1, soon=True)
    world.passes(0.0)
    for number in (2, 3, 4):
        world.gather(number, soon=True)
        world.passes(0.001)
    assert world.stored() == [1]
    world.passes(0.0)
    assert world.stored() == [3]


def test_a_store_that_hangs_gets_no_pile_of_commits(world: World) -> None:
    """What is in a hurry waits no longer than the rest, and no shorter."""
    world.gather(1, soon=True)
    world.passes(0.0)
    for number in range(2, 12):
        world.gather(number, soon=True)
        world.passes(PATIENCE / 10)
    world.passes(PATIENCE)
    assert world.stored() == [1, 10]


def test_a_client_says_that_it_waits(exchange: Exchange) -> None:
    """And what it submits is in a hurry, tasks and commands; what others submit is not."""
    engine = a_peer(exchange, "engine", m.Role.ENGINE)
    lines = [a_peer(exchange, name, m.Role.SUBMIT) for name in ("one", "other")]
    seen: list[bool] = []
    turn = exchange.switchboard.turn

    def watched(now: float) -> Any:
        for effects in turn(now):
            seen.extend(
                each.soon for each in effects
                if type(each) is Commit and any(a.kind is m.Accepted for a in each.then)
            )  # fmt: skip
            yield effects

    exchange.switchboard.turn = watched  # type: ignore[method-assign]
    assert lines[0].call("sessions", "hurry").code == ""
    for line in lines:
        line.submit(1)
        line.command(2, 0)
    assert engine.heard()
    assert seen == [True, True, False, False]
