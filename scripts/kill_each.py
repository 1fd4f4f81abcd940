"""Kill each process of a cluster on three hosts in turn, and show as a table what becomes of the rest.

    sudo .venv/bin/python scripts/kill_each.py

The hosts are network namespaces of this machine. At the end the cluster is stopped, or its supervisor
is killed (and with it the hub, so that engines have their lease), and what is left is listed.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.hosts import ALL, LEASE, NAMES, ONE, TWO, Hosts, parts
from tests.support.nodes import Nodes, can_have_nodes
from tests.support.processes import until

ROW = "{:18} {:>8} {:>12} {:>14} {:>12}"
SOON = 30.0


def main() -> int:
    """Do it, and return 1 if anything was left or did not go on."""
    if not can_have_nodes():
        print("this needs iproute2, and root to make network namespaces", file=sys.stderr)
        return 2
    with Nodes(NAMES) as nodes:
        left = _in_turn(nodes) | _end(nodes, with_hub=False) | _end(nodes, with_hub=True)
    return int(left)


def _in_turn(nodes: Nodes) -> bool:
    with tempfile.TemporaryDirectory() as place:
        hosts = Hosts(nodes, Path(place))
        try:
            print(ROW.format("killed with -9", "process", "60 tasks (s)", "all back (s)", "engines"))
            for part in parts():
                print(_row(hosts, part), flush=True)
            _show("before stop", hosts)
            hosts.stop()
            return _wait_for_nothing("stop", hosts, SOON)
        finally:
            hosts.close()


def _row(hosts: Hosts, part: str) -> str:
    if part == "client":
        guest = hosts.start_guest()
        pid = guest.pid
        guest.kill()
    else:
        pid = hosts.pid_of(part)
        os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    hosts.work()
    worked = time.monotonic() - began
    if part in ("warm process", "nanny"):
        host = ONE if part == "warm process" else TWO
        hosts.nannies[host].wait(SOON)
        until(lambda: host not in hosts.engines(), "its engines are gone")
        hosts.start_nanny(host)
    until(lambda: sum(map(len, hosts.engines().values())) == ALL, "all are back")
    back = time.monotonic() - began
    hosts.settle()
    return ROW.format(part, pid, f"{worked:.2f}", f"{back:.2f}", hosts.work())


def _end(nodes: Nodes, *, with_hub: bool) -> bool:
    with tempfile.TemporaryDirectory() as place:
        hosts = Hosts(nodes, Path(place))
        try:
            hub = hosts.pid_of("hub")
            hosts.supervisor.kill()
            if with_hub:
                os.kill(hub, signal.SIGKILL)
            hosts.client.close()
            what = f"supervisor and hub (lease {LEASE:g} s)" if with_hub else "supervisor"
            began = time.monotonic()
            until(lambda: not hosts.processes(), "no process is left", SOON + LEASE)
            print(f"killed {what}: no process after {time.monotonic() - began:.1f} s", flush=True)
            hosts.stop()
            return _wait_for_nothing("and `ctrl-hub stop`", hosts, SOON)
        finally:
            hosts.close()


def _show(when: str, hosts: Hosts) -> None:
    left = hosts.left()
    print(f"{when}: " + ", ".join(f"{len(found)} {kind}" for kind, found in left.items()), flush=True)


def _wait_for_nothing(what: str, hosts: Hosts, patience: float) -> bool:
    began = time.monotonic()
    while (left := hosts.left()) and time.monotonic() < began + patience:
        time.sleep(0.1)
    print(f"{what}: {left or f'nothing is left after {time.monotonic() - began:.1f} s'}", flush=True)
    return bool(left)


if __name__ == "__main__":
    sys.exit(main())
