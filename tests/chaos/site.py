"""The site: a supervised cluster, engines on another node, clients; who is who, and who is replaced.

With network namespaces the hub, the far engines and some clients are on nodes of their own, over TCP
with CURVE; without, all is on one host, and nothing can be cut off.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from ctrlhub.cluster.record import SupervisorRecord
from ctrlhub.wire.places import Profile
from tests.chaos.client import Orders
from tests.chaos.record import Entry, Run, read_record, read_runs
from tests.support.nodes import Nodes
from tests.support.processes import STATE_VARIABLE, kill_all, until

HUB, FAR, DESK = "hub", "far", "desk"
"""The nodes: of the hub and some engines, of other engines, of clients."""

NODES = (HUB, FAR, DESK)

GAP = 10_000_000
"""Between the first numbers of two clients."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a site is."""

    engines: int = 4
    """Half of them far away, where there are nodes."""
    clients: int = 3
    tasks: int = 6000
    ahead: int = 300
    """So many tasks are submitted at once, at the beginning."""
    store: str = "sqlite"


class Seat:
    """A client's place: whoever is killed there is followed by another with the same record."""

    def __init__(self, orders: Orders, command: Sequence[str], log: Path) -> None:
        self.orders = orders
        self._command = command
        self._log = log
        self.process = self._launch()

    def _launch(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            command = [*self._command, json.dumps(asdict(self.orders))]
            return subprocess.Popen(command, stdout=log, stderr=log)

    @property
    def is_over(self) -> bool:
        """Whether all is done."""
        return self.process.poll() == 0

    def look(self) -> None:
        """Start another in place of one that was killed."""
        code = self.process.poll()
        if code is not None and code < 0:
            self.process = self._launch()
        elif code:
            raise AssertionError(f"a client failed: {self._log.read_text()[-2000:]}")

    def record(self) -> list[Entry]:
        """Return what was written down."""
        path = Path(self.orders.record)
        return read_record(path) if path.exists() else []


class Site:
    """All that runs.

    Parameters
    ----------
    directory
        For state, logs and records.
    size
        How much of it there is.
    seed, seconds
        Of what the clients do, and how long they submit.
    nodes
        The network; None where there are no nodes.
    """

    def __init__(
        self, directory: Path, size: Size, seed: int, seconds: float, nodes: Nodes | None
    ) -> None:
        self.nodes = nodes
        self.restarts: list[subprocess.Popen[bytes]] = []
        self.hub_starts: list[tuple[float, int]] = []
        """When each hub began, and its process."""
        self._directory = directory
        self._profile = Profile.named("default", directory / "state")
        self._journal = directory / "journal"
        self._journal.touch()
        self._environment = {**os.environ, STATE_VARIABLE: str(directory / "state")}
        far = size.engines // 2 if nodes else 0
        self._far_engines = far
        self._supervisor = self._start(size.engines - far, size.store)
        self._far = self._start_far() if far else None
        self.seats = [self._seat(k, size, seed, seconds) for k in range(size.clients)]
        self.look()

    # ------------------------------------------------------------ starting

    def _start(self, engines: int, store: str) -> subprocess.Popen[str]:
        options = ["start", "-n", str(engines), "--store", store]
        if self.nodes is not None:
            options += ["--listen", self.nodes.address(HUB)]
        with (self._directory / "supervisor.log").open("ab") as log:
            supervisor = subprocess.Popen(
                self._on(HUB, "-m", "ctrlhub", *options),
                env=self._environment, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        assert supervisor.stdout is not None
        if "ready\n" not in iter(supervisor.stdout.readline, ""):
            raise AssertionError((self._directory / "supervisor.log").read_text())
        return supervisor

    def _start_far(self) -> subprocess.Popen[bytes]:
        with (self._directory / "far.log").open("ab") as log:
            command = self._on(
                FAR, "-m", "ctrlhub", "engine", "-n", str(self._far_engines), "--prefer", "tcp",
                "--connection", str(self._profile.connection_engine),
            )  # fmt: skip
            return subprocess.Popen(
                command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _seat(self, k: int, size: Size, seed: int, seconds: float) -> Seat:
        tcp = self.nodes is not None and k % 2 == 1
        orders = Orders(
            connection=str(self._profile.connection_client),
            record=str(self._directory / f"record-{k}"),
            journal=str(self._journal),
            seed=seed + k,
            first=k * GAP,
            total=size.tasks // size.clients,
            seconds=seconds,
            ahead=size.ahead // size.clients,
            tcp=tcp,
        )
        command = self._on(DESK if tcp else HUB, "-m", "tests.chaos.client")
        return Seat(orders, command, self._directory / f"client-{k}.log")

    def _on(self, node: str, *arguments: str) -> list[str]:
        command = [sys.executable, *arguments]
        return command if self.nodes is None else self.nodes.command(node, *command)

    # ------------------------------------------------------------ who is who

    def hubs(self) -> list[int]:
        """Return the hub's process, if there is one."""
        return self._child("hub")

    def nannies(self) -> list[int]:
        """Return the nannies' processes."""
        far = [self._far.pid] if self._far is not None and self._far.poll() is None else []
        return self._child("nanny") + far

    def engines(self) -> list[int]:
        """Return the engines' processes: what a nanny's warm process has forked."""
        found = []
        for nanny in self.nannies():
            with suppress(psutil.NoSuchProcess):
                for warm in psutil.Process(nanny).children():
                    found += [e.pid for e in warm.children() if e.status() != psutil.STATUS_ZOMBIE]
        return sorted(found)

    def clients(self) -> list[int]:
        """Return the clients' processes."""
        return [seat.process.pid for seat in self.seats if seat.process.poll() is None]

    def _child(self, name: str) -> list[int]:
        record = SupervisorRecord.load(self._profile.supervisor)
        process = record.processes.get(name) if record is not None else None
        return [process.pid] if process is not None and process.is_alive() else []

    # ------------------------------------------------------------ looking after

    def look(self) -> None:
        """Replace what nobody else does, and note when hubs begin."""
        for seat in self.seats:
            seat.look()
        if self._far is not None and self._far.poll() is not None:
            self._far = self._start_far()
        record = SupervisorRecord.load(self._profile.supervisor)
        hub = record.processes.get("hub") if record is not None else None
        if hub is not None and hub.birth and (not self.hub_starts or self.hub_starts[-1][1] != hub.pid):
            # In ticks since the system began.
            since = time.clock_gettime(time.CLOCK_BOOTTIME) - int(hub.birth) / os.sysconf("SC_CLK_TCK")
            self.hub_starts.append((time.monotonic() - since, hub.pid))
        if self._supervisor.poll() is not None:
            raise AssertionError("the supervisor has ended")

    @property
    def is_over(self) -> bool:
        """Whether all clients have done what they were to do."""
        return all(seat.is_over for seat in self.seats)

    def restart_engine(self, pick: float) -> None:
        """Have a client restart an engine, as soon as there is a hub."""
        code = (
            "from ctrlhub import Client, CtrlHubError\n"
            "with Client(timeout=60) as c:\n"
            f"    ids = c.ids\n    c.restart(ids[int({pick!r} * len(ids))]) if ids else None\n"
        )
        with (self._directory / "restarts.log").open("ab") as log:
            command = self._on(HUB, "-c", code)
            self.restarts.append(
                subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
            )

    def records(self) -> list[list[Entry]]:
        """Return what all clients have written down."""
        return [seat.record() for seat in self.seats]

    def runs(self) -> list[Run]:
        """Return what engines have written down."""
        return list(read_runs(self._journal))

    def close(self) -> None:
        """End everything."""
        self._supervisor.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._supervisor.wait(30)
        state = self._directory / "state"
        others = [seat.process for seat in self.seats] + self.restarts
        others += [self._far] if self._far is not None else []
        for process in others:
            process.kill()
            process.wait()
        kill_all(state)
        assert self._supervisor.stdout is not None
        self._supervisor.stdout.close()
        until(lambda: self._supervisor.poll() is not None, "the supervisor has ended")
