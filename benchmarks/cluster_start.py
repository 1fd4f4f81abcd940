"""How long clusters take to be there, and what they weigh: ``python -m benchmarks.cluster_start``.

In one run, in turns: `Cluster(n)` of ctrl-hub and of ipyparallel, each in a fresh interpreter that has
imported the package, from the call to the client that has all engines. Then many engines of ctrl-hub.
Memory is proportional set size: what several processes share counts once in all.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
import psutil

from benchmarks.measure import MB

OURS, THEIRS = "ctrl-hub", "ipyparallel"
LIMIT = 600.0
_MODULES = {OURS: "ctrlhub", THEIRS: "ipyparallel"}

#: Goals: a share of ipyparallel's time; seconds; bytes.
SHARE, MANY_S, HUB_MB, ENGINE_MB = 1 / 8, 20.0, 60.0, 15.0


def child(peer: str, engines: int) -> None:
    """Start one, say how long it took and what its processes weigh, and end it."""
    if peer == OURS:
        import ctrlhub as package
    else:
        import ipyparallel as package  # type: ignore[no-redef]
    began = time.perf_counter()
    cluster = package.Cluster(n=engines)
    client = cluster.start_and_connect_sync()
    seconds = time.perf_counter() - began
    assert len(client.ids) == engines
    found: dict[str, object] = {"seconds": seconds}
    if peer == OURS:
        pids = client[:].apply_sync(_pid)
        time.sleep(2.0)  # idle: what they did to be there has settled
        found |= {
            "hub": _pss([cluster.pids["hub"]]),
            "nanny": _pss([*cluster.pids["nannies"], *_between(cluster.pids["nannies"], pids)]),
            "engines": _pss(pids),
            "one": max(_pss([pid]) for pid in pids),
        }
    else:
        found["controller"] = _pss(p.pid for p in _tree() if "ipyparallel.controller" in _line(p))
        found["engines"] = _pss(p.pid for p in _tree() if "ipyparallel.engine" in _line(p))
    print(json.dumps(found), flush=True)
    cluster.stop_cluster_sync()


def _pid() -> int:
    import os

    return os.getpid()


def _tree() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def _between(nannies: Sequence[int], engines: Sequence[int]) -> list[int]:
    """Return the warm processes: what nannies have forked that is no engine."""
    return [c.pid for n in nannies for c in psutil.Process(n).children() if c.pid not in engines]


def _pss(pids: Iterable[int]) -> float:
    """Return the proportional set size of processes, in MB."""
    total = 0
    for pid in pids:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
    return total / MB


def run(peer: str, engines: int) -> dict[str, float]:
    """Measure in a fresh interpreter, with a directory of its own for all state."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        import os

        environment = {**os.environ, "CTRLHUB_STATE_DIR": directory, "IPYTHONDIR": directory}
        code = f"from benchmarks.cluster_start import child; child({peer!r}, {engines})"
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True,
            timeout=LIMIT, check=False,
        )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{peer}: {done.stderr[-2000:]}")
    line = next(line for line in done.stdout.splitlines() if line.startswith("{"))
    found: dict[str, float] = json.loads(line)
    return found


@click.command()
@click.option("-n", "engines", default=16, show_default=True, help="Engines of both.")
@click.option("--many", default=256, show_default=True, help="Engines of ctrl-hub alone; 0 leaves it out.")
@click.option("--repeats", default=3, show_default=True)
def main(engines: int, many: int, repeats: int) -> None:
    """Print the figures, and which goals they reach."""
    found: dict[str, list[dict[str, float]]] = {OURS: [], THEIRS: []}
    for _ in range(repeats):
        for peer, runs in found.items():
            runs.append(run(peer, engines))
            click.echo(f"{peer:12} {engines:4} engines  {runs[-1]['seconds']:7.2f} s")
    ours, theirs = (statistics.median(r["seconds"] for r in found[peer]) for peer in (OURS, THEIRS))
    _say(f"{engines} engines ready, share of ipyparallel's time", ours / theirs, SHARE)
    last, first = found[THEIRS][-1], found[OURS][-1]
    click.echo(
        f"ipyparallel weighs {last['controller']:.0f} MB of controller, "
        f"{last['engines'] / engines:.0f} MB for each engine"
    )
    _say("idle hub, MB", first["hub"], HUB_MB)
    if many:
        big = run(OURS, many)
        _say(f"{many} engines ready, s", big["seconds"], MANY_S)
        _say("each engine, MB", big["engines"] / many, ENGINE_MB)
        click.echo(
            f"of {many} engines: hub {big['hub']:.1f} MB, nanny with warm process {big['nanny']:.1f} MB, "
            f"the largest engine {big['one']:.1f} MB"
        )


def _say(what: str, value: float, goal: float) -> None:
    verdict = "reached" if value <= goal else "NOT REACHED"
    click.echo(f"{what}: {value:.3g} (goal: at most {goal:.3g}, {verdict})")


if __name__ == "__main__":
    main()
