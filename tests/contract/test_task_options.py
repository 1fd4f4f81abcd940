"""Tasks that ask for more: dependencies, targets, limits, priorities, results as arguments."""

from __future__ import annotations

import copy
import functools
import time
from operator import add
from typing import Any

import pytest

from ctrlhub import (
    Client,
    Dependency,
    ImpossibleDependency,
    InvalidDependency,
    Reference,
    TaskTimeout,
    TimeLimitExceeded,
)
from tests.support.processes import until
from tests.support.work import Work

WAIT = 60.0


# Functions that the engines know by name: they cannot import this module.
fail = functools.partial(int, "no number")
value = copy.copy


def test_after_and_follow(client: Client, work: Work) -> None:
    """A task waits for others, and runs where they have run."""
    view = client.load_balanced_view()
    first = view.apply_async(work.held("first"))
    work.begun("first")
    with view.temp_flags(follow=first):
        then = view.map_async(value, range(5))
    assert view.follow is None
    assert not then.ready()
    assert "which engine" in client.explain(then)
    work.release("first")
    assert then.get(WAIT) == list(range(5))
    assert set(then.engine_id) == {first.engine_id}


def test_whatever_has_an_id_is_explained_as_what_it_is(
    client: Client, other: Client, work: Work
) -> None:
    """Tasks and commands, running, ended and unknown; also to another client, which has only ids."""
    view = client.load_balanced_view([1, 2])  # what runs where a command waits may be behind it
    ended, [command] = view.apply_async(abs, -1), client[[0]].apply_async(abs, -1).split()
    for result in (ended, command):
        result.get(WAIT)
    running = view.apply_async(work.held("first"))
    work.begun("first")
    waiting = client[0].apply_async(work.held("second"))
    for asks in (client, other):
        for done in (ended, command):
            assert asks.explain(done.msg_ids[0]).startswith("it has ended well")
        assert asks.explain(running.msg_ids[0]).startswith("it runs on engine ")
        assert asks.explain(waiting.msg_ids[0]).startswith("it is a command")
        assert "forgotten" in asks.explain("99-1")
    for result, name in ((running, "first"), (waiting, "second")):
        work.release(name)
        assert result.get(WAIT) == name


def test_a_large_result_is_an_argument_whenever_it_is_given(client: Client) -> None:
    """On its way, come, or opened: the hub has forgotten it by then, and the client has it."""
    view = client.load_balanced_view()
    large = functools.partial(bytes, 10_000_000)
    to_come = view.apply_async(large)
    assert view.apply_async(len, to_come).get(WAIT) == 10_000_000
    assert to_come.wait(WAIT)
    for _ in range(2):
        assert view.apply_async(len, to_come).get(WAIT) == 10_000_000
        assert len(to_come.get()) == 10_000_000
    several = view.map_async(bytes, [10_000_000, 3], chunksize=2)
    assert several.wait(WAIT)
    assert [view.apply_async(list, several).get(WAIT)[1]] == [bytes(3)]
    both = [several.split()[0], view.apply_async(value, 5)]
    assert view.apply_async(value, both).get(WAIT)[1] == 5


def test_what_can_never_be_met_fails_at_once(client: Client) -> None:
    """And those behind it; what waits for the failure runs."""
    view = client.load_balanced_view()
    failed = view.apply_async(fail)
    with view.temp_flags(after=[failed]):
        behind = view.apply_async(add, 1, 1)
    with view.temp_flags(after=behind):
        last = view.apply_async(add, 1, 1)
    with view.temp_flags(after=Dependency([failed, behind], success=False, failure=True)):
        instead = view.apply_async(add, 1, 1)
    for result in (behind, last):
        with pytest.raises(ImpossibleDependency, match="its success is needed"):
            result.get(WAIT)
    assert instead.get(WAIT) == 2
    with pytest.raises(InvalidDependency, match="not known"), view.temp_flags(after="7-7"):
        view.apply_sync(add, 1, 1)


def test_a_command_can_be_waited_for(client: Client) -> None:
    """What a direct view was asked is a request like any other."""
    view = client.load_balanced_view()
    pushed = client[:].push({"there": 5}, block=False)
    with view.temp_flags(after=pushed):
        assert view.apply_sync(add, Reference("there"), 1) == 6


def test_targets(client: Client) -> None:
    """Tasks of a view run on its engines."""
    view = client.load_balanced_view([0, -1])
    result = view.map_async(value, range(20))
    result.get(WAIT)
    assert set(result.engine_id) <= {client.ids[0], client.ids[-1]}


def test_resources_nobody_has(client: Client) -> None:
    """It is said what is missing, and how to have it."""
    view = client.load_balanced_view(resources={"unobtainium": 2})
    with pytest.raises(ImpossibleDependency, match=r"unobtainium=2.*ctrl-hub engine --resources"):
        view.apply_sync(add, 1, 1)


def test_results_are_arguments(client: Client, work: Work) -> None:
    """Before they are there, at any depth, of one call or of many, large or small."""
    view = client.load_balanced_view()
    one = view.apply_async(work.held("one"))
    many = view.map_async(value, range(5), chunksize=2)
    large = view.apply_async(bytes, 3_000_000)
    twice = view.apply_async(add, one, one)
    deep = view.apply_async(value, {"all": [many, (one, twice)], "large": large})
    mapped = view.map_async(add, ["a", one, twice], [one, "b", "c"])
    work.release("one")
    assert twice.get(WAIT) == "oneone"
    assert deep.get(WAIT) == {
        "all": [[0, 1, 2, 3, 4], ("one", "oneone")],
        "large": bytes(3_000_000),
    }
    assert mapped.get(WAIT) == ["aone", "oneb", "oneonec"]


def test_an_argument_that_fails(client: Client) -> None:
    """The task fails with the reason, and does not run."""
    view = client.load_balanced_view()
    result = view.apply_async(add, view.apply_async(fail), 1)
    with pytest.raises(ImpossibleDependency, match=r"ValueError: invalid literal.*an argument of this task"):
        result.get(WAIT)


def test_a_timeout_is_for_the_queue(client: Client, work: Work) -> None:
    """A task that no engine takes in time fails, and says what it waited for."""
    held = [client[n].apply_async(work.held(f"busy-{n}")) for n in client.ids]
    for n in client.ids:
        work.begun(f"busy-{n}")
    view = client.load_balanced_view(timeout=0.05)
    with pytest.raises(TaskTimeout, match="has waited for more than its timeout"):
        view.apply_async(add, 1, 1).get(WAIT)
    for n, each in enumerate(held):
        work.release(f"busy-{n}")
        assert each.get(WAIT) == f"busy-{n}"


@pytest.mark.usefixtures("needs_processes")
def test_a_time_limit_is_for_the_run(client: Client) -> None:
    """What runs for too long is interrupted; the engine goes on."""
    view = client.load_balanced_view(time_limit=0.1)
    with pytest.raises(TimeLimitExceeded, match=r"time_limit of 0\.1 s"):
        view.apply_async(time.sleep, 600).get(WAIT)
    assert view.apply_async(add, 1, 1).get(WAIT) == 2


def test_a_higher_priority_goes_first(client: Client, work: Work) -> None:
    """Among what is queued."""
    held = client[0].apply_async(work.held("busy"))
    work.begun("busy")
    low = client.load_balanced_view(targets=0)
    high = client.load_balanced_view(targets=0, priority=3)

    results = [view.apply_async(time.time) for view in (low, high)]
    until(lambda: client.queue_status()["unassigned"] == 2, "both are queued")
    work.release("busy")
    held.get(WAIT)
    assert results[1].get(WAIT) < results[0].get(WAIT)


@pytest.mark.parametrize(
    ("flag", "wrong", "kind"),
    [
        ("priority", 1.5, TypeError),
        ("priority", True, TypeError),
        ("priority", 1 << 60, ValueError),
        ("timeout", -1, ValueError),
        ("timeout", "long", TypeError),
        ("time_limit", 0, ValueError),
        ("time_limit", float("nan"), ValueError),
        ("grace", float("inf"), ValueError),
        ("resources", ["gpu"], TypeError),
        ("resources", {"gpu": -1}, ValueError),
        ("resources", {"gpu": 1 << 80}, ValueError),  # no message can carry it
        ("after", 5, TypeError),
        ("follow", "nonsense", ValueError),
        ("targets", 99, IndexError),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_said(
    client: Client, flag: str, wrong: Any, kind: type[Exception]
) -> None:
    """Nothing is sent, and the view is as it was."""
    view = client.load_balanced_view()
    with pytest.raises(kind):
        view.set_flags(**{flag: wrong})
    assert view.apply_sync(add, 1, 1) == 2
