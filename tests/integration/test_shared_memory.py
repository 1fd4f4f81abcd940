"""Data in shared memory when processes are killed, and when there is no memory to share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctrlhub import Client, Cluster
from ctrlhub.wire import segments
from tests.support.hubs import hub_of, replace_hub
from tests.support.processes import Command, is_alive, until
from tests.support.work import Work

pytestmark = pytest.mark.skipif(not segments.AVAILABLE, reason="this system has no memory files")

WAIT = 60.0
ITEMS = 2_000_000
TOTAL = float(ITEMS * (ITEMS - 1) // 2)
PROOFS = 2
"""A hub keeps fewer segments while nothing is under way: its own. More than 8 MiB it remembers of
nobody."""


def numbers() -> Any:
    """An array of 16 MB."""
    return np.arange(ITEMS, dtype=float)


def has_open(pid: int) -> int:
    """How many segments a process has open."""
    found = 0
    for entry in os.scandir(f"/proc/{pid}/fd"):
        try:
            found += os.readlink(entry.path).startswith("/memfd:ctrlhub")
        except FileNotFoundError:  # closed in this moment
            continue
    return found


def pids_of(client: Client) -> set[int]:
    """The processes of the engines, as the client has been told."""
    return {each["pid"] for each in client._connection.current_engines().values()}


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """Calls that begin and end when the test says so."""
    return Work(tmp_path)


@pytest.fixture
def supervised(command: Command) -> Iterator[Client]:
    """A client of two engines and a hub that is started again."""
    command.start("-n", "2")
    with Client() as client:
        yield client
    assert command.run("stop").returncode == 0


def test_the_hub_holds_what_is_under_way_and_nothing_else(client: Client, work: Work) -> None:
    """A queued request's data is open there, whoever made it; afterwards none is."""
    hub = hub_of(client)
    until(lambda: has_open(hub) < PROOFS, "nothing is under way")
    held = client[0].apply_async(work.held())
    result = client[0].push({"a": numbers()}, block=False)
    until(lambda: has_open(hub) == PROOFS, "the data is with the hub")
    work.release()
    held.get(WAIT)
    result.get(WAIT)
    got = client[0].pull("a", block=True)
    assert got.sum() == TOTAL
    until(lambda: has_open(hub) < PROOFS, "nothing is under way")


def test_the_hub_s_memory_does_not_grow(client: Client) -> None:
    """By what passes through, there and back."""

    def peak() -> int:
        lines = Path(f"/proc/{hub}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

    hub = hub_of(client)
    client[0].push({"a": numbers()}, block=True)
    before = peak()
    client[:].push({"a": np.ones(8 * ITEMS)}, block=True)
    assert client[0].pull("a", block=True).sum() == 8 * ITEMS
    assert peak() - before < 16_000, "kB, of the 128,000 that were moved twice"


def test_the_engine_that_made_a_result_is_killed(supervised: Client, work: Work) -> None:
    """What the hub has is safe: it does not need the engine any more."""
    with Client() as slow:
        stopped = slow.load_balanced_view().apply_async(lambda: np.arange(2_000_000.0))
        supervised[0].execute("import numpy as np; a = np.arange(2_000_000.0)", block=True)
        result = supervised[0].pull("a", block=False)
        result.wait(WAIT)
        pid = supervised[0].apply_sync(os.getpid)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not is_alive(pid), "the engine is dead")
        assert result.get(WAIT).sum() == TOTAL
        got = stopped.get(WAIT)
        got[0] = 1
        assert got.sum() == TOTAL + 1


def test_an_engine_is_killed_that_had_the_data(supervised: Client, work: Work) -> None:
    """The task runs again elsewhere, with the same data; those who share it keep it."""
    view = supervised[:]
    view.push({"a": numbers()}, block=True)
    pid = supervised[0].apply_sync(os.getpid)
    marker = work._directory / "once"
    once = str(marker)

    def deadly(array: Any) -> float:
        import os
        import signal

        array[0] = 7
        if not os.path.exists(once):
            with open(once, "w") as file:
                file.write(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return float(array.sum())

    assert supervised.load_balanced_view().apply_async(deadly, numbers()).get(WAIT) == TOTAL + 7
    if is_alive(pid):
        os.kill(pid, signal.SIGKILL)
    dead = {pid, int(marker.read_text())}
    until(lambda: len(pids_of(supervised) - dead) == 2, "there are two engines again")
    view.push({"a": numbers()}, block=True)
    assert view.pull("float(a.sum())", block=True) == [TOTAL, TOTAL]


def test_the_hub_is_killed(supervised: Client, command: Command, work: Work) -> None:
    """What it had open is said again by those who owe it, to the next one."""
    held = [supervised[n].apply_async(work.held(f"held {n}")) for n in (0, 1)]
    for n in (0, 1):
        work.begun(f"held {n}")
    pushed = supervised[:].push({"a": numbers()}, block=False)
    balanced = supervised.load_balanced_view()
    tasks = [balanced.apply_async(lambda a: a * 2, numbers()) for _ in range(3)]
    hub = hub_of(supervised)
    until(lambda: has_open(hub) > PROOFS, "the data is with the hub")
    replace_hub(supervised)
    for n in (0, 1):
        work.release(f"held {n}")
    for each in held:
        each.get(WAIT)
    pushed.get(WAIT)
    assert supervised[:].pull("float(a.sum())", block=True) == [TOTAL, TOTAL]
    for task in tasks:
        assert task.get(WAIT).sum() == 2 * TOTAL
    until(lambda: has_open(hub_of(supervised)) < PROOFS, "nothing is under way")


DYING = """
import os, signal, sys
import numpy as np
from ctrlhub import Client

client = Client()
client[0].push({"left": np.arange(2_000_000.0)}, block=False)
client[0].push({"last": 1}, block=False)
print("given", flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_client_is_killed(supervised: Client, work: Work) -> None:
    """What the hub has accepted of it still happens: the data is not the client's any more."""
    held = supervised[0].apply_async(work.held())
    work.begun("held")
    hub = hub_of(supervised)
    with subprocess.Popen(
        [sys.executable, "-c", DYING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as dying:
        assert dying.stdin is not None
        assert dying.stdout is not None
        assert dying.stdout.readline() == "given\n"
        until(
            lambda: supervised.queue_status([0])[0]["queue"] >= 3 and has_open(hub) >= PROOFS,
            "the data is with the hub",
        )
        dying.stdin.write("\n")
        dying.stdin.flush()
    work.release()
    held.get(WAIT)
    found: Callable[[], Any] = lambda: supervised[0].apply_sync(  # noqa: E731
        lambda: "last" in globals() and float(left.sum())  # type: ignore[name-defined] # noqa: F821
    )
    assert until(found, "what was queued is done") == TOTAL


APART = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
"""Runs a command where processes have numbers of their own, as in a container."""


@pytest.fixture
def apart(supervised: Client, command: Command) -> Iterator[Client]:
    """A client of two engines here, and of two in a container that shares files with us."""
    if subprocess.run([*APART, "true"], capture_output=True, check=False).returncode:
        pytest.skip("cannot make PID namespaces")
    connection = next(command.state.rglob("connection-engine.json"))
    engines = [sys.executable, "-m", "ctrlhub", "engine", "-n", "2", "--connection", connection]
    with subprocess.Popen([*APART, *engines], env=command.environment) as container:
        try:
            supervised.wait_for_engines(4, timeout=WAIT)
            yield supervised
        finally:
            container.kill()


def test_a_container_with_processes_of_its_own(apart: Client) -> None:
    """It gets bytes, and sends them. What goes to all crosses over once, and is shared on both sides."""
    view, total = apart[:], float(numbers().sum())
    view.push({"a": numbers()}, block=True)
    view.execute("a[0] = 1", block=True)
    assert view.pull("float(a.sum())", block=True) == [total + 1] * 4
    for got in view.pull("a", block=True):
        assert float(got.sum()) == total + 1

    def where() -> str:
        address = b.__array_interface__["data"][0]  # type: ignore[name-defined] # noqa: F821
        with open("/proc/self/maps") as maps:
            for line in maps:
                begin, end = (int(each, 16) for each in line.split()[0].split("-"))
                if begin <= address < end:
                    return line.split()[4]  # the file's inode
        return "nowhere"

    view.push({"b": numbers()}, block=True)
    inodes = view.apply_sync(where)
    assert len(set(inodes)) == 2
    assert {"0", "nowhere"}.isdisjoint(inodes), "some have memory of their own"
    assert view.apply_sync(lambda a: float(a.sum()), numbers()) == [total] * 4

    def lent() -> int:
        from ctrlhub.wire.segments import count_held
        from ctrlhub.wire.untouched import remembered

        return count_held() - len(remembered())

    until(lambda: view.apply_sync(lent) == [1] * 4, "nothing is lent any more")


def test_nothing_is_left_in_dev_shm(state: Path) -> None:
    """Nor anywhere else: what is shared has no name that could outlive those who have it."""
    with Cluster(n=2) as client:
        client[:].push({"a": numbers()}, block=True)
        pids = client[:].apply_sync(os.getpid)
        shared = [path for pid in pids for path in mapped_by(pid) if "ctrlhub" in path]
        assert len(shared) >= 2, "each has the data"
        assert {path.partition(":")[0] for path in shared} == {"/memfd"}
        for pid in (*pids, hub_of(client), os.getpid()):
            assert [path for path in mapped_by(pid) if path.startswith("/dev/shm")] == []


def mapped_by(pid: int) -> list[str]:
    """The files that a process has in its memory."""
    lines = (line.split(maxsplit=5) for line in Path(f"/proc/{pid}/maps").read_text().splitlines())
    return [columns[5] for columns in lines if len(columns) == 6]


FULL = """
import resource, signal
import numpy as np
from ctrlhub import Client

# As when memory for sharing has run out: no file grows beyond this.
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
with Client() as client:
    client[:].push({"a": np.arange(2_000_000.0)}, block=True)
    print(client[:].pull("float(a.sum())", block=True), client[0].pull("a", block=True)[-1])
"""


def test_no_memory_to_share(supervised: Client) -> None:
    """The bytes travel instead."""
    done = subprocess.run(
        [sys.executable, "-c", FULL], capture_output=True, text=True, timeout=WAIT, check=False
    )
    assert done.stdout.split() == [f"[{TOTAL},", f"{TOTAL}]", f"{ITEMS - 1.0}"], done.stderr
