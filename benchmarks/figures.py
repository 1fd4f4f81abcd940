"""The vocabulary of the benchmarks: what a metric, a workload and a run are."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.peers.base import Peer

#: A run during which others took this much of the machine, in cores, is noisy.
NOISY_CORES = 0.25


class Better(StrEnum):
    """Which way a metric should go."""

    MORE = "more"
    LESS = "less"


class Outcome(StrEnum):
    """How a run ended."""

    MEASURED = "measured"
    NOT_OFFERED = "not offered"  #: the peer has nothing of the kind
    FAILED = "failed"


@dataclass(frozen=True)
class Metric:
    """One figure of a workload, and how to print it."""

    name: str
    title: str
    unit: str
    better: Better

    @property
    def heading(self) -> str:
        """Title and unit, as a table shows them."""
        return f"{self.title}, {self.unit}" if self.unit else self.title


@dataclass(frozen=True)
class Effort:
    """How much of everything one run does."""

    tasks: int  #: no-op tasks in one round of ``throughput``
    rounds: int  #: rounds at most; a peer that takes ``round_s`` seconds gets one
    round_s: float
    calls: int  #: round trips timed one at a time
    transfers: Mapping[int, int]  #: bytes of an array -> how often it is moved each way
    imports: int  #: fresh interpreters for each import timed
    queue_share: float  #: of the queue lengths named by ``growth``


FULL = Effort(10_000, 5, 2.0, 1_000, {1_000_000: 30, 100_000_000: 5}, 5, 1.0)
#: To see that everything works; the figures mean little.
QUICK = Effort(1_000, 2, 0.5, 100, {1_000_000: 5, 100_000_000: 1}, 3, 0.1)


@dataclass(frozen=True)
class Measured:
    """What one run of a workload found: figures by the name of their metric, and a remark."""

    figures: Mapping[str, float]
    remark: str = ""
    foreign_cores: float | None = None  #: where the workload knows better than who called it


@dataclass(frozen=True)
class Workload:
    """Something every peer is asked to do.

    Parameters
    ----------
    name : str
        ``family`` or ``family-variant``; variants of one family share a table.
    engines : int
        Engines started before ``measure`` is called; 0 leaves starting to it.
    limit_s : float
        The run is ended, and has failed, after this many seconds.
    at_most : int
        Repeats beyond this number teach nothing.
    one_core : bool
        Confine all processes to one core, which halts less, so that no wake-up is measured.
    """

    name: str
    metrics: tuple[Metric, ...]
    measure: Callable[[Peer, Effort], Measured]
    engines: int = 2
    limit_s: float = 240.0
    at_most: int = 100
    one_core: bool = False

    @property
    def family(self) -> str:
        """The table it belongs to."""
        return self.name.partition("-")[0]


@dataclass(frozen=True)
class Run:
    """One workload on one peer, once."""

    peer: str
    workload: str
    outcome: Outcome
    seconds: float
    foreign_cores: float  #: what others took of the machine
    figures: Mapping[str, float] = field(default_factory=dict)
    remark: str = ""  #: what the peer did, or why there are no figures

    @property
    def noisy(self) -> bool:
        """Whether others used the machine meanwhile."""
        return self.foreign_cores >= NOISY_CORES


@dataclass(frozen=True)
class Cell:
    """The median of one metric of one peer."""

    value: float
    least: float
    most: float
    repeats: int
    noisy: bool  #: no quiet run to take it from


def cell(runs: Iterable[Run], peer: str, metric: str) -> Cell | None:
    """Take the median over a peer's quiet runs, or over all where none was quiet."""
    with_it = [r for r in runs if r.peer == peer and metric in r.figures]
    if not with_it:
        return None
    quiet = [r for r in with_it if not r.noisy]
    values = [r.figures[metric] for r in quiet or with_it]
    return Cell(statistics.median(values), min(values), max(values), len(values), not quiet)
