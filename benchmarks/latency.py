"""What is measured of single calls: how long one takes, to an engine or to all of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from benchmarks import measure, work
from benchmarks.figures import Better, Effort, Measured, Metric, Workload
from benchmarks.peers import NotOffered, Peer

LESS = Better.LESS

#: Calls before the timing, so that connections, caches and threads are there.
_WARM_UP = 100
#: So many calls in turn, where peers take turns.
_TURN = 50


def warm_up(peer: Peer) -> None:
    """Have a peer run some tasks."""
    peer.results([peer.submit(work.noop) for _ in range(_WARM_UP)])


def latency(prefix: str, peer: Peer, effort: Effort) -> Measured:
    """One no-op at a time to an idle engine: a named one, and whichever is free."""
    warm_up(peer)
    figures = {}
    for way, call in (("direct", peer.call_one), ("balanced", peer.call)):
        try:
            microseconds = [1e6 * s for s in _round_trips(call, effort.calls)]
        except NotOffered:
            continue
        figures[f"{prefix}{way}_p50"] = measure.percentile(microseconds, 50)
        figures[f"{prefix}{way}_p99"] = measure.percentile(microseconds, 99)
    return Measured(figures)


def beside(peer: Peer, effort: Effort) -> Measured:
    """Direct calls to two peers that differ in one option, in turn: other runs differ by more."""
    twin = peer.twin()
    seconds: dict[Peer, list[float]] = {peer: [], twin: []}
    for each in seconds:
        warm_up(each)
    for _ in range(max(1, effort.calls // (2 * _TURN))):
        for each in (peer, twin, twin, peer):
            seconds[each] += _round_trips(each.call_one, _TURN)
    own, others = (measure.percentile(each, 50) for each in seconds.values())
    return Measured({"direct_beside": own / others})


def fan_out(engines: int, peer: Peer, effort: Effort) -> Measured:
    """One no-op on every engine, waited for."""
    milliseconds = [1e3 * s for s in _round_trips(peer.call_all, effort.calls // 10)]
    return Measured({f"fan_out_{engines}": measure.percentile(milliseconds, 50)})


def _round_trips(call: Callable[[Callable[..., Any]], Any], count: int) -> list[float]:
    for _ in range(min(20, count)):
        call(work.noop)
    seconds: list[float] = []
    for _ in range(count):
        with measure.timed(seconds):
            call(work.noop)
    return seconds


def _fan_out(engines: int) -> Workload:
    metric = Metric(f"fan_out_{engines}", f"{engines} engines", "ms", LESS)
    return Workload(f"fanout-{engines}", (metric,), functools.partial(fan_out, engines), engines)


LATENCY_WORKLOADS = (
    Workload(
        "latency",
        (
            Metric("direct_p50", "direct p50", "µs", LESS),
            Metric("direct_p99", "direct p99", "µs", LESS),
            Metric("balanced_p50", "balanced p50", "µs", LESS),
            Metric("balanced_p99", "balanced p99", "µs", LESS),
        ),
        functools.partial(latency, ""),
    ),
    Workload(
        "latency-beside",
        (Metric("direct_beside", "direct p50, of that without its option", "x", LESS),),
        beside,
    ),
    Workload(
        "latency-one-core",
        (
            Metric("one_core_direct_p50", "direct p50 on one core", "µs", LESS),
            Metric("one_core_balanced_p50", "balanced p50 on one core", "µs", LESS),
        ),
        functools.partial(latency, "one_core_"),
        one_core=True,
    ),
    _fan_out(2),
    _fan_out(8),
    _fan_out(16),
)
