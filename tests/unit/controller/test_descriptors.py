"""A hub's file descriptors: whether there are some for further peers."""

from __future__ import annotations

import gc
import os
import resource
from collections.abc import Iterator

import pytest

from ctrlhub.controller.descriptors import LEAST_SPARE, why_full
from ctrlhub.wire import messages as m
from tests.support.exchange import Exchange, Line


def open_files() -> int:
    """How many this process has open."""
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def without_gaps() -> Iterator[None]:
    """The numbers of descriptors have no gaps, which other tests may have left in this process."""
    gc.collect()
    highest = max(map(int, os.listdir("/proc/self/fd")))
    filling = [os.open(os.devnull, os.O_RDONLY)]
    while filling[-1] <= highest:
        filling.append(os.open(os.devnull, os.O_RDONLY))
    yield
    for descriptor in filling:
        os.close(descriptor)


@pytest.mark.usefixtures("without_gaps")
def test_a_hub_is_full_before_it_has_none_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """And then it says what to do."""
    limit = open_files() + 10 + LEAST_SPARE
    monkeypatch.setattr(resource, "getrlimit", lambda which: (limit, limit))
    assert why_full() == ""

    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(20)]
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

    assert why_full() == ""


def test_a_full_hub_refuses_new_peers_and_serves_the_others() -> None:
    """Who was here may also come back."""
    exchange = Exchange()
    old = Line(exchange, "old")
    token = old.register(m.Role.CLIENT, "old").token
    exchange.switchboard.joining.why_full = lambda: "no descriptors"

    new = Line(exchange, "new")
    with pytest.raises(AssertionError, match="no descriptors"):
        new.register(m.Role.CLIENT, "new")
    assert old.said is not None
    incarnation = old.said.incarnation
    assert old.register(m.Role.CLIENT, "old", token=token, incarnation=incarnation).resumed

    exchange.switchboard.joining.why_full = str
    assert new.register(m.Role.CLIENT, "new").session
