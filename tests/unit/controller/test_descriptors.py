"""A hub's file descriptors: whether there are some for further peers."""

from __future__ import annotations

import os
import resource

import pytest

from ctrlhub.controller.descriptors import LEAST_SPARE, MOST_SPARE, PEER, DescriptorRoom
from ctrlhub.wire import messages as m
from tests.support.exchange import Exchange, Line


def open_files() -> int:
    """How many this process has open."""
    return len(os.listdir("/proc/self/fd"))


def test_a_hub_is_full_before_it_has_none_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """And then it says what to do."""
    gap = os.open(os.devnull, os.O_RDONLY)  # there mostly are some among the numbers
    limit = open_files() + 10 + LEAST_SPARE
    monkeypatch.setattr(resource, "getrlimit", lambda which: (limit, limit))
    why_full = DescriptorRoom().why_full
    assert why_full() == ""

    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(21)]
    os.close(gap)
    text = why_full()
    for descriptor in taken:
        os.close(descriptor)
    assert f"of {limit} file descriptors in use" in text
    assert "raise its `ulimit -n`" in text
    assert why_full() == ""


@pytest.mark.parametrize("limit", [resource.RLIM_INFINITY, 1 << 20])
def test_mostly_there_are_enough(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """Or any number."""
    monkeypatch.setattr(resource, "getrlimit", lambda which: (limit, limit))

    assert DescriptorRoom().why_full() == ""


def test_where_there_are_many_they_are_not_counted_for_each_peer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thousand peers that come at once would take a thousand times as long; but each looks near the end."""
    counted: list[str] = []
    open_ones = 0

    def listed(path: str) -> list[int]:
        counted.append(path)
        return list(range(open_ones))

    monkeypatch.setattr(resource, "getrlimit", lambda which: (20_000, 20_000))
    monkeypatch.setattr(os, "listdir", listed)
    room = DescriptorRoom()
    while not room.why_full():
        open_ones += 4
    assert 20_000 - MOST_SPARE < open_ones < 20_000 - MOST_SPARE + 4 * PEER
    assert len(counted) < 100


def test_a_full_hub_refuses_new_peers_and_serves_the_others() -> None:
    """Who was here may also come back."""
    exchange = Exchange()
    old = Line(exchange, "old")
    token = old.register(m.Role.ADMIN, "old").token
    exchange.switchboard.joining.why_full = lambda: "no descriptors"

    new = Line(exchange, "new")
    with pytest.raises(AssertionError, match="no descriptors"):
        new.register(m.Role.ADMIN, "new")
    assert old.said is not None
    incarnation = old.said.incarnation
    assert old.register(m.Role.ADMIN, "old", token=token, incarnation=incarnation).resumed

    exchange.switchboard.joining.why_full = str
    assert new.register(m.Role.ADMIN, "new").session
