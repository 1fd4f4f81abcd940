"""What the dashboard shows, from what a hub says."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice

import pytest

from ctrlhub.gateway.dashboard.figures import (
    FAILURES,
    HISTORY,
    TASKS,
    TASKS_AT_ONCE,
    TRACEBACK,
    Figures,
)
from ctrlhub.wire.ids import text_of
from ctrlhub.wire.telemetry import BUCKETS, Failure, Histogram, TaskSample, Telemetry
from tests.support.made_up_telemetry import looks


def some(count: int, engines: int = 4, rate: int = 100) -> list[Telemetry]:
    """Return what a hub says in so many seconds."""
    return list(islice(looks(engines, rate, 1_000_000.0), count))


def test_a_point_is_what_happened_since_the_last_look() -> None:
    """By second, also where two seconds have passed; the first look has no rates."""
    first, second, third = some(3)
    figures = Figures()
    assert "done" not in figures.take(first)["points"][-1]
    point = figures.take(third)["points"][-1]
    done = third.counters["tasks_done"] - first.counters["tasks_done"]
    assert point["done"] == pytest.approx(done / 2)
    assert 0 < point["p50"] < point["p95"] < point["p99"]
    assert second.time < point["time"] == third.time


def test_after_a_pause_it_begins_again() -> None:
    """Lines break where nobody looked, and what ended then was not left out of anything."""
    first, second, third = some(3)
    figures = Figures()
    figures.take(first)
    figures.take(replace(second, missed=7))
    told = figures.take(replace(third, time=second.time + 60, missed=50_000))
    assert told["left_out"] == 0
    gap, point = told["points"]
    assert set(gap) == {"time"}
    assert second.time < gap["time"] < point["time"] == second.time + 60
    assert "done" not in point
    assert figures.whole()["points"][-2:] == [gap, point]
    assert figures.take(replace(third, time=second.time + 61, missed=5))["left_out"] == 5


def test_a_look_that_is_late_breaks_no_line() -> None:
    """On a busy machine: the hub has sampled on, and what is said of the seconds between is so."""
    first, second, third = some(3)
    figures = Figures()
    figures.take(first)
    figures.take(second)
    told = figures.take(replace(third, time=second.time + 8, missed=9))
    [point] = told["points"]
    done = third.counters["tasks_done"] - second.counters["tasks_done"]
    assert point["done"] == pytest.approx(done / 8)
    assert told["left_out"] >= 9


def test_where_nothing_ended_there_is_no_latency() -> None:
    """It is unknown, not zero."""
    first, second = some(2)
    still = replace(second, latency=first.latency, counters=first.counters)
    figures = Figures()
    figures.take(first)
    point = figures.take(still)["points"][-1]
    assert (point["done"], point["p50"]) == (0, None)


def test_another_hub_counts_from_the_beginning() -> None:
    """Its counts are less than those of the former one: no rate is made of both."""
    first, second, third = some(3)
    figures = Figures()
    figures.take(second)
    other = replace(first, started=first.started + 100, time=second.time + 1, latency={"total": Histogram((0,) * (BUCKETS + 1))})
    assert "done" not in figures.take(other)["points"][-1]
    assert figures.take(replace(third, started=other.started, time=other.time + 1))["points"][-1]["done"] > 0


def test_only_engines_that_differ_are_told_again() -> None:
    """And those that have gone; whoever comes gets all."""
    first, second = some(2)
    figures = Figures()
    assert len(figures.take(first)["engines"]["changed"]) == 4
    busier = replace(first.engines[2], completed=first.engines[2].completed + 1)
    told = figures.take(replace(second, engines=(*first.engines[:2], busier)))["engines"]
    assert [row["id"] for row in told["changed"]] == [2]
    assert told["gone"] == [3]
    assert [row["id"] for row in figures.whole()["engines"]["changed"]] == [0, 1, 2]


def test_of_very_many_tasks_a_part_is_shown_and_the_rest_is_counted() -> None:
    """What failed is among them; the others are spread over the second."""
    [first] = some(1)
    tasks = tuple(
        TaskSample(n, n % 4, "", first.time + n / 2000, first.time + n / 1000, "error" if n % 300 == 7 else "ok", "no" if n % 300 == 7 else "")
        for n in range(1000)
    )
    figures = Figures()
    assert figures.take(replace(first, time=first.time - 1, missed=500_000))["left_out"] == 0  # before anybody looked
    told = figures.take(replace(first, tasks=tasks, missed=19_000))
    assert len(told["tasks"]) == TASKS_AT_ONCE
    assert told["left_out"] == 20_000 - TASKS_AT_ONCE
    assert sum(row[6] == "no" for row in told["tasks"]) == 4
    ended = [row[4] for row in told["tasks"]]
    assert ended == sorted(ended)
    assert min(ended) < first.time + 0.05 < first.time + 0.95 < max(ended)


def test_a_failure_is_told_once_with_the_end_of_its_traceback() -> None:
    """It is in what the hub says for a while."""
    first, second = some(2)
    failure = Failure(1 << 40 | 7, "name", 2, first.time, "ValueError: no", "x" * TRACEBACK + "the end")
    figures = Figures()
    [told] = figures.take(replace(first, failures=(failure,)))["failures"]
    assert figures.take(replace(second, failures=(failure,)))["failures"] == []
    assert told["id"] == text_of(failure.id)
    assert told["traceback"].endswith("the end")
    assert len(told["traceback"]) == TRACEBACK


def test_what_is_kept_is_bounded_and_plain() -> None:
    """At 500 engines and 20,000 tasks a second, for longer than anything is kept; all of it is JSON."""
    figures = Figures()
    said = ""
    for each in islice(looks(500, 20_000, 1_000_000.0), HISTORY + 20):
        said = json.dumps(figures.take(each), allow_nan=False)
    whole = figures.whole()
    assert len(whole["points"]) == HISTORY
    assert len(whole["tasks"]) == TASKS
    assert len(whole["failures"]) <= FAILURES
    assert len(said) < 250_000
    assert json.loads(json.dumps(whole, allow_nan=False))["queued"] > 0


def test_before_the_first_look_there_is_nothing_to_tell() -> None:
    """Of the present nothing is said, rather than zeros."""
    whole = Figures().whole()
    assert (whole["points"], whole["engines"]["changed"], "queued" in whole) == ([], [], False)
