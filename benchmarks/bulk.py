"""Bulk data between hosts: 100 MB to an engine on another node and back, beside ipyparallel.

The nodes are network namespaces with a switch between them, and the engine has process ids of its
own, so that nothing is shared but the network; hub and client are on the other node. ctrl-hub's
traffic is encrypted, ipyparallel's is not. Both run side by side, a round each in turn.

Run as root: ``python -m benchmarks.bulk [--megabytes N] [--rounds N] [--as-json]``.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

from tests.support.nodes import Nodes, can_have_nodes

HUB, NODE = "hub", "node"
WAIT = 60.0
"""Seconds in which everything is there."""

_OWN_PROCESSES = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
"""Runs the engine where nobody can open its memory, as on another host."""

FASTER = 1.5
GROWTH = 0.2
"""What is to be reached: so many times ipyparallel's rate, and so much of the array in the hub."""


@dataclass
class Figures:
    """Of one system: rates (MB/s) of each round, and by how much its hub grew (bytes) at most."""

    push: list[float] = field(default_factory=list)
    pull: list[float] = field(default_factory=list)
    growth: list[int] = field(default_factory=list)


class System:
    """A hub with an engine on another node, and a client beside the hub.

    Attributes
    ----------
    engine
        A view of the engine.
    hubs
        The processes through which the data goes.
    """

    engine: Any
    hubs: list[int]


@contextmanager
def _program(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program; end it and what it has started at the end."""
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _until(condition: Callable[[], object], what: str) -> None:
    until = time.monotonic() + WAIT
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"{what} did not come to pass in {WAIT:g} s")
        time.sleep(0.02)


@contextmanager
def ctrl_hub(nodes: Nodes, directory: Path) -> Iterator[System]:
    """Start ctrl-hub as its documentation says: a hub that listens, an engine that connects to it."""
    from ctrlhub import Client
    from ctrlhub.wire.places import Profile

    os.environ["CTRLHUB_STATE_DIR"] = str(directory / "state")
    os.environ["XDG_RUNTIME_DIR"] = str(directory)
    profile = Profile.named("bulk")
    python = [sys.executable, "-m"]
    hub = [*python, "ctrlhub", "start", "--profile", "bulk", "-n", "0"]
    listen = ["--listen", nodes.address(HUB)]
    engine = [*_OWN_PROCESSES, *python, "ctrlhub", "engine", "--connection",
              str(profile.connection_engine), "--prefer", "tcp"]  # fmt: skip
    with ExitStack() as life:
        enter = life.enter_context
        enter(_program(nodes.command(HUB, *hub, *listen), directory / "hub.log"))
        _until(profile.connection_engine.exists, "the hub's connection file")
        enter(_program(nodes.command(NODE, *engine), directory / "engine.log"))
        with nodes.inside(HUB):
            client = enter(Client(profile="bulk"))
        client.wait_for_engines(1, timeout=WAIT)
        system = System()
        system.engine = client[0]
        system.hubs = [client.status()["hub"]["pid"]]
        yield system


@contextmanager
def ipyparallel(nodes: Nodes, directory: Path) -> Iterator[System]:
    """Start ipyparallel as its documentation says."""
    import ipyparallel as ipp
    import psutil

    os.environ["IPYTHONDIR"] = str(directory / "ipython")
    security = directory / "ipython" / "profile_default" / "security"
    python = [sys.executable, "-m"]
    hub = [*python, "ipyparallel.controller", f"--ip={nodes.address(HUB)}"]
    engine = [*_OWN_PROCESSES, *python, "ipyparallel.engine",
              f"--file={security / 'ipcontroller-engine.json'}"]  # fmt: skip
    with ExitStack() as life:
        enter = life.enter_context
        controller = enter(_program(nodes.command(HUB, *hub), directory / "controller.log"))
        _until((security / "ipcontroller-engine.json").exists, "ipyparallel's connection file")
        enter(_program(nodes.command(NODE, *engine), directory / "ipengine.log"))
        with nodes.inside(HUB):
            client = enter(ipp.Client(str(security / "ipcontroller-client.json")))
        client.wait_for_engines(1, timeout=WAIT, interactive=False)
        system = System()
        system.engine = client[0]
        own = psutil.Process(controller.pid)
        system.hubs = [own.pid, *(child.pid for child in own.children(recursive=True))]
        yield system


def memory(pid: int, what: str) -> int:
    """Return a figure of a process's memory (bytes): VmRSS, or the most of it (VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"process {pid} has no {what}")


def measure(system: System, figures: Figures, array: np.ndarray[Any, Any]) -> None:
    """Measure one round: there and back, which must bring the same."""
    before = {pid: memory(pid, "VmRSS") for pid in system.hubs}
    for pid in system.hubs:
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # forget the most so far
    began = time.perf_counter()
    system.engine.push({"array": array}, block=True)
    pushed = time.perf_counter()
    got = system.engine.pull("array", block=True)
    pulled = time.perf_counter()
    if not np.array_equal(got, array):
        raise AssertionError("what came back is not what was sent")
    figures.push.append(array.nbytes / 1e6 / (pushed - began))
    figures.pull.append(array.nbytes / 1e6 / (pulled - pushed))
    figures.growth.append(sum(memory(pid, "VmHWM") - before[pid] for pid in system.hubs))


def run(megabytes: int, rounds: int) -> dict[str, Figures]:
    """Measure both, side by side."""
    found = {"ctrl-hub": Figures(), "ipyparallel": Figures()}
    with ExitStack() as life:
        directory = Path(life.enter_context(tempfile.TemporaryDirectory(prefix="bulk-")))
        nodes = life.enter_context(Nodes([HUB, NODE]))
        systems = {
            "ctrl-hub": life.enter_context(ctrl_hub(nodes, directory)),
            "ipyparallel": life.enter_context(ipyparallel(nodes, directory)),
        }
        for number in range(rounds + 1):
            array = np.random.default_rng(number).random(megabytes * 1_000_000 // 8)
            for name, system in systems.items():
                measure(system, Figures() if not number else found[name], array)
    return found


def _tell(found: dict[str, Figures], nbytes: int) -> None:
    for name, figures in found.items():
        rates = "   ".join(
            f"{way} {statistics.median(each):5.0f} MB/s (best {max(each):5.0f})"
            for way, each in (("push", figures.push), ("pull", figures.pull))
        )
        grown = max(figures.growth)
        click.echo(f"{name:<12} {rates}   hub grew by {grown / 1e6:6.1f} MB")
    ours, theirs = found.values()
    for way in ("push", "pull"):
        mine, other = getattr(ours, way), getattr(theirs, way)
        ratio = statistics.median(mine) / statistics.median(other)
        best = max(mine) / max(other)
        click.echo(f"{way}: {ratio:.2f} times ipyparallel's, at best {best:.2f} (to be reached: {FASTER})")
    click.echo(f"hub: {max(ours.growth) / nbytes:.3f} of the array (at most {GROWTH})")


@click.command()
@click.option("--megabytes", default=100, show_default=True, type=click.IntRange(min=1))
@click.option("--rounds", default=7, show_default=True, type=click.IntRange(min=1))
@click.option("--as-json", is_flag=True, help="Print each round's figures as JSON.")
def main(megabytes: int, rounds: int, as_json: bool) -> None:
    """Print rates, and by how much the hub grows, of ctrl-hub and ipyparallel."""
    if not can_have_nodes():
        raise click.ClickException("this needs root, and the `ip` command (Debian: iproute2)")
    found = run(megabytes, rounds)
    if as_json:
        click.echo(json.dumps({name: asdict(figures) for name, figures in found.items()}))
    else:
        _tell(found, megabytes * 1_000_000)


if __name__ == "__main__":
    main()
