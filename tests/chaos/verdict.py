"""The verdict: what the records of clients and engines say about a run. No I/O."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from tests.chaos.plan import Kind
from tests.chaos.record import Entry, Run, Said

MAY_FAIL = ("EngineError", "InvalidEngineID", "CompositeError")
"""How commands may end whose engine was struck; tasks may not."""


FEW_RETRIES = 1
"""So often a deadly task is run again, which kills its engine each time."""

SPEAK_FOR_ENGINES = {
    Kind.KILL_NANNY, Kind.STOP_NANNY, Kind.CUT, Kind.STOP_HUB, Kind.RESTART_ENGINE,
}  # fmt: skip
"""Faults around which it may stay unknown, or be told late, what an engine has died of."""

GRACE = 6.0
"""Seconds for which a hub waits to be told of that: whoever comes later cannot keep a task from running."""


@dataclass(slots=True)
class Struck:
    """What was done to whom."""

    kind: Kind
    at: float
    pid: int = 0
    until: float = 0.0
    """When it was undone, of faults that are."""
    again: float = 0.0
    """When another hub was started in place of a killed one."""


@dataclass(slots=True)
class Verdict:
    """The figures of a run; times are in seconds."""

    submitted: int = 0
    acknowledged: int = 0
    completed: int = 0
    failed: int = 0
    """Commands whose engine was struck: told, not lost."""
    abandoned: int = 0
    """Of killed clients, not acknowledged, and unknown to the hub."""
    lost: int = 0
    duplicated: int = 0
    """Ends that were told twice."""
    run_again: int = 0
    """Executions of tasks beyond the first: at least once is promised."""
    commands_run_again: int = 0
    """Executions of commands beyond the first that must not be: by the same process, or of what the hub
    had acknowledged."""
    unacknowledged_run_again: int = 0
    """Those of commands that ran, and whose hub and engine both died before anything of it was stored."""
    deadly: int = 0
    """Tasks that kill their engines, and were given up."""
    deadly_run_again: int = 0
    """Their executions beyond what their `engine_retries` allow."""
    stall: float = 0.0
    """The longest time without an end while something was outstanding."""
    free_stall: float = 0.0
    """The same, without the time in which something was stopped or cut off."""
    after_hub: list[float] = field(default_factory=list)
    """From each kill of a hub to the first end that the next one told."""
    after_start: list[float] = field(default_factory=list)
    """The same, from the start of the next one."""
    elsewhere: list[float] = field(default_factory=list)
    """From each kill of an engine to the begin elsewhere of the task that it ran."""
    bad: list[str] = field(default_factory=list)
    """Ends that must not be."""

    def problems(self) -> list[str]:
        """Say which invariants do not hold."""
        found = {
            "lost": self.lost,
            "delivered twice": self.duplicated,
            "commands run twice": self.commands_run_again,
            "engines too many killed by their tasks": self.deadly_run_again,
            "ended in a wrong way": len(self.bad),
        }
        return [f"{count} {what}" for what, count in found.items() if count]


def judge(
    records: Sequence[Sequence[Entry]], runs: Iterable[Run], struck: Sequence[Struck]
) -> Verdict:
    """Count what became of everything that was submitted.

    Parameters
    ----------
    records
        Of each client and those who took its place.
    runs
        What engines wrote down, in order.
    struck
        What was done.
    """
    verdict = Verdict()
    commands: dict[int, float] = {}
    for record in records:
        _count(verdict, record, commands)
    runs = list(runs)
    _executions(verdict, runs, commands, struck)
    deadly = {e.number: e.at for r in records for e in r if e.said is Said.SUBMITTED and e.kind == "deadly"}
    verdict.deadly_run_again = _too_often(deadly, runs, struck)
    times = sorted(e.at for record in records for e in record if e.said is Said.ENDED)
    verdict.stall, verdict.free_stall = _stalls(records, struck)
    kills = sorted(strike.at for strike in struck if strike.kind is Kind.KILL_HUB)
    for strike in struck:
        if strike.kind is Kind.KILL_HUB and strike.again:
            k = bisect_right(times, strike.again)
            next_kill = next((at for at in kills if at > strike.again), inf)
            if k < len(times) and times[k] < next_kill:
                verdict.after_hub.append(times[k] - strike.at)
                verdict.after_start.append(times[k] - strike.again)
    return verdict


def _count(verdict: Verdict, record: Sequence[Entry], commands: dict[int, float]) -> None:
    """Count one client's submissions; note of each command when it was acknowledged."""
    submitted = {e.number: e for e in record if e.said is Said.SUBMITTED}
    known = {e.number: e.at for e in record if e.said is Said.ACKNOWLEDGED}
    abandoned = {e.number for e in record if e.said is Said.ABANDONED}
    ends: defaultdict[int, list[Entry]] = defaultdict(list)
    for entry in record:
        if entry.said is Said.ENDED:
            ends[entry.number].append(entry)
    for number, entry in submitted.items():
        verdict.submitted += entry.count
        if entry.kind == "command":
            commands[number] = known.get(number, inf)
        if number in known or number in ends:
            verdict.acknowledged += entry.count
        if number in ends:
            verdict.duplicated += entry.count * (len(ends[number]) - 1)
            _one_end(verdict, entry, ends[number][0])
        elif number in abandoned and number not in known:
            verdict.abandoned += entry.count
        else:
            verdict.lost += entry.count


def _one_end(verdict: Verdict, submitted: Entry, ended: Entry) -> None:
    if ended.end == "ok":
        verdict.completed += submitted.count
    elif submitted.kind == "deadly" and ended.end.startswith("EngineError"):
        verdict.deadly += submitted.count
    elif submitted.kind == "command" and ended.end.startswith(MAY_FAIL):
        verdict.failed += submitted.count
    else:
        verdict.bad.append(f"{submitted.kind} {submitted.number} {submitted.ids}: {ended.end}")


def _executions(
    verdict: Verdict, runs: Sequence[Run], commands: Mapping[int, float], struck: Sequence[Struck]
) -> None:
    begun = Counter(run.number for run in runs if run.begins)
    verdict.run_again = sum(n - 1 for number, n in begun.items() if number not in commands)
    former: defaultdict[int, list[int]] = defaultdict(list)
    for run in runs:
        if run.begins and run.number in commands:
            if former[run.number]:
                is_excused = run.pid not in former[run.number] and run.at < commands[run.number]
                verdict.unacknowledged_run_again += is_excused
                verdict.commands_run_again += not is_excused
            former[run.number].append(run.pid)
    running: dict[int, int] = {}
    killed = {s.pid: s.at for s in struck if s.kind is Kind.KILL_ENGINE}
    for run in runs:
        if run.begins:
            running[run.pid] = run.number
        else:
            running.pop(run.pid, None)
    left = {pid: number for pid, number in running.items() if pid in killed and number not in commands}
    places: defaultdict[int, list[Run]] = defaultdict(list)
    for run in runs:
        if run.begins:
            places[run.number].append(run)
    for pid, number in left.items():
        later = [r.at for r in places[number] if r.at >= killed[pid] and r.pid != pid]
        if later:
            verdict.elsewhere.append(min(later) - killed[pid])


def _too_often(deadly: Mapping[int, float], runs: Sequence[Run], struck: Sequence[Struck]) -> int:
    """Count executions of deadly tasks that should not have been, as far as the hub could know."""
    unknown = [(each.at, each.until or each.at) for each in struck if each.kind in SPEAK_FOR_ENGINES]
    starts = [each.again for each in struck if each.kind is Kind.KILL_HUB and each.again]
    begun: Counter[int] = Counter()
    count = 0
    for run in runs:
        if not run.begins or run.number not in deadly:
            continue
        begun[run.number] += 1
        since = deadly[run.number]
        last_start = max((at for at in starts if since <= at <= run.at), default=inf)
        is_excused = run.at - last_start >= GRACE or any(
            at <= run.at and until + GRACE >= since for at, until in unknown
        )
        count += begun[run.number] > FEW_RETRIES + 1 and not is_excused
    return count


def _stalls(records: Sequence[Sequence[Entry]], struck: Sequence[Struck]) -> tuple[float, float]:
    """Find the longest time without an end while something was outstanding."""
    entries = sorted((e for record in records for e in record), key=lambda e: e.at)
    held = sorted((s.at, s.until) for s in struck if s.until)
    outstanding: set[int] = set()
    longest = longest_free = 0.0
    last = 0.0
    for entry in entries:
        if entry.said is Said.SUBMITTED:
            if not outstanding:
                last = entry.at
            outstanding.add(entry.number)
        elif entry.said in (Said.ENDED, Said.ABANDONED):
            if outstanding:
                longest = max(longest, entry.at - last)
                longest_free = max(longest_free, _free(last, entry.at, held))
            outstanding.discard(entry.number)
            last = entry.at
    return longest, longest_free


def _free(begin: float, end: float, held: Sequence[tuple[float, float]]) -> float:
    """Return the longest part of a time in which nothing was held up."""
    longest, at = 0.0, begin
    for since, until in held[: bisect_left(held, (end, end))]:
        if until > at:
            longest = max(longest, since - at)
            at = max(at, until)
    return max(longest, end - at)
