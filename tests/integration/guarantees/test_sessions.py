"""Guarantees 1 and 9 for sessions: clients that leave or are killed, hubs that are killed, stopped, restarted."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from ctrlhub import Client, ControllerStopped, EngineError, PermissionDenied
from tests.support.hubs import replace_hub
from tests.support.journal import WAIT, Journal
from tests.support.processes import Command, is_alive, until

LEAVES = """
import sys, time
from ctrlhub import Client
client = Client()
view = client.load_balanced_view()
results = [view.apply_async(lambda n: time.sleep(0.01) or n * n, n) for n in range(300)]
print(client.detach(), *(r.msg_ids[0] for r in results), flush=True)
"""


@pytest.fixture
def start(command: Command) -> Iterator[Callable[[], Client]]:
    """Start a cluster with a store on disk; clients and cluster end with the test."""
    clients: list[Client] = []

    def started() -> Client:
        command.start("-n", "2", "--store", "sqlite", "--listen", "127.0.0.1")
        clients.append(Client())
        return clients[-1]

    yield started
    for client in clients:
        client.close()
    command.run("stop")


def test_a_program_leaves_and_another_fetches(start: Callable[[], Client], command: Command) -> None:
    """It ends after its detach; the hub is killed, then all is stopped and started again."""
    observer = start()
    ran = subprocess.run(
        [sys.executable, "-c", LEAVES], capture_output=True, text=True, timeout=120, check=True
    )
    session, *names = ran.stdout.split()
    replace_hub(observer)
    shown = json.loads(command.run("sessions", "--json").stdout)
    assert (int(session), "detached") in [(each["session"], each["state"]) for each in shown]
    assert command.run("stop").returncode == 0
    start()
    with Client(session=int(session)) as client:
        left = client.unfetched()
        assert names[-1] in left
        assert set(left) <= set(names)  # the first may have come before it left
        assert client.get_result(names).get(WAIT) == [n * n for n in range(300)]
        until(lambda: not client.unfetched(), "they are fetched")
    assert session not in command.run("sessions").stdout


def test_sigterm_is_followed_by_another_hub(start: Callable[[], Client], journal: Journal) -> None:
    """On the same ports; engines, their commands and clients notice nothing, and nothing runs twice."""
    client = start()
    ports = client.status()["hub"]["ports"]
    client[:].push({"x": 7}, block=True)
    journal.submit(client[0], journal.held(), [0])
    journal.submit(client.load_balanced_view(), journal.noting(abs), range(1, 200))
    pid = journal.begun(0)
    for _ in range(2):
        replace_hub(client, signal.SIGTERM)
    journal.release()
    assert journal.result(0).get(WAIT) == pid
    journal.check()
    assert client[:].pull("x", block=True) == [7, 7]
    assert client.status()["hub"]["ports"] == ports


def test_a_stop_keeps_what_was_accepted(
    start: Callable[[], Client], command: Command, journal: Journal
) -> None:
    """Queued tasks and those that ran are run when the profile is started again; commands are not."""
    client = start()
    ports = client.status()["hub"]["ports"]
    journal.submit(client.load_balanced_view(), journal.held(), range(4))
    begun = journal.begun(0)
    commands = client[0].apply_async(abs, -3)
    session = client.session
    assert command.run("stop").returncode == 0
    with pytest.raises(ControllerStopped, match=rf"Client\(session={session}\)"):
        journal.result(3).get(WAIT)
    assert not is_alive(begun)
    journal.release()
    assert start().status()["hub"]["ports"] == ports
    with Client(session=session) as other:
        tasks = [journal.result(n).msg_ids[0] for n in range(4)]
        assert set(tasks) <= set(other.unfetched())
        assert len(set(other.get_result(tasks).get(WAIT))) <= 2
        with pytest.raises(EngineError, match="engine 0"):
            other.get_result(commands.msg_ids[0]).get(WAIT)


def test_a_purge_begins_anew(start: Callable[[], Client], command: Command, journal: Journal) -> None:
    """What was queued is forgotten, if somebody wants that."""
    client = start()
    journal.submit(client.load_balanced_view(), journal.held(), range(4))
    journal.begun(0)
    assert command.run("stop").returncode == 0
    assert "4 requests forgotten" in command.run("store", "purge", "--all").stdout
    other = start()
    assert other.status()["tasks"]["queued"] == 0
    until(  # the supervisor's own client has looked for the engines
        lambda: [each.session for each in other.sessions()] == [other.session], "no other is left"
    )


def test_a_client_that_is_killed_is_replaced(start: Callable[[], Client], command: Command) -> None:
    """Another process takes its session over, and gets what it was waiting for."""
    observer = start()
    waits = LEAVES.replace("client.detach()", "client.session") + "time.sleep(600)\n"
    with subprocess.Popen([sys.executable, "-c", waits], stdout=subprocess.PIPE, text=True) as lost:
        assert lost.stdout is not None
        session, *names = lost.stdout.readline().split()
        until(lambda: observer.status()["store"]["requests"] >= 300, "all are accepted", WAIT)
        lost.kill()
    with Client(session=int(session), takeover=True) as client:
        assert client.get_result(names).get(WAIT) == [n * n for n in range(300)]
    assert int(session) not in [each.session for each in observer.sessions()]


def test_a_session_keeps_its_role_with_another_hub(start: Callable[[], Client], command: Command) -> None:
    """What a submitter has left is a submitter's after the hub was killed: no viewer's, and by it nobody an admin."""
    observer = start()
    submitter = Client(role="submit")
    left = submitter.load_balanced_view().apply_async(pow, 2, 5)
    [number] = left.msg_ids
    session = submitter.detach()
    replace_hub(observer)
    with pytest.raises(PermissionDenied, match="needs submit"):
        Client(role="view", session=session)
    with Client(role="submit", session=session) as again:
        assert again.role == "submit"
        assert again.get_result(number).get(WAIT) == 32
        again.wait_for_engines(2)
        with pytest.raises(PermissionDenied, match="needs admin"):
            again.shutdown()
    with Client(role="view") as viewer:
        assert viewer.get_result(number).get(WAIT) == 32
