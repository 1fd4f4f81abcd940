"""Guarantee 9 on several hosts: each process is killed in turn, and in the end nothing is left."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.hosts import ALL, HUB, LEASE, NAMES, ONE, TWO, Hosts, parts
from tests.support.nodes import Nodes, can_have_nodes
from tests.support.processes import until

SOON = 30.0
"""Within so many seconds nothing is left."""


@pytest.fixture(scope="module")
def nodes(require_system_part: Callable[[str, bool], None]) -> Iterator[Nodes]:
    """The hosts."""
    there = can_have_nodes() and shutil.which("ss") is not None
    require_system_part("iproute2, and root to make network namespaces", there)
    with Nodes(NAMES) as nodes:
        yield nodes


@pytest.fixture
def hosts(nodes: Nodes, tmp_path: Path) -> Iterator[Hosts]:
    """A cluster on them."""
    hosts = Hosts(nodes, tmp_path)
    try:
        yield hosts
    finally:
        hosts.close()


def killed(hosts: Hosts, part: str) -> None:
    """Kill a part, see the rest work, and what belongs to it come back."""
    if part == "client":
        guest = hosts.start_guest()
        guest.kill()
        hosts.work()
        until(lambda: hosts.client.status()["tasks"]["running"] == 0, "its tasks end with its session")
        return
    pid = hosts.pid_of(part)
    before = set(hosts.processes())
    os.kill(pid, signal.SIGKILL)
    hosts.work()
    if part in ("warm process", "nanny"):  # which nobody restarts but a scheduler
        host = ONE if part == "warm process" else TWO
        hosts.nannies[host].wait(SOON)
        until(lambda: host not in hosts.engines(), "its engines are gone")
        until(lambda: host not in {line.split(":")[0] for line in hosts.processes().values()}, "all of it")
        hosts.work()
        hosts.start_nanny(host)
    until(lambda: sum(map(len, hosts.engines().values())) == ALL, "all are back")
    hosts.settle()
    assert hosts.work() == ALL
    assert pid not in hosts.processes()
    assert before & set(hosts.processes()), "nothing went on"


def test_each_process_is_killed_in_turn(hosts: Hosts) -> None:
    """The rest goes on working; after `stop` there is no process, file, port or socket of any of them."""
    for part in parts():
        killed(hosts, part)

    assert hosts.stop().returncode == 0

    until(lambda: not hosts.left(), "nothing is left", SOON)


@pytest.mark.parametrize("with_hub", [False, True])
def test_nothing_outlives_its_supervisor(hosts: Hosts, with_hub: bool) -> None:
    """A hub ends with it, and tells its engines; where both are killed engines end with their lease.

    The next start on that host finds nothing in its way.
    """
    hub = hosts.pid_of("hub")
    for nanny in hosts.nannies.values():
        assert nanny.poll() is None
    hosts.supervisor.kill()
    if with_hub:
        os.kill(hub, signal.SIGKILL)
    hosts.client.close()

    until(lambda: not hosts.processes(), "no process is left", SOON + LEASE)

    hosts.supervisor = hosts.launch(
        HUB, "-m", "ctrlhub", "start", "--profile", "hosts", "-n", "1", "--daemonize"
    )
    assert hosts.supervisor.wait(60) == 0
    assert hosts.stop().returncode == 0
    until(lambda: not hosts.left(), "nothing is left", SOON)
