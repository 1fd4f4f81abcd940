"""Verdicts: whatever goes wrong is counted."""

from __future__ import annotations

import pytest

from ctrlhub import CompositeError, EngineError, ResultLost
from tests.chaos.client import said_of
from tests.chaos.plan import Kind
from tests.chaos.record import Entry, Run, Said
from tests.chaos.verdict import Struck, Verdict, judge

S, A, E, X = Said.SUBMITTED, Said.ACKNOWLEDGED, Said.ENDED, Said.ABANDONED


def verdict_of(*entries: Entry, runs: list[Run] | None = None, struck: tuple[Struck, ...] = ()) -> Verdict:
    """Judge one client's record."""
    return judge([entries], runs or [], struck)


def test_all_is_well() -> None:
    """Each submission, acknowledged or not, has ended well, once."""
    verdict = verdict_of(
        Entry(1, S, 1, "task"), Entry(1, S, 2, "map", 3), Entry(2, A, 1), Entry(3, E, 1, end="ok"),
        Entry(3, E, 2, end="ok"),
    )  # fmt: skip
    assert (verdict.submitted, verdict.acknowledged, verdict.completed) == (4, 4, 4)
    assert verdict.problems() == []
    assert verdict.stall == 2


PROBLEMS = {
    "1 lost": [Entry(1, S, 1, "task"), Entry(2, A, 1)],
    "3 lost": [Entry(1, S, 1, "map", 3)],
    "2 lost": [Entry(1, S, 1, "map", 2), Entry(2, A, 1), Entry(3, X, 1)],
    "2 delivered twice": [
        Entry(1, S, 1, "map", 2), Entry(2, E, 1, end="ok"), Entry(3, E, 1, end="ok")
    ],
    "1 ended in a wrong way": [Entry(1, S, 1, "task"), Entry(2, E, 1, end="EngineError: gone")],
}  # fmt: skip


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_problem_is_named(problem: str) -> None:
    """What never ends, what ends twice, what ends as it must not."""
    assert verdict_of(*PROBLEMS[problem]).problems() == [problem]


def test_what_may_happen() -> None:
    """Commands fail with their engine; what was never acknowledged goes with its client."""
    verdict = verdict_of(
        Entry(1, S, 1, "command"), Entry(2, E, 1, end="EngineError: gone"), Entry(1, S, 2, "task"),
        Entry(3, X, 2),
    )  # fmt: skip
    assert (verdict.failed, verdict.abandoned, verdict.problems()) == (1, 1, [])


def test_a_map_that_never_came() -> None:
    """It fails for each of its requests; it is what a task would be of which that is so."""
    lost = [ResultLost("the hub knows no request 1-1"), ResultLost("the hub knows no request 1-2")]
    assert said_of(CompositeError("2 of 2", lost)) == said_of(lost[0])
    assert said_of(CompositeError("2 of 2", [*lost, EngineError("gone")])).startswith("CompositeError")


def test_executions() -> None:
    """A task may be run again; a command not by the same process, nor once it was acknowledged."""
    runs = [Run(at, True, number, 7) for at, number in enumerate((1, 1, 2, 2, 2))]
    runs += [Run(5 + number, True, number, pid) for pid in (8, 9) for number in (3, 4)]
    entries = [Entry(0, S, 1, "command"), Entry(0, S, 2, "task"), Entry(0, S, 3, "command")]
    entries += [Entry(0, S, 4, "command"), Entry(1, A, 3)]
    entries += [Entry(9, E, n, end="ok") for n in (1, 2, 3, 4)]
    verdict = verdict_of(*entries, runs=runs)
    assert (verdict.run_again, verdict.commands_run_again) == (2, 2)
    assert verdict.unacknowledged_run_again == 1
    assert verdict.problems() == ["2 commands run twice"]


@pytest.mark.parametrize(
    ("third", "struck", "count"),
    [
        (9.0, (), 1),
        (9.0, (Struck(Kind.KILL_HUB, 4.0, 1, again=5.0),), 1),
        (12.0, (Struck(Kind.KILL_HUB, 4.0, 1, again=5.0),), 0),
        (9.0, (Struck(Kind.KILL_NANNY, 4.0, 1),), 0),
    ],
    ids=["no reason", "a hub has come", "its nanny came late", "its nanny was killed"],
)
def test_deadly_tasks(third: float, struck: tuple[Struck, ...], count: int) -> None:
    """They may kill as many engines as they may be run again, and one: more only if nobody could know."""
    runs = [Run(at, True, 1, pid) for pid, at in enumerate((2.0, 3.0, third))]
    entries = [Entry(1, S, 1, "deadly"), Entry(13, E, 1, end="EngineError: the 2nd to be")]
    verdict = verdict_of(*entries, runs=runs, struck=struck)
    assert (verdict.deadly, verdict.deadly_run_again) == (1, count)
    assert verdict.problems() == ["1 engines too many killed by their tasks"] * count


def test_times_after_kills() -> None:
    """To the first end behind the next hub's start; to the begin of what ran, elsewhere."""
    struck = (
        Struck(Kind.KILL_HUB, 10.0, 1, again=11.0),
        Struck(Kind.KILL_ENGINE, 20.0, 5),
        Struck(Kind.STOP_HUB, 30.0, 2, until=35.0),
    )
    entries = [Entry(9, S, n, "task") for n in range(4)]
    entries += [Entry(at, E, n, end="ok") for n, at in enumerate((10.5, 11.5, 20.9, 36.0))]
    runs = [Run(19, True, 2, 5), Run(19.5, True, 1, 6), Run(20, False, 1, 6), Run(20.25, True, 2, 6)]
    verdict = verdict_of(*entries, runs=runs, struck=struck)
    assert (verdict.after_hub, verdict.after_start, verdict.elsewhere) == ([1.5], [0.5], [0.25])
    assert (round(verdict.stall, 6), round(verdict.free_stall, 6)) == (15.1, 9.4)
