"""Clients over HTTP lose nothing, whatever is killed; and end, with the reason, when they are shut out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from ctrlhub import AuthenticationError, Client, CtrlHubError
from ctrlhub.gateway.token_file import TokenFile
from ctrlhub.link.web_opening import OpenWeb, open_web
from ctrlhub.wire.places import Profile
from tests.integration.test_interrupted_waits import STORM
from tests.support.http_cluster import HttpCluster
from tests.support.hubs import replace_hub
from tests.support.processes import Command, is_alive, until
from tests.support.state import own_state
from tests.support.work import Work

TASKS = 10_000
WAIT = 60.0


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """Two engines, a hub with a supervisor, and a gateway; for all tests here."""
    with own_state(tmp_path_factory.mktemp("state")) as state:
        command = Command(state)
        try:
            command.start("-n", "2", "--http", "auto")
            yield command
            assert command.run("stop").returncode == 0
        finally:
            command.close()


@pytest.fixture
def local(command: Command) -> Iterator[Client]:
    """A client on the hub's own host."""
    with Client(timeout=WAIT) as client:
        yield client


@pytest.fixture
def far(local: Client) -> Iterator[Client]:
    """One that has a URL and a token."""
    with Client(local.gateway(), token=token_of("admin"), timeout=WAIT) as client:
        yield client


def token_of(name: str) -> str:
    """One of the tokens that every gateway has."""
    return next(each.secret for each in TokenFile(Profile.named("default").tokens).now().tokens if each.name == name)


def gateway_of(client: Client) -> int:
    """The gateway's process."""
    pid: int = client.status()["hub"]["http"]["pid"]
    return pid


def gated(gate: Path) -> Callable[[int], int]:
    """A function that doubles, and now and then waits until the gate is open: so there is always more to do."""
    name = str(gate)

    def run(number: int) -> int:
        import pathlib
        import time

        if number % 2500 == 2499:
            for _ in range(6000):
                if pathlib.Path(name).exists():
                    break
                time.sleep(0.01)
            else:
                raise TimeoutError("the gate was not opened")
        return 2 * number

    return run


def test_a_gateway_that_is_killed(local: Client, far: Client, tmp_path: Path) -> None:
    """While ten thousand tasks run: each result comes, and what is submitted meanwhile as well."""
    view, gate = far.load_balanced_view(), tmp_path / "gate"
    session, before = far.session, gateway_of(local)
    running = view.map_async(gated(gate), range(TASKS))
    until(lambda: running.progress > 0, "some have come back")

    os.kill(before, signal.SIGKILL)
    late = view.apply_async(pow, 2, 5)
    until(lambda: gateway_of(local) not in (before, None), "there is another gateway")
    gate.touch()

    assert running.get(WAIT) == [2 * number for number in range(TASKS)]
    assert late.get(WAIT) == 32
    assert (far.session, far.closed) == (session, False)


def test_a_hub_that_is_killed(local: Client, far: Client, tmp_path: Path) -> None:
    """While ten thousand tasks run: its successor has them, at the same address and with the same tokens."""
    view, gate = far.load_balanced_view(), tmp_path / "gate"
    url, session = local.gateway(), far.session
    running = view.map_async(gated(gate), range(TASKS))
    until(lambda: running.progress > 0, "some have come back")

    replace_hub(local)
    gate.touch()

    assert running.get(WAIT) == [2 * number for number in range(TASKS)]
    assert (far.session, local.gateway()) == (session, url)
    assert far[0].apply_sync(pow, 2, 5) == 32


def test_a_connection_that_breaks(far: Client) -> None:
    """Between two calls, again and again: nobody notices."""
    view = far.load_balanced_view()
    for number in range(5):
        result = view.apply_async(pow, 2, number)
        far._connection._runner.post(lambda now: far._connection._runner.link.reopen())
        assert result.get(WAIT) == 2**number


def test_an_error_that_nobody_has_foreseen(far: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a connection is made again, or because there is no thread to do it: it is said, and tried again."""
    failures = [UnicodeError("label too long"), MemoryError("no room")]
    no_threads = [RuntimeError("can't start new thread")]
    said: list[str] = []
    link = far._connection._runner.link

    def opening(*args: Any, **options: Any) -> OpenWeb:
        if failures:
            raise failures.pop()
        said.append(link.failure())
        return open_web(*args, **options)

    def thread(*args: Any, **options: Any) -> Thread:
        if no_threads:
            raise no_threads.pop()
        return Thread(*args, **options)

    monkeypatch.setattr("ctrlhub.link.web.open_web", opening)
    monkeypatch.setattr("ctrlhub.link.web.Thread", thread)
    result = far.load_balanced_view().apply_async(pow, 2, 5)
    far._connection._runner.post(lambda now: link.reopen())
    assert result.get(WAIT) == 32
    assert far[0].apply_async(pow, 2, 6).get(WAIT) == 64
    until(lambda: link.failure() is None, "it stands again")
    assert (failures, no_threads) == ([], [])
    assert "UnicodeError: label too long" in said[0]


def test_a_gateway_that_hangs(local: Client, far: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for a sign of life, and given up; the client is back when it is."""
    monkeypatch.setattr("ctrlhub.link.web.PROBE", 0.1)
    monkeypatch.setattr("ctrlhub.link.web.DEAD", 0.3)
    gateway, session = gateway_of(local), far.session
    os.kill(gateway, signal.SIGSTOP)
    try:
        waiting = far.load_balanced_view().apply_async(pow, 2, 5)
        link = far._connection._runner.link
        until(lambda: "nothing was heard" in (link.failure() or ""), "the client has given it up")
    finally:
        os.kill(gateway, signal.SIGCONT)
    assert waiting.get(WAIT) == 32
    assert far.session == session


def test_ctrl_c(local: Client, command: Command) -> None:
    """At any moment of many calls: none of them is lost, and the client goes on."""
    where = f'Client("{local.gateway()}", token="{token_of("admin")}", timeout={WAIT})'
    program = STORM.replace("with Cluster(n=2) as client", f"with {where} as client")
    program = program.replace("import Cluster", "import Client").replace("ROUNDS = 1500", "ROUNDS = 200")
    ran = subprocess.run(
        [sys.executable, "-c", program, "7"], capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["struck"] > 0
    assert found["sum"] == sum(range(1, 101))


def test_a_token_that_is_revoked(local: Client, command: Command, tmp_path: Path) -> None:
    """Its clients end, and say why; what they wait for does not wait for ever."""
    work = Work(tmp_path)
    made = command.run("token", "create", "--name", "guest", "--role", "admin")
    assert made.returncode == 0, made.stderr
    with Client(local.gateway(), token=made.stdout.split()[-1], timeout=WAIT) as guest:
        waiting = guest.load_balanced_view().apply_async(work.held())
        work.begun("held")
        assert command.run("token", "revoke", "guest").returncode == 0
        with pytest.raises(AuthenticationError, match="token"):
            waiting.get(WAIT)
        assert guest.closed
    work.release()


def test_a_client_that_leaves(local: Client, far: Client) -> None:
    """Says goodbye: nothing is kept for it, and no process of its own."""
    session = far.session
    assert session in [each.session for each in local.sessions()]
    far.close()
    until(lambda: session not in [each.session for each in local.sessions()], "its session ends")
    assert is_alive(gateway_of(local))


@pytest.mark.usefixtures("command")
def test_a_hub_that_ends_on_purpose() -> None:
    """Its goodbye comes by HTTP as well: who waits for a result gets an error, and the client is closed."""
    cluster = HttpCluster(1)
    far = cluster.start()
    try:
        waiting = far.load_balanced_view().apply_async(time.sleep, 1000)
        far.flush()
    finally:
        cluster.stop()
    with pytest.raises(CtrlHubError):
        waiting.get(WAIT)
    until(lambda: far.closed, "the client knows that the hub has ended")


def test_messages_that_wait_for_room(far: Client) -> None:
    """More than the line takes at once: all of it arrives, in order, both ways."""
    sent = [bytes([number]) * 3_000_000 for number in range(8)]
    view = far[0]
    for number, data in enumerate(sent):
        view.push({f"x{number}": data})
    assert view.pull([f"x{number}" for number in range(8)], block=True) == sent
    assert far._connection._runner.link.failure() is None
