"""History: what stays of requests that are over, and for how long."""

from __future__ import annotations

from typing import Any

import pytest

from ctrlhub.controller.core.deliveries import Outcome
from ctrlhub.controller.core.functions import Function
from ctrlhub.controller.core.history import BLOCK, GONE, OVERHEAD, SHARE, History, Retention
from ctrlhub.wire.messages import Payload


class Request:
    """A request that has ended."""

    def __init__(self, number: int, payload: Payload = b"") -> None:
        self.id = number
        self.payload = payload


def an_outcome(number: int, value: Payload = b"", extras: Any = None) -> Outcome:
    """Return how a request ended."""
    return (number, 0, value, 0, 0.0, 0.0, extras)


def remember(
    history: History[Request], *numbers: int, value: Payload = b"", now: float = 0.0, **more: Any
) -> None:
    """Let requests be over."""
    requests = [Request(number, more.get("payload", b"")) for number in numbers]
    outcomes = [an_outcome(number, value, more.get("extras")) for number in numbers]
    history.add(requests, outcomes, more.get("functions", ()), now)
    history.check()


def test_a_request_is_found_with_its_outcome() -> None:
    """By its id; one that was not there is not."""
    history: History[Request] = History(Retention())
    remember(history, 3, 1, value=b"v")
    found = history.find(1)
    assert found is not None
    assert (found[0].id, found[1]) == (1, an_outcome(1, b"v"))
    assert history.find(2) is None
    assert list(history.numbers()) == [3, 1]


@pytest.mark.parametrize("most", [1, 7, 100, 4096])
def test_the_oldest_go_when_there_are_too_many(most: int) -> None:
    """However they come; never fewer stay than seven in eight."""
    history: History[Request] = History(Retention(records=most))
    for first in range(0, 3 * most, max(1, most // 3)):
        remember(history, *range(first, first + max(1, most // 3)))
        assert len(history) <= most
    newest = max(history.numbers())
    kept = sorted(history.numbers())
    assert kept == list(range(newest - len(kept) + 1, newest + 1))
    assert len(kept) >= max(1, most - max(1, most // 8))


def test_a_batch_larger_than_all_that_is_kept() -> None:
    """Its last requests stay."""
    history: History[Request] = History(Retention(records=1000))
    remember(history, *range(5 * BLOCK))
    assert max(history.numbers()) == 5 * BLOCK - 1
    assert 0 < len(history) <= 1000


def test_nothing_is_kept_where_nothing_should_be() -> None:
    """With 0 records or no bytes."""
    for retention in (Retention(records=0), Retention(size=0)):
        history: History[Request] = History(retention)
        remember(history, 1, 2)
        assert (len(history), history.size, history.find(1)) == (0, 0, None)


def test_arguments_that_are_too_large_do_not_stay() -> None:
    """They would cost everything else its place; the request itself does stay."""
    history: History[Request] = History(Retention(size=100_000))
    remember(history, 1, value=b"v")
    remember(history, 2, value=b"w", payload=b"x" * 99_000)
    assert [(request.payload, outcome[2]) for request, outcome in history] == [(b"", b"v"), (GONE, b"w")]
    assert history.size < 100_000 // SHARE


def test_the_oldest_go_when_they_take_too_many_bytes() -> None:
    """Arguments, values and output all count."""
    size = 64 * (OVERHEAD + 3000)
    history: History[Request] = History(Retention(size=size))
    extras = {"stdout": "x" * 500, "outputs": [{"data": "y" * 500}]}
    for number in range(1000):
        remember(history, number, value=b"v" * 1000, payload=b"a" * 1000, extras=extras)
        assert history.size <= size
    assert max(history.numbers()) == 999
    assert len(history) >= 32


def test_a_function_counts_once_and_goes_with_its_last_request() -> None:
    """However many call it."""
    history: History[Request] = History(Retention(records=16))
    function = Function(b"digest", b"code" * 250)
    for number in range(100):
        remember(history, number, functions=(function,))
    assert history.size == len(history) * OVERHEAD + 1000
    for number in range(100, 200):
        remember(history, number)
    assert history.size == len(history) * OVERHEAD


def test_a_value_that_is_too_large_is_not_kept() -> None:
    """The request is, and says so."""
    history: History[Request] = History(Retention(size=SHARE * 10_000))
    remember(history, 1, value=(bytes(9000), bytes(2000)))
    remember(history, 2, value=(bytes(9000),))
    values = [history.find(n)[1][2] for n in (1, 2)]  # type: ignore[index]
    assert values == [GONE, (bytes(9000),)]
    assert history.size < 11_000


def test_what_is_too_old_goes() -> None:
    """And nothing has to be looked at before."""
    history: History[Request] = History(Retention(age=1000.0))
    assert history.next_deadline() is None
    remember(history, 1, now=0.0)
    remember(history, 2, now=500.0)
    assert history.next_deadline() == 1000.0
    history.tick(999.0)
    assert len(history) == 2
    history.tick(1000.0)
    assert list(history.numbers()) == [2]
    assert history.next_deadline() == 1500.0


def test_purging_takes_what_is_chosen() -> None:
    """The rest stays, with all that it needs."""
    history: History[Request] = History(Retention())
    function = Function(b"digest", b"code")
    remember(history, *range(1000), functions=(function,))
    assert history.purge(lambda request, outcome: request.id % 2 == 0) == 500
    history.check()
    assert list(history.numbers()) == list(range(1, 1000, 2))
    assert history.size == 500 * OVERHEAD + 4
    assert history.purge(lambda request, outcome: True) == 500
    history.check()
    assert (len(history), history.size) == (0, 0)


def test_the_newest_of_one_id_counts() -> None:
    """A client may have used it twice, in two lives."""
    history: History[Request] = History(Retention())
    remember(history, 1, value=b"old")
    remember(history, 1, value=b"new")
    found = history.find(1)
    assert found is not None
    assert found[1][2] == b"new"


@pytest.mark.parametrize("again", [False, True])
def test_what_has_settled_is_as_it_was(again: bool) -> None:
    """Values, output, large ones, and what is added, dropped or purged afterwards."""
    history: History[Request] = History(Retention(records=64))
    values: dict[int, tuple[Payload, Any]] = {
        number: (b"x" * number, None) for number in range(1, 60)
    }
    values[20] = (b"", {"stdout": "printed"})
    values[40] = ((b"in", b"frames"), None)
    for number, (value, extras) in values.items():
        remember(history, number, value=value, extras=extras)
    before = dict(zip(history.numbers(), history, strict=True))
    history.settle()
    if again:
        assert history.find(1) is not None
        history.settle()
    history.check()
    assert dict(zip(history.numbers(), history, strict=True)) == before
    history.settle()
    assert history.purge(lambda request, outcome: outcome[2] == b"xxx") == 1
    history.settle()
    for number in range(100, 120):
        remember(history, number)
    history.check()
    assert history.find(3) is None
    assert history.find(59) == before[59]
    assert len(history) <= 64
