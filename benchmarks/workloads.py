"""What is measured, over the interface in `benchmarks.peers.base`.

A workload gets a peer that is started, and returns figures by the name of their metric.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import IO

import psutil

from benchmarks import measure, work
from benchmarks.figures import Better, Effort, Measured, Metric, Workload
from benchmarks.latency import LATENCY_WORKLOADS, warm_up
from benchmarks.peers import NotOffered, Peer
from benchmarks.task_workloads import TASK_WORKLOADS

MORE, LESS = Better.MORE, Better.LESS
clock = time.perf_counter

#: So many commands, one at a time, in a full run.
_SEQUENTIAL = 50_000
#: From so many tasks on it is measured what memory they leave, after so many seconds.
_MANY = 100_000
_TIDYING_S = 5.0
#: What `import ctrlhub` must not load.
_HEAVY = ("numpy", "IPython", "tornado", "sqlalchemy")


# Tasks


def throughput(peer: Peer, effort: Effort) -> Measured:
    """No-op tasks: submitted one by one with a future each, and through ``map``."""
    warm_up(peer)
    meters = {
        "client_cpu": measure.CpuMeter([psutil.Process()]),
        "hub_cpu": measure.CpuMeter(measure.tree(peer.hub_pids())),
        "engine_cpu": measure.CpuMeter(measure.tree(peer.engine_pids())),
    }
    figures, rounds = {}, 0

    def submit_all() -> None:
        nonlocal rounds
        rounds += 1
        peer.results([peer.submit(work.noop) for _ in range(effort.tasks)])

    def map_all() -> None:
        peer.map(work.noop, range(effort.tasks))

    figures["submit"] = effort.tasks / _median_seconds(submit_all, effort)
    tasks = rounds * effort.tasks
    figures |= {name: m.seconds() / tasks * 1e6 for name, m in meters.items() if m}
    figures["map"] = effort.tasks / _median_seconds(map_all, effort)
    return Measured(figures)


def _median_seconds(action: Callable[[], None], effort: Effort) -> float:
    """Median of several rounds; a slow peer gets fewer."""
    rounds: list[float] = []
    while len(rounds) < effort.rounds and sum(rounds) < effort.round_s:
        with measure.timed(rounds):
            action()
    return measure.percentile(rounds, 50)


def queued(label: str, tasks: int, peer: Peer, effort: Effort) -> Measured:
    """Tasks queued all at once: what each costs when there are many, and what it leaves."""
    if tasks > peer.largest_queue:
        raise NotOffered(f"left out: {tasks:,} tasks would take minutes")
    warm_up(peer)
    count = int(tasks * effort.queue_share)
    parts = {"hub": measure.tree(peer.hub_pids()), "client": [psutil.Process()]}
    before = {name: measure.settled_rss_mb(part) for name, part in parts.items() if part}
    peaks = {name: measure.PeakMeter(parts[name]) for name in before}
    began = clock()
    peer.results([peer.submit(work.noop) for _ in range(count)])
    figures = {f"rate_{label}": count / (clock() - began)}
    growth = {name: peak.growth_mb() for name, peak in peaks.items()}
    for name, mb in growth.items():
        figures[f"{name}_bytes_{label}"] = mb * 1e6 / count
    if count >= _MANY:
        for name, mb in growth.items():
            kept = measure.settled_rss_mb(parts[name], _TIDYING_S) - before[name]
            figures[f"{name}_kept_{label}"] = max(0.0, kept) / mb
    return Measured(figures)


# Data


def data(peer: Peer, effort: Effort) -> Measured:
    """Arrays to one engine and back, and what the hub holds of them meanwhile and afterwards."""
    figures: dict[str, float] = {}
    hub = measure.tree(peer.hub_pids())
    before = measure.settled_rss_mb(hub)
    peaks = [0.0]
    for nbytes, times in effort.transfers.items():
        array = work.sample(nbytes)
        for _ in range(3):  # every engine of a pool has the array then
            peer.push(array)
            _check(peer.pull(nbytes), array)
        peak = measure.PeakMeter(hub)
        pushes: list[float] = []
        pulls: list[float] = []
        for _ in range(times):
            with measure.timed(pushes):
                peer.push(array)
            with measure.timed(pulls):
                back = peer.pull(nbytes)
            _check(back, array)
            del back
        peaks.append(peak.growth_mb())
        label = f"{nbytes // 1_000_000}mb"
        figures[f"push_{label}"] = nbytes / measure.MB / measure.percentile(pushes, 50)
        figures[f"pull_{label}"] = nbytes / measure.MB / measure.percentile(pulls, 50)
    if hub:
        figures["hub_peak"] = max(peaks)
        figures["hub_kept"] = max(0.0, measure.settled_rss_mb(hub) - before)
    return Measured(figures, peer.data_remark)


def data_to_all(peer: Peer, effort: Effort) -> Measured:
    """Give an array to one of eight engines, and to all of them."""
    nbytes = max(effort.transfers)
    array = work.sample(nbytes)
    hub = measure.tree(peer.hub_pids())
    for push in (peer.push, peer.push_all):
        push(array)
        push(array)
    peak = measure.PeakMeter(hub)
    to_one: list[float] = []
    to_all: list[float] = []
    for _ in range(effort.transfers[nbytes]):
        with measure.timed(to_one):
            peer.push(array)
        with measure.timed(to_all):
            peer.push_all(array)
    one, everybody = measure.percentile(to_one, 50), measure.percentile(to_all, 50)
    figures = {"push_one_of_8": 1e3 * one, "push_all_8": 1e3 * everybody}
    if hub:
        figures["hub_peak_8"] = peak.growth_mb()
    return Measured(figures, peer.data_remark)


def _check(back: work.Array, sent: work.Array) -> None:
    if back.nbytes != sent.nbytes or back[-1] != sent[-1]:
        raise ValueError("another array came back than was sent")


# Life


def start_up(peer: Peer, effort: Effort) -> Measured:
    """From nothing to a result from both engines, and from there to nothing."""
    command = [sys.executable, "-m", "benchmarks.first_result", peer.name, "2"]
    foreign, began = measure.Foreign(), clock()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        _expect(2, process.stdout)
        first = clock() - began
        foreign_cores = foreign.cores()  # now, since some peers lose sight of what they end
        _expect(1, process.stdout)
        stopped = clock() - began
    if process.returncode != 0:
        raise RuntimeError(f"exit status {process.returncode}")
    return Measured({"first_result": first, "stop": stopped - first}, "", foreign_cores)


def _expect(words: int, stream: IO[str] | None) -> None:
    line = stream.readline() if stream else ""
    if len(line.split()) != words:
        raise RuntimeError(f"the peer said {line!r}")


def import_time(peer: Peer, effort: Effort) -> Measured:
    """Import the package, and the client; less an interpreter that imports nothing."""
    if not peer.package:
        raise NotOffered("not a package")
    statements = {"import_package": f"import {peer.package}", "import_client": peer.client_import}
    bare = _interpreter_seconds("pass", effort.imports)
    figures = {
        name: 1e3 * (_interpreter_seconds(statement, effort.imports) - bare)
        for name, statement in statements.items()
    }
    loaded = _modules(f"import {peer.package}") - _modules("pass")
    heavy = [name for name in _HEAVY if name in loaded]
    figures |= {"modules": len(loaded), "heavy_modules": len(heavy)}
    return Measured(figures, f"loads {', '.join(heavy)}" if heavy else "")


def _interpreter_seconds(statement: str, times: int) -> float:
    seconds: list[float] = []
    for _ in range(times + 1):
        with measure.timed(seconds):
            subprocess.run([sys.executable, "-c", statement], check=True)
    return measure.percentile(seconds[1:], 50)  # the first may have written byte code


def _modules(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def sequential(peer: Peer, effort: Effort) -> Measured:
    """Run very many small commands one after the other: what grows after the first tenth."""
    count = int(_SEQUENTIAL * effort.queue_share)
    parts = {
        "hub_growth": measure.tree(peer.hub_pids()),
        "client_growth": [psutil.Process()],
        "engine_growth": measure.tree(peer.engine_pids()),
    }
    for _ in range(count // 10):
        peer.call_one(work.noop)
    before = {name: measure.settled_rss_mb(part) for name, part in parts.items() if part}
    for _ in range(count - count // 10):
        peer.call_one(work.noop)
    growth = {n: measure.settled_rss_mb(parts[n]) - then for n, then in before.items()}
    return Measured({name: max(0.0, mb) for name, mb in growth.items()})


def memory(peer: Peer, effort: Effort) -> Measured:
    """Memory of the processes of an idle cluster that has done a little work."""
    warm_up(peer)
    hub, engines = measure.tree(peer.hub_pids()), measure.tree(peer.engine_pids()[:1])
    everything = measure.tree([os.getpid()])
    figures = {"engine_rss": measure.rss_mb(engines), "engine_pss": measure.pss_mb(engines)}
    if hub:
        figures |= {"hub_rss": measure.rss_mb(hub), "hub_pss": measure.pss_mb(hub)}
    figures |= {"all_pss": measure.pss_mb(everything), "processes": len(everything)}
    return Measured(figures)


# All of them


def _queued(label: str, tasks: int, limit_s: float) -> Workload:
    return Workload(
        f"queued-{label}",
        (
            Metric(f"rate_{label}", label, "tasks/s", MORE),
            Metric(f"hub_bytes_{label}", f"hub, {label}", "bytes/task", LESS),
            Metric(f"client_bytes_{label}", f"client, {label}", "bytes/task", LESS),
            Metric(f"hub_kept_{label}", f"hub keeps of it, {label}", "", LESS),
            Metric(f"client_kept_{label}", f"client keeps of it, {label}", "", LESS),
        ),
        functools.partial(queued, label, tasks),
        limit_s=limit_s,
        at_most=1,
    )


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload(
            "throughput",
            (
                Metric("submit", "one by one", "tasks/s", MORE),
                Metric("map", "map", "tasks/s", MORE),
                Metric("client_cpu", "client CPU", "µs/task", LESS),
                Metric("hub_cpu", "hub CPU", "µs/task", LESS),
                Metric("engine_cpu", "engines' CPU", "µs/task", LESS),
            ),
            throughput,
            limit_s=300,
        ),
        *LATENCY_WORKLOADS,
        Workload(
            "data",
            (
                Metric("push_1mb", "push 1 MB", "MB/s", MORE),
                Metric("pull_1mb", "pull 1 MB", "MB/s", MORE),
                Metric("push_100mb", "push 100 MB", "MB/s", MORE),
                Metric("pull_100mb", "pull 100 MB", "MB/s", MORE),
                Metric("hub_peak", "hub grows by", "MB", LESS),
                Metric("hub_kept", "hub keeps", "MB", LESS),
            ),
            data,
        ),
        Workload(
            "data-8",
            (
                Metric("push_one_of_8", "push 100 MB to one of 8", "ms", LESS),
                Metric("push_all_8", "push 100 MB to all 8", "ms", LESS),
                Metric("hub_peak_8", "hub grows by, 8 engines", "MB", LESS),
            ),
            data_to_all,
            engines=8,
        ),
        Workload(
            "startup",
            (
                Metric("first_result", "first result from 2 engines", "s", LESS),
                Metric("stop", "stopped after", "s", LESS),
            ),
            start_up,
            engines=0,
        ),
        Workload(
            "import",
            (
                Metric("import_package", "import package", "ms", LESS),
                Metric("import_client", "import client", "ms", LESS),
                Metric("modules", "modules", "", LESS),
                Metric("heavy_modules", f"of {', '.join(_HEAVY)}", "", LESS),
            ),
            import_time,
            engines=0,
        ),
        Workload(
            "memory",
            (
                Metric("hub_rss", "hub RSS", "MB", LESS),
                Metric("hub_pss", "hub PSS", "MB", LESS),
                Metric("engine_rss", "engine RSS", "MB", LESS),
                Metric("engine_pss", "engine PSS", "MB", LESS),
                Metric("all_pss", "all with client PSS", "MB", LESS),
                Metric("processes", "processes", "", LESS),
            ),
            memory,
            at_most=1,
        ),
        Workload(
            "sequential",
            (
                Metric("hub_growth", "hub grows by", "MB", LESS),
                Metric("client_growth", "client grows by", "MB", LESS),
                Metric("engine_growth", "2 engines grow by", "MB", LESS),
            ),
            sequential,
            limit_s=600,
            at_most=1,
        ),
        _queued("1k", 1_000, 120),
        _queued("10k", 10_000, 240),
        _queued("50k", 50_000, 400),
        _queued("100k", 100_000, 400),
        _queued("1m", 1_000_000, 600),
        *TASK_WORKLOADS,
    )
}
