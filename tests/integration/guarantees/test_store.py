"""Guarantees 1, 2 and 5 with a store on disk: hubs that are killed, and clients and engines with them."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctrlhub import Client, StoreError, TimeLimitExceeded
from tests.support.hubs import hub_of, replace_hub
from tests.support.journal import Journal
from tests.support.processes import Command, until
from tests.support.work import double


@pytest.fixture
def client(command: Command) -> Iterator[Client]:
    """A client of two engines and a hub that is started again, and has a store."""
    command.start("-n", "2", "--store", "sqlite")
    with Client() as client:
        yield client
    assert command.run("stop").returncode == 0


def pid_of(client: Client, engine: int) -> int | None:
    """Return the process of an engine; None while it is away."""
    pids: dict[int, int] = {each["id"]: each["pid"] for each in client.status()["engines"]}
    return pids.get(engine)


def test_nothing_is_run_twice(client: Client, journal: Journal) -> None:
    """What was accepted, and engines have when the hub dies, is left with them, whoever is back first."""
    balanced = client.load_balanced_view()
    journal.submit(balanced, journal.held(), [0, 1])
    journal.submit(balanced, journal.noting(double), range(2, 300))
    engines = {journal.begun(0), journal.begun(1)}
    client.flush(60)
    replace_hub(client)
    journal.release()
    journal.check()
    assert {journal.result(0).get(), journal.result(1).get()} <= engines
    assert [journal.result(n).get() for n in range(2, 300)] == [2 * n for n in range(2, 300)]


def test_hubs_killed_again_and_again(client: Client, journal: Journal) -> None:
    """Under load: every task ends, once, with its own value."""
    balanced = client.load_balanced_view()
    count, kills = 1500, 5
    for k in range(kills):
        journal.submit(
            balanced, journal.noting(double), range(k * count // kills, (k + 1) * count // kills)
        )
        more = len(journal.runs()) + 50
        until(lambda more=more: len(journal.runs()) >= more, "work goes on")  # type: ignore[misc]
        replace_hub(client)
    journal.check(again=range(count))
    assert [journal.result(n).get() for n in range(count)] == [2 * n for n in range(count)]
    tasks = client.status()["tasks"]
    assert (tasks["queued"], tasks["running"], tasks["failed"]) == (0, 0, 0)


def test_hub_and_engines_killed_together(
    client: Client, command: Command, journal: Journal
) -> None:
    """Tasks are run by the engines that take their places; commands are run once at most."""
    balanced = client.load_balanced_view()
    journal.submit(balanced, journal.noting(double), range(400))
    until(lambda: len(journal.runs()) >= 50, "work has begun")
    engines = [engine["pid"] for engine in client.status()["engines"]]
    os.kill(hub_of(client), signal.SIGKILL)
    for pid in engines:
        os.kill(pid, signal.SIGKILL)
    journal.check(again=range(400))
    client.wait_for_engines(2, timeout=60)
    assert client.ids == [0, 1]


LEAVES = """
import os, sys
from ctrlhub import Client
client = Client()
path = sys.argv[1]

def note(number):
    import time
    time.sleep(0.005)
    with open(path, "a") as file:
        file.write(f"{number}\\n")
    return number * b"x" * 100_000

client[:].push({"kept": 7}, block=True, persistent=True)
results = [client.load_balanced_view().apply_async(note, number) for number in range(100)]
results[20].get()
client.flush(60)
print(*[msg_id for result in results for msg_id in result.msg_ids], flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_client_that_is_gone(client: Client, tmp_path: Path) -> None:
    """Its tasks run under the next hub, anybody can have the results, and its names are pushed."""
    path = tmp_path / "notes"
    path.touch()
    gone = subprocess.run(
        [sys.executable, "-c", LEAVES, str(path)], stdout=subprocess.PIPE, text=True, check=False
    )
    replace_hub(client)
    ids = gone.stdout.split()
    assert len(ids) == 100
    values = client.get_result(ids).get(60)
    assert values == [number * b"x" * 100_000 for number in range(100)]
    assert sorted(map(int, path.read_text().split())) == list(range(100))
    replace_hub(client)
    assert client.get_result(ids[:5]).get(60) == values[:5]

    until(lambda: client.ids == [0, 1], "both engines")
    pid = pid_of(client, 0)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: pid_of(client, 0) not in (None, pid), "another engine has its place")
    client.wait_for_engines(2, timeout=60)
    assert client[0].pull("kept", block=True) == 7


def test_somebody_holds_the_database(client: Client, command: Command) -> None:
    """What is new is refused with the reason, what was accepted runs; afterwards all is well."""
    where = Path(client.status()["store"]["where"])
    assert where == command.state / "profiles" / "default" / "store"
    accepted = client[0].apply_async(lambda: __import__("time").sleep(1.0))
    until(lambda: client.status()["store"]["requests"], "it is accepted")
    holder = sqlite3.connect(where / "store.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        client[1].apply_async(int)
        until(lambda: "locked" in client.status()["store"]["trouble"], "it is said")
        with pytest.raises(StoreError, match="locked"):
            client[1].apply_sync(int)
        assert "NOTHING CAN BE STORED" in command.run("status").stdout
        accepted.get(60)
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    until(lambda: not client.status()["store"]["trouble"], "it stores again")
    assert client[:].apply_sync(int) == [0, 0]


def test_a_cluster_that_was_stopped(client: Client, command: Command) -> None:
    """Another has its history, and what was queued; ids of engines are free."""
    ended = client[0].apply_async(double, 21)
    assert ended.get(60) == 42
    client.load_balanced_view().map_async(double, range(20_000), chunksize=1)
    until(lambda: client.status()["store"]["requests"] > 1000, "they are accepted")
    assert command.run("stop").returncode == 0
    command.start("-n", "1")
    with Client() as another:
        assert another.ids == [0]
        assert another.status()["tasks"]["queued"] > 100
        another.end_session(client.session)
        until(lambda: not another.status()["tasks"]["queued"], "nobody wants them any more")
        assert another.get_result(ended.msg_ids[0]).get(60) == 42
        [record] = another.db_query({"msg_id": ended.msg_ids[0]})
        assert record["status"] == "ok"
        exported = command.run("store", "export").stdout.splitlines()
        assert any(json.loads(line)["msg_id"] == ended.msg_ids[0] for line in exported)


def test_large_arguments_and_values(client: Client) -> None:
    """They have files of their own, for as long as somebody needs them."""
    large = os.urandom(3_000_000)
    first = client[0].apply_async(lambda: __import__("time").sleep(2.0))
    second = client[0].apply_async(lambda data: data[::-1], large)
    replace_hub(client)
    first.get(60)
    assert second.get(60) == large[::-1]


def endless() -> None:
    """Run until somebody interrupts it."""
    import time

    while True:
        time.sleep(0.01)


def test_engines_that_come_late_stop_what_was_cancelled(client: Client) -> None:
    """Else they would run that for ever, and nothing behind it."""
    engines = client[:].apply_sync(os.getpid)
    balanced = client.load_balanced_view()
    tasks = [balanced.apply_async(endless) for _ in engines]
    until(lambda: all(task.running() for task in tasks), "both run")
    client.flush(60)
    for pid in engines:
        os.kill(pid, signal.SIGSTOP)
    try:
        replace_hub(client)
        client.abort(tasks)
        assert all(task.cancelled() for task in tasks)
    finally:
        for pid in engines:
            os.kill(pid, signal.SIGCONT)
    assert balanced.map_async(double, range(20)).get(60) == [2 * n for n in range(20)]
    assert client[:].apply_async(os.getpid).get(60) == engines
    until(lambda: client.status()["tasks"]["running"] == 0, "nothing runs any more")


def test_time_limits_hold_while_the_hub_is_replaced(client: Client) -> None:
    """They are the engine's task's, not the hub's."""
    view = client.load_balanced_view()
    view.set_flags(time_limit=1.0)
    limited = [view.apply_async(endless) for _ in range(4)]
    client.flush(60)
    replace_hub(client)
    for task in limited:
        with pytest.raises(TimeLimitExceeded):
            task.get(60)
