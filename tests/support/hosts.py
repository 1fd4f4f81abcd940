"""A cluster on hosts of its own: a hub with an engine, two nannies with two engines each, a client.

Each host is a network namespace with a state directory and a runtime directory of its own, as machines
without a shared home have; the connection file is copied to the others, as a user would.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from ctrlhub import Client
from ctrlhub.cluster.local import routed
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.places import Profile
from tests.support.nodes import Nodes
from tests.support.processes import STATE_VARIABLE, is_alive, until
from tests.support.state import hub_listens

HUB, ONE, TWO, DESK = "hub", "one", "two", "desk"
NAMES = (HUB, ONE, TWO, DESK)
"""The hosts: of the hub and an engine, of two engines each, of the client."""

PROFILE = "hosts"
LEASE = 8.0
"""How long (seconds) engines go on without a hub; short, so that tests do not take minutes."""

OPTIONS = (
    "--beat", "0.3", "--suspect", "1.5", "--lost", "6", "--hub-lease", str(LEASE), "--session-ttl", "4",
)  # fmt: skip

ALL = 5
"""How many engines there are."""

GUEST = """
import os, sys, time
from ctrlhub import Client
client = Client(sys.argv[1], join_timeout=60)
view = client.load_balanced_view()
for _ in range(200):
    view.apply_async(time.sleep, 0.3)
client[:].apply_async(os.getpid).get(60)
print("working", flush=True)
sys.stdin.read()
"""
"""Another client, which has much to do and is about to vanish."""


def child_of_an_engine() -> int:
    """Start a process that does not end by itself."""
    import subprocess

    return subprocess.Popen(["sleep", "600"]).pid


def slowly(number: int) -> int:
    """Take a moment."""
    import time

    time.sleep(0.02)
    return -number


class Hosts:
    """The running cluster.

    Parameters
    ----------
    nodes
        The hosts.
    place
        Where they have their directories.
    """

    def __init__(self, nodes: Nodes, place: Path) -> None:
        self.nodes = nodes
        self._place = place
        self._programs: list[subprocess.Popen[str]] = []
        self.nannies: dict[str, subprocess.Popen[str]] = {}
        for name in NAMES:
            for kind in ("state", "run"):
                (place / name / kind).mkdir(parents=True, mode=0o700)
        self._sockets_before = self.sockets()
        self.supervisor = self.launch(
            HUB, "-m", "ctrlhub", "start", "--profile", PROFILE, "-n", "1",
            "--listen", nodes.address(HUB), *OPTIONS,
        )  # fmt: skip
        self.profile = Profile.named(PROFILE, place / HUB / "state")
        hub_listens(self.profile)
        for name in (ONE, TWO):
            self.start_nanny(name)
        with nodes.inside(DESK):
            info = ConnectionInfo.load(self.profile.connection_client)
            self.client = Client(routed(info, "tcp"), timeout=60.0, join_timeout=60.0)
        self.settle()

    # ------------------------------------------------------------ programs

    def launch(self, host: str, *arguments: str, stdin: int | None = None) -> subprocess.Popen[str]:
        """Run Python on a host."""
        with open(self._place / host / "log", "a") as log:
            process = subprocess.Popen(
                self.nodes.command(host, sys.executable, *arguments),
                env={
                    **os.environ,
                    STATE_VARIABLE: str(self._place / host / "state"),
                    "XDG_RUNTIME_DIR": str(self._place / host / "run"),
                },
                stdin=stdin,
                stdout=log if stdin is None else subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._programs.append(process)
        return process

    def start_nanny(self, host: str) -> None:
        """Start a nanny with two engines, as a scheduler would."""
        file = self._place / host / "connection.json"
        shutil.copy(self.profile.connection_engine, file)
        file.chmod(0o600)
        self.nannies[host] = self.launch(
            host, "-m", "ctrlhub", "engine", "--profile", PROFILE, "-n", "2", "--connection", str(file),
            "--prefer", "tcp",
        )  # fmt: skip

    def start_guest(self) -> subprocess.Popen[str]:
        """Start another client, and wait until its tasks run."""
        file = self._place / DESK / "connection.json"
        shutil.copy(self.profile.connection_client, file)
        file.chmod(0o600)
        guest = self.launch(DESK, "-c", GUEST, str(file), stdin=subprocess.PIPE)
        assert guest.stdout is not None
        assert guest.stdout.readline() == "working\n"
        return guest

    def stop(self) -> subprocess.CompletedProcess[str]:
        """Run ``ctrl-hub stop`` where the hub is."""
        stop = self.launch(HUB, "-m", "ctrlhub", "stop", "--profile", PROFILE)
        return subprocess.CompletedProcess([], stop.wait(60))

    # ------------------------------------------------------------ who is there

    def engines(self) -> dict[str, list[int]]:
        """Return the processes of the engines that are registered, by host."""
        found: dict[str, list[int]] = {}
        for engine in self.client.status()["engines"]:
            found.setdefault(self.host_of(engine["pid"]), []).append(engine["pid"])
        return found

    def host_of(self, pid: int) -> str:
        """Tell on which host a process runs."""
        try:
            state = psutil.Process(pid).environ().get(STATE_VARIABLE, "")
        except psutil.Error:
            return ""
        return Path(state).parent.name

    def pid_of(self, part: str) -> int:
        """Return the process of a part, by the name that `kill` knows."""
        if part == "supervisor":
            return self.supervisor.pid
        if part == "hub":
            return int(self.client.status()["hub"]["pid"])
        host = HUB if part == "supervised nanny" else ONE if part in ("engine", "warm process") else TWO
        engine = self.engines()[host][0]
        if part == "engine":
            return engine
        warm = psutil.Process(engine).ppid()
        return warm if part == "warm process" else psutil.Process(warm).ppid()

    def settle(self) -> None:
        """Wait until all engines are there, and have each start a process of its own."""
        until(lambda: sum(map(len, self.engines().values())) == ALL, "all engines are there")
        self.client[:].apply_sync(child_of_an_engine)

    def work(self) -> int:
        """Have work done; return how many engines took part."""
        views, numbers = self.client.load_balanced_view(), range(60)
        results = [views.apply_async(slowly, number) for number in numbers]
        assert [result.get(60) for result in results] == [-number for number in numbers]
        return len({result.engine_id for result in results})

    # ------------------------------------------------------------ what is left

    def processes(self) -> dict[int, str]:
        """Find the processes of all hosts."""
        ours = {str(self._place / name / "state") for name in NAMES}
        found = {}
        for process in psutil.process_iter():
            try:
                if process.environ().get(STATE_VARIABLE) in ours and is_alive(process.pid):
                    found[process.pid] = f"{self.host_of(process.pid)}: {' '.join(process.cmdline())}"
            except psutil.Error:
                continue
        return found

    def sockets(self) -> dict[str, list[str]]:
        """Find what listens on each host, ports as well as Unix sockets."""
        found = {}
        for name in NAMES:
            command = self.nodes.command(name, "ss", "--no-header", "--listening", "--tcp", "--unix", "-n")
            lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            found[name] = sorted(lines.splitlines())
        return found

    def files(self) -> list[str]:
        """Name the files of all hosts, but for what a profile keeps: locks, keys, ports, stores, logs."""
        stays = ("lock", "lock.gate", "keys.json", "listening.json")
        own = {self._place / name / file for name in NAMES for file in ("log", "connection.json")}
        return [
            str(path.relative_to(self._place))
            for path in self._place.rglob("*")
            if not path.is_dir()
            and path not in own
            and not path.name.endswith(stays)
            and not {"logs", "store"} & {parent.name for parent in path.parents}
        ]

    def left(self) -> Mapping[str, Any]:
        """Return all that is left of the cluster, by kind; empty if nothing is."""
        there = {
            "processes": list(self.processes().values()),
            "sockets": [
                line
                for name, lines in self.sockets().items()
                for line in lines
                if line not in self._sockets_before[name]
            ],
            "files": self.files(),
        }
        return {kind: found for kind, found in there.items() if found}

    def close(self) -> None:
        """End what a failed test left."""
        self.client.close()
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        for program in self._programs:
            program.wait()
            for stream in (program.stdin, program.stdout):
                if stream is not None:
                    stream.close()


def parts() -> Sequence[str]:
    """Return what is killed in turn, while the rest goes on working."""
    return ("engine", "warm process", "nanny", "supervised nanny", "hub", "client")
