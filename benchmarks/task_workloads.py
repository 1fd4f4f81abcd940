"""What is measured of the task queue beyond its rate: graphs, tasks of any length, many clients."""

from __future__ import annotations

import functools
import time
from random import Random

from benchmarks import measure, work
from benchmarks.figures import Better, Effort, Measured, Metric, Workload
from benchmarks.peers import Peer

MORE, LESS = Better.MORE, Better.LESS
clock = time.perf_counter

#: Seconds that an uneven task takes at most.
_LONGEST = 0.005
#: A task of a graph depends on some of so many before it.
_NEAR = 500
#: Clients that share.
_CLIENTS = 4


def graphs(peer: Peer, effort: Effort) -> Measured:
    """Run a chain, a fan-in and a random graph, each and ten times smaller, for what size costs."""
    figures = {}
    shapes = {"chain": (chain, 1_000), "fan_in": (fan_in, 10_000), "dag": (dag, 10_000)}
    for name, (shape, full) in shapes.items():
        size = max(10, int(full * effort.queue_share))
        shape(peer, size // 10)
        small, large = (_seconds(functools.partial(shape, peer, n)) for n in (size // 10, size))
        figures |= {f"{name}_us": large / size * 1e6, f"{name}_growth": large / small}
    return Measured(figures)


def _seconds(action: functools.partial[None]) -> float:
    seconds: list[float] = []
    with measure.timed(seconds):
        action()
    return seconds[0]


def chain(peer: Peer, size: int) -> None:
    """Run tasks each of which waits for the one before."""
    last = peer.submit(work.noop)
    for _ in range(size):
        last = peer.submit_after([last], work.noop)
    peer.results([last])


def fan_in(peer: Peer, size: int) -> None:
    """Run a task that waits for all others."""
    first = [peer.submit(work.noop) for _ in range(size)]
    peer.results([peer.submit_after(first, work.noop)])


def dag(peer: Peer, size: int) -> None:
    """Run tasks each of which waits for three others."""
    chance, tasks = Random(size), [peer.submit(work.noop) for _ in range(3)]
    for _ in range(size):
        tasks.append(peer.submit_after(chance.sample(tasks[-_NEAR:], 3), work.noop))
    peer.results(tasks)


def uneven(peer: Peer, effort: Effort) -> Measured:
    """2,000 tasks of up to 5 ms: the share of the engines' time that they make use of."""
    count, engines = max(100, int(2_000 * effort.queue_share)), len(peer.engine_pids())
    chance = Random(1)
    lengths = [chance.random() * _LONGEST for _ in range(count)]
    peer.map(work.nap, lengths[:100])
    seconds: list[float] = []
    with measure.timed(seconds):
        peer.results([peer.submit(work.nap, length) for length in lengths])
    return Measured({"efficiency": sum(lengths) / engines / seconds[0]})


def sharing(peer: Peer, effort: Effort) -> Measured:
    """Four clients with 10,000 tasks each at once: the smallest share while all have work."""
    clients = [peer, *(peer.another_client() for _ in range(_CLIENTS - 1))]
    count = max(100, int(10_000 * effort.queue_share))
    peer.results([peer.submit(work.noop) for _ in range(100)])
    # In turn, since they are of one thread: each is to have work while the others have.
    rounds = [[each.submit(work.noop) for each in clients] for _ in range(count)]
    futures = list(zip(*rounds, strict=True))
    while not any(all(future.done() for future in of_one) for of_one in futures):
        time.sleep(0.005)
    done = [sum(future.done() for future in of_one) for of_one in futures]
    for each, of_one in zip(clients, futures, strict=True):
        each.results(of_one)
    return Measured({"smallest_share": min(done) / sum(done)})


TASK_WORKLOADS = (
    Workload(
        "graphs",
        tuple(
            metric
            for name, words in (("chain", "chain"), ("fan_in", "fan-in"), ("dag", "random graph"))
            for metric in (
                Metric(f"{name}_us", words, "µs/task", LESS),
                Metric(f"{name}_growth", f"{words}, time for ten times the size", "x", LESS),
            )
        ),
        graphs,
        limit_s=300,
    ),
    Workload("uneven", (Metric("efficiency", "tasks of 0-5 ms, efficiency", "", MORE),), uneven),
    Workload(
        "sharing",
        (Metric("smallest_share", "4 clients, smallest share", "", MORE),),
        sharing,
        at_most=1,
    ),
)
