"""What the figures must reach, in one run with the peers on two cores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.figures import Better, Run, cell
from benchmarks.peers import OURS

MORE, LESS = Better.MORE, Better.LESS


@dataclass(frozen=True)
class Figure:
    """A metric of a peer."""

    peer: str
    metric: str


@dataclass(frozen=True)
class Goal:
    """Our figure, in terms of another one (or of 1, where there is none)."""

    work: str
    ours: Figure
    bound: Better  #: MORE: at least the factor; LESS: at most
    factor: float
    theirs: Figure | None

    @property
    def words(self) -> str:
        """The goal as a table shows it."""
        sign = "≥" if self.bound is MORE else "≤"
        if self.theirs is None:
            return f"{sign} {self.factor:g}"
        what = self.theirs.peer if self.theirs.peer != self.ours.peer else self.theirs.metric
        return f"{sign} {self.factor:.3g} x {what}"


@dataclass(frozen=True)
class Verdict:
    """A goal and what was found; no ratio where a figure is missing."""

    goal: Goal
    ratio: float | None
    noisy: bool

    @property
    def reached(self) -> bool | None:
        """Whether the goal is met, if that can be said."""
        if self.ratio is None:
            return None
        if self.goal.bound is MORE:
            return self.ratio >= self.goal.factor
        return self.ratio <= self.goal.factor


_SUBMIT = Figure(OURS, "submit")
_DIRECT = Figure(OURS, "direct_p50")

#: The ways to submit tasks one by one.
_WAYS = (
    (OURS, ""),
    ("ctrl-hub-executor", ", through Executor"),
    ("ctrl-hub-asyncio", ", through AsyncClient"),
)
#: How many times as quick each of them is to be.
_OTHERS = (
    ("ipyparallel", 150),
    ("dask", 75),
    ("ray", 30),
    ("process-pool", 6),
    ("mp-pool", 1.5),
    ("prototype", 0.5),
)

GOALS = (
    *(
        Goal(
            f"tasks one by one{way}", Figure(peer, "submit"), MORE, factor, Figure(other, "submit")
        )
        for peer, way in _WAYS
        for other, factor in _OTHERS
    ),
    Goal("tasks over encrypted TCP", Figure("ctrl-hub-tcp", "submit"), MORE, 0.7, _SUBMIT),
    Goal(
        "tasks over HTTP",
        Figure("ctrl-hub-http", "submit"),
        MORE,
        20,
        Figure("ipyparallel", "submit"),
    ),
    Goal("tasks with a store on disk", Figure("ctrl-hub-sqlite", "submit"), MORE, 0.6, _SUBMIT),
    Goal(
        "one direct call, p50, with a store on disk",
        Figure("ctrl-hub-sqlite", "direct_beside"),
        LESS,
        1.1,
        None,
    ),
    Goal("map, each item a task", Figure(OURS, "map"), MORE, 1, _SUBMIT),
    *(
        Goal(f"{words} of ten times the size", Figure(OURS, f"{shape}_growth"), LESS, 12, None)
        for shape, words in (("chain", "a chain"), ("fan_in", "a fan-in"), ("dag", "a graph"))
    ),
    Goal(
        "1,000,000 tasks queued, rate", Figure(OURS, "rate_1m"), MORE, 0.8, Figure(OURS, "rate_10k")
    ),
    *(
        Goal(f"1,000,000 tasks queued, {words}", Figure(OURS, f"{name}_1m"), LESS, bound, None)
        for name, words, bound in (
            ("hub_bytes", "hub's bytes for each", 600),
            ("client_bytes", "client's bytes for each", 1000),
            ("hub_kept", "what the hub keeps", 0.2),
            ("client_kept", "what the client keeps", 0.2),
        )
    ),
    Goal("tasks of 0-5 ms, efficiency", Figure(OURS, "efficiency"), MORE, 0.93, None),
    Goal("4 clients, smallest share", Figure(OURS, "smallest_share"), MORE, 0.2, None),
    Goal("one direct call, p50", _DIRECT, LESS, 1 / 4, Figure("ipyparallel", "direct_p50")),
    Goal("one direct call, p50", _DIRECT, LESS, 1.3, Figure("prototype-thread", "balanced_p50")),
    *(
        Goal(
            "a no-op on all of 16 engines, p50",
            Figure(OURS, "fan_out_16"),
            LESS,
            factor,
            Figure(peer, "fan_out_16"),
        )
        for peer, factor in (("ipyparallel", 1 / 10), ("dask", 1 / 2))
    ),
    Goal(
        "the same, for 8 times the engines",
        Figure(OURS, "fan_out_16"),
        LESS,
        8,
        Figure(OURS, "fan_out_2"),
    ),
    *(
        Goal(
            f"{way} 100 MB",
            Figure(OURS, f"{way}_100mb"),
            MORE,
            factor,
            Figure(peer, f"{way}_100mb"),
        )
        for way in ("push", "pull")
        for peer, factor in (("ipyparallel", 3), ("dask", 2), ("ray", 1))
    ),
    Goal("hub's growth by 100 MB, MB", Figure(OURS, "hub_peak"), LESS, 20, None),
    Goal(
        "push 100 MB to 8 engines",
        Figure(OURS, "push_all_8"),
        LESS,
        2,
        Figure(OURS, "push_one_of_8"),
    ),
    *(
        Goal(
            f"{part}'s growth by 45,000 commands, MB", Figure(OURS, f"{part}_growth"), LESS, 1, None
        )
        for part in ("hub", "client", "engine")
    ),
    Goal(
        "import",
        Figure(OURS, "import_package"),
        LESS,
        1 / 3,
        Figure("ipyparallel", "import_package"),
    ),
    Goal("heavy modules imported", Figure(OURS, "heavy_modules"), LESS, 0, None),
    Goal(
        "nothing running to first result",
        Figure(OURS, "first_result"),
        LESS,
        1 / 8,
        Figure("ipyparallel", "first_result"),
    ),
)


def judge(runs: Sequence[Run]) -> list[Verdict]:
    """Hold the medians of the runs against the goals."""
    return [_judge(goal, runs) for goal in GOALS]


def _judge(goal: Goal, runs: Sequence[Run]) -> Verdict:
    ours = cell(runs, goal.ours.peer, goal.ours.metric)
    if ours is None:
        return Verdict(goal, None, False)
    if goal.theirs is None:
        return Verdict(goal, ours.value, ours.noisy)
    theirs = cell(runs, goal.theirs.peer, goal.theirs.metric)
    if theirs is None or theirs.value == 0:
        return Verdict(goal, None, False)
    return Verdict(goal, ours.value / theirs.value, ours.noisy or theirs.noisy)
