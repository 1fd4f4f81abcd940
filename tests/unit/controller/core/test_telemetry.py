"""What the hub counts: histograms, samples, failures, the clocks of engines."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.controller.core.telemetry import (
    FAILURE_BYTES,
    FAILURES,
    LINE,
    MOST_SAMPLED,
    SAMPLED,
    SAMPLES,
    TOLD,
    TOLD_TEXT,
    TRACEBACK,
    WATCHED,
    Buckets,
    Clocks,
    Figures,
    Vitals,
)
from ctrlhub.controller.core.usage import Usage
from ctrlhub.wire.failure import Failure, pack_failure
from ctrlhub.wire.messages import Status
from ctrlhub.wire.telemetry import BOUNDS, Histogram

OK, ERROR, PARTLY = int(Status.OK), int(Status.ERROR), int(Status.PARTLY)


def outcome(number: int, status: int = OK, value: Any = b"value", **fields: Any) -> Any:
    """Make the outcome of a request on engine 3."""
    return (
        number, status, value, fields.get("engine", 3),
        fields.get("started", 50.0), fields.get("elapsed", 2.0), None,
    )  # fmt: skip


def failure(text: str, **fields: Any) -> bytes:
    """Pack what user code raised."""
    return pack_failure(Failure("remote", "ValueError", text, **fields))


def taken(figures: Figures, count: int, now: float) -> int:
    """End requests together, and sample those that are to be; return how many these are."""
    chosen = figures.ends(count, now) or ()
    for place in chosen:
        figures.sample(outcome(place), "", "task", now)
    return len(chosen)


# ---------------------------------------------------------------- histograms


def test_a_bucket_has_what_took_less_than_its_bound() -> None:
    """And not less than the bound before."""
    for bucket, bound in enumerate(BOUNDS):
        buckets = Buckets()
        buckets.add(bound * 0.999)
        buckets.add(bound * 1.001)
        assert buckets.counts[bucket : bucket + 2] == [1, 1]
        assert sum(buckets.counts) == 2


@given(st.lists(st.floats(0, 1e5), min_size=1))
def test_many_at_once_are_counted_as_each_alone(times: list[float]) -> None:
    """However they are spread over the buckets."""
    together, alone = Buckets(), Buckets()
    together.add_each(times)
    for each in times:
        alone.add(each)
    assert together.counts == alone.counts
    assert together.total == pytest.approx(alone.total)


@given(st.lists(st.floats(), min_size=1), st.floats(), st.floats())
def test_whatever_an_engine_reports_is_counted_once(
    times: list[float], submitted: float, now: float
) -> None:
    """No number of seconds stops the hub, and none is lost."""
    figures = Figures()
    figures.took(submitted, times, now)
    assert sum(figures.run.counts) == len(times)
    assert math.isfinite(figures.run.total)
    assert figures.run.total >= 0.0
    figures.check()


def test_a_task_has_waited_for_what_is_not_its_run() -> None:
    """By the hub's clock, and the duration that the engine reports."""
    figures = Figures()
    figures.took(10.0, [2.0, 0.5], 13.0)
    assert figures.total.total == pytest.approx(6.0)
    assert figures.run.total == pytest.approx(2.5)
    assert figures.queue.total == pytest.approx(3.5)


def test_what_ran_for_longer_than_it_was_here_has_not_waited() -> None:
    """An engine's clock may be quicker than the hub's."""
    figures = Figures()
    figures.took(10.0, [5.0], 11.0)
    assert figures.queue.total == 0.0


def test_a_histogram_tells_quantiles_and_what_is_new() -> None:
    """They lie within the bucket that has them."""
    buckets = Buckets()
    buckets.add(0.001, 90)
    before = Histogram(tuple(buckets.counts), buckets.total)
    buckets.add(1.0, 10)
    now = Histogram(tuple(buckets.counts), buckets.total)
    half, most = now.quantile(0.5), now.quantile(0.95)
    assert half is not None
    assert most is not None
    assert 0.0005 < half < 0.0011
    assert 0.5 < most < 1.1
    assert now.since(before).count == 10
    assert now.since(before).mean == pytest.approx(1.0)
    assert Histogram().quantile(0.5) is None
    assert Histogram().mean is None
    with pytest.raises(ValueError, match="share"):
        now.quantile(1.5)


# ---------------------------------------------------------------- samples


def test_nothing_is_sampled_while_nobody_looks() -> None:
    """But everything is counted."""
    figures = Figures()
    assert figures.ends(10, 1.0) is None
    figures.look(2.0)
    assert taken(figures, 10, 3.0) == 10
    assert figures.ends(10, 2.0 + WATCHED) is None
    assert figures.ended == 30


def test_few_are_sampled_all() -> None:
    """And a reader gets those since it has asked."""
    figures = Figures()
    figures.look(0.0)
    for number in range(5):
        taken(figures, 1, 0.1 * number)
    assert len(figures.samples_since(0)) == 5
    assert len(figures.samples_since(3)) == 2


def test_of_very_many_an_even_sample_is_taken() -> None:
    """Of each second about as many, spread over its batches."""
    figures = Figures()
    figures.look(0.0)
    per_batch = []
    for step in range(1, 500):
        figures.look(step / 100)
        per_batch.append(taken(figures, 200, step / 100))  # 20,000 a second
    settled = per_batch[200:]
    assert 0.8 * SAMPLED < sum(settled) / 3 < 1.2 * SAMPLED
    assert max(settled) <= 5
    assert sum(per_batch[:99]) <= MOST_SAMPLED
    assert len(figures.samples_since(0)) <= SAMPLES


@given(st.lists(st.tuples(st.integers(0, 5000), st.floats(0, 2)), max_size=60))
def test_samples_are_places_in_their_batch_and_bounded(batches: list[tuple[int, float]]) -> None:
    """However batches come."""
    figures, now, in_second = Figures(), 0.0, 0
    figures.look(now)
    for count, passed in batches:
        now += passed
        figures.look(now)
        chosen = figures.ends(count, now) or range(0)
        assert all(0 <= place < count for place in chosen)
        in_second = in_second + len(chosen) if figures._taken > len(chosen) else len(chosen)
        assert in_second <= MOST_SAMPLED
    assert figures.ended == sum(count for count, _ in batches)


def test_a_sample_tells_times_of_the_hub_s_clock() -> None:
    """An engine's clock that is 100 s behind is put right by what its results seem to take."""
    figures = Figures()
    figures.unix_offset = 1000.0
    figures.look(200.0)
    figures.ends(1, 200.0)
    figures.sample(outcome(7, started=1098.0, elapsed=2.0), "name", "task", 200.0)
    [row] = figures.samples_since(0)
    assert row == (7, 3, "name", 1198.0, 1200.0, "ok", "", "task")


def test_samples_of_today_are_of_today() -> None:
    """Times are as engines say them, also those after 2001, and not all the same."""
    figures = Figures()
    figures.unix_offset = 1_795_782_000.0
    for now in (100.0, 101.0, 102.0):
        figures.look(now)
        figures.ends(1, now)
        figures.sample(outcome(7, started=figures.unix_offset + now - 0.5, elapsed=0.5), "", "task", now)
    assert [row[4] for row in figures.samples_since(0)] == pytest.approx([1_795_782_000.0 + n for n in (100, 101, 102)])


def test_a_sample_of_a_failure_says_what_was_wrong() -> None:
    """In a line that is not too long."""
    figures = Figures()
    figures.look(1.0)
    figures.ends(1, 1.0)
    figures.sample(outcome(7, ERROR, failure("x" * 1000)), "l" * 1000, "task", 1.0)
    [row] = figures.samples_since(0)
    assert row[5] == "error"
    assert row[6].startswith("ValueError: xxx")
    assert len(row[6]) == LINE
    assert len(row[2]) < 200


@given(st.floats(), st.floats())
def test_any_times_of_an_engine_make_a_sample(started: float, elapsed: float) -> None:
    """That has begun no later than it ended, by numbers."""
    figures = Figures()
    figures.look(1.0)
    figures.ends(1, 1.0)
    figures.sample(outcome(7, started=started, elapsed=elapsed), "", "task", 1.0)
    [row] = figures.samples_since(0)
    assert math.isfinite(row[3])
    assert math.isfinite(row[4])
    assert row[3] <= row[4]


def test_a_clock_is_behind_by_the_least_that_results_take() -> None:
    """A result that was held up is not taken for a clock that has changed; one that drifts is followed."""
    clocks = Clocks()
    assert clocks.behind(1, 10.0, 10.5) == pytest.approx(0.5)
    assert clocks.behind(1, 11.0, 11.01) == pytest.approx(0.01)
    assert clocks.behind(1, 12.0, 20.0) < 0.03
    assert clocks.behind(1, 25.0, 20.0) == pytest.approx(-5.0)
    clocks.forget(1)
    assert clocks.behind(1, 10.0, 30.0) == pytest.approx(20.0)


# ---------------------------------------------------------------- failures


def test_failures_are_told_with_the_end_of_their_traceback() -> None:
    """Also of one that is too large to be kept as it is."""
    figures = Figures()
    long = "first line\n" + "middle\n" * 20_000 + "last line"
    for number, traceback in enumerate(("short", long)):
        packed = failure("wrong", traceback=traceback, pickled=b"x" * FAILURE_BYTES * number)
        figures.failed(outcome(number, ERROR, packed), "label", 5.0)
        figures.ends(1, 5.0)
    first, second = figures.failures_since(0)
    assert first == (0, "label", 3, 5.0, "ValueError: wrong", "short")
    assert second[4] == "ValueError: wrong"
    assert second[5].endswith("last line")
    assert len(second[5]) == TRACEBACK
    assert figures.failures_since(1) == [second]
    kept = [mark.row[5] for mark in figures._failures]
    assert all(len(value) < FAILURE_BYTES for value in kept)


def test_the_last_failures_are_kept() -> None:
    """So many."""
    figures = Figures()
    for number in range(2 * FAILURES):
        figures.failed(outcome(number, ERROR, failure("wrong")), "", 5.0)
        figures.ends(1, 5.0)
    assert [row[0] for row in figures.failures_since(0)] == [*range(FAILURES, 2 * FAILURES)]


def test_nonsense_that_an_engine_calls_a_failure_is_told_as_that() -> None:
    """And what failed in part, too."""
    figures = Figures()
    figures.failed(outcome(1, ERROR, b"\xc1"), "", 5.0)
    figures.failed(outcome(2, PARTLY, b"x" * 2 * FAILURE_BYTES), "", 5.0)
    figures.ends(2, 5.0)
    first, second = figures.failures_since(0)
    assert "could not be read" in first[4]
    assert "some of its items" in second[4]


# ---------------------------------------------------------------- processes


def test_being_late_fades() -> None:
    """The worst of late is told, for some seconds."""
    vitals = Vitals()
    vitals.came_late(0.5)
    vitals.came_late(-0.1)
    assert 0.3 < vitals.lag < 0.5
    for _ in range(30):
        vitals.came_late(0.0)
    assert vitals.lag < 0.001


def test_cores_are_what_was_used_in_between() -> None:
    """Unknown until there are two values."""
    usage = Usage()
    usage.tell(10.0, 1000, 100.0)
    assert (usage.cpu_seconds, usage.cores, usage.rss) == (10.0, None, 1000)
    usage.tell(13.0, 2000, 102.0)
    assert (usage.cpu_seconds, usage.cores, usage.rss) == (13.0, 1.5, 2000)


def test_what_was_used_never_falls() -> None:
    """Child processes may end whose time nobody has waited for, and others come in an engine's place."""
    usage = Usage()
    usage.tell(10.0, 1000, 100.0)
    usage.tell(4.0, 1000, 102.0)
    assert (usage.cpu_seconds, usage.cores) == (10.0, 0.0)
    usage.tell(5.0, 1000, 104.0)
    assert (usage.cpu_seconds, usage.cores) == (11.0, 0.5)
    usage.renew()
    assert (usage.cores, usage.rss) == (None, None)
    usage.tell(3.0, 500, 106.0)
    assert usage.cpu_seconds == 14.0


@given(st.lists(st.tuples(st.floats(), st.integers(-1, 2**62), st.floats(0, 100))))
def test_whatever_is_told_of_usage_makes_numbers(told: list[tuple[float, int, float]]) -> None:
    """No negative ones, none that are none."""
    usage, now = Usage(), 0.0
    for cpu, rss, passed in told:
        now += passed
        before = usage.cpu_seconds or 0.0
        usage.tell(cpu, rss, now)
        assert usage.cpu_seconds is None or usage.cpu_seconds >= before
        assert usage.cores is None or (usage.cores >= 0 and math.isfinite(usage.cores))
        assert usage.rss is None or usage.rss >= 0


def test_an_answer_is_bounded_whatever_is_long() -> None:
    """Of long tracebacks fewer are told, of many samples the last."""
    figures = Figures()
    figures.look(1.0)
    for number in range(FAILURES):
        figures.failed(outcome(number, ERROR, failure("wrong", traceback="x" * 50_000)), "", 5.0)
    figures.ends(FAILURES, 5.0)
    told = figures.failures_since(0)
    assert [row[0] for row in told] == [*range(FAILURES - len(told), FAILURES)]
    assert TOLD_TEXT <= sum(len(row[-1]) for row in told) < TOLD_TEXT + TRACEBACK
    for second in range(20):
        figures.look(10.0 + second)
        taken(figures, SAMPLED, 10.0 + second)
    assert len(figures.samples_since(0)) == TOLD
