"""The commands that ask a running cluster, and stop what it does; one cluster for all of them."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ctrlhub import AsyncResult, Client
from ctrlhub.cli.exits import Exit
from tests.support.processes import Command, until
from tests.support.state import own_state
from tests.support.work import Work

WAIT = 60.0


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """The command, on a running cluster of two engines."""
    with own_state(tmp_path_factory.mktemp("state")) as state:
        command = Command(state)
        try:
            started = command.run("start", "-n", "2", "--daemonize")
            assert started.returncode == Exit.OK, started.stderr
            yield command
            assert command.run("stop").returncode == Exit.OK
        finally:
            command.close()


@pytest.fixture
def client(running: Command) -> Iterator[Client]:
    """A client whose requests are looked at."""
    with Client() as client:
        yield client
        client.abort()
        until(lambda: {e["state"] for e in client.status()["engines"]} == {"idle"}, "all is quiet")


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """Functions for engines."""
    return Work(tmp_path)


def id_of(result: AsyncResult) -> str:
    """Return the id of a single request."""
    (name,) = result.msg_ids
    return name


def asked(running: Command, *arguments: str) -> Any:
    """Run a command that prints JSON."""
    result = running.run(*arguments, "--json")
    assert result.returncode == Exit.OK, result.stderr
    return json.loads(result.stdout)


def occupied(client: Client, work: Work) -> list[AsyncResult]:
    """Have a task run on each engine."""
    view = client.load_balanced_view()
    busy = [view.apply_async(work.endless(f"endless-{n}")) for n in range(2)]
    for n in range(2):
        work.begun(f"endless-{n}")
    return busy


# ---------------------------------------------------------------- tasks


def test_requests_are_listed(running: Command, client: Client, work: Work) -> None:
    """Of every client and in each state, in order of time, with what they are and where."""

    def fails() -> None:
        raise ValueError("no such thing")

    view = client.load_balanced_view()
    well = view.apply_async(int, "7")
    assert well.get(WAIT) == 7
    failed = view.apply_async(fails)
    failed.wait(WAIT)
    command = client[1].execute("x = 1")
    command.wait(WAIT)
    busy = occupied(client, work)
    with view.temp_flags(label="one-that-waits"):
        waiting = view.apply_async(int, "7")
    until(lambda: client.queue_status()["unassigned"] == 1, "it waits")
    session = str(client.session)

    found = asked(running, "tasks", "--session", session)

    states = {each["msg_id"]: each["status"] for each in found["tasks"]}
    assert states == {
        id_of(well): "ok",
        id_of(failed): "error",
        id_of(command): "ok",
        **{id_of(each): "running" for each in busy},
        id_of(waiting): "queued",
    }
    assert found["counts"] == {"ok": 2, "error": 1, "running": 2, "queued": 1}
    times = [each["submitted"] for each in found["tasks"]]
    assert times == sorted(times)

    def ids(*options: str) -> list[str]:
        listed = asked(running, "tasks", "--session", session, *options)["tasks"]
        return [each["msg_id"] for each in listed]

    assert ids("--state", "queued", "--kind", "task") == [id_of(waiting)]
    assert set(ids("--state", "ok", "--state", "error")) == {id_of(well), id_of(command), id_of(failed)}
    assert ids("--kind", "command", "--engine", "1") == [id_of(command)]
    assert ids("--label", "one-*") == [id_of(waiting)]
    assert len(ids("--limit", "2")) == 2
    shown = running.run("tasks", "--session", session, "--limit", "5").stdout
    assert "ValueError: no such thing" in shown
    assert "the last 5 of 6: 1 queued, 2 running, 2 ok, 1 error" in shown
    assert "no requests" in running.run("tasks", "--label", "none-such").stdout


# ---------------------------------------------------------------- explain


def test_requests_are_explained(running: Command, client: Client, work: Work) -> None:
    """Why one waits, where one runs, how one has ended; an unknown one has an exit code of its own."""
    view = client.load_balanced_view()
    well = view.apply_async(int, "7")
    well.wait(WAIT)
    failed = view.apply_async(int, "x")
    failed.wait(WAIT)
    busy = occupied(client, work)
    waiting = view.apply_async(int, "7")
    commands = [client[1].execute("x = 1") for _ in range(3)]
    until(lambda: client.queue_status()["unassigned"] == 1, "it waits")

    def why(result: AsyncResult) -> str:
        return str(asked(running, "explain", id_of(result))["why"])

    until(lambda: "ended" in why(well), "its end is known")
    assert "ValueError" in why(failed)
    assert {why(each)[:17] for each in busy} <= {"it runs on engine", "engine 1 has it; "}
    assert "engine 0 is busy with 1 tasks" in why(waiting)
    assert why(commands[0]).startswith("it is the first command that engine 1 has")
    assert why(commands[2]) == f"it waits for 2 commands before it on engine 1, {id_of(commands[0])} first"
    shown = running.run("explain", id_of(failed)).stdout
    assert f"  session    {client.session}\n" in shown
    assert "  state      error\n" in shown

    unknown = running.run("explain", "1-77")
    assert unknown.returncode == Exit.ERROR
    assert "has not arrived at the hub" in unknown.stdout


# ---------------------------------------------------------------- cancel


def test_requests_are_cancelled_by_id(running: Command, client: Client, work: Work) -> None:
    """What waits at once, what runs by an interrupt; others go on."""
    busy = occupied(client, work)
    waiting = [client.load_balanced_view().apply_async(int, "7") for _ in range(3)]
    until(lambda: client.queue_status()["unassigned"] == 3, "they wait")

    done = asked(running, "cancel", id_of(waiting[1]), id_of(busy[0]))

    assert (done["cancelled"], done["interrupted"]) == ([id_of(waiting[1])], [id_of(busy[0])])
    for each in (waiting[1], busy[0]):
        assert each.wait(WAIT)
        assert each.cancelled()
    assert [waiting[n].get(WAIT) for n in (0, 2)] == [7, 7]
    assert not busy[1].done()
    unknown = running.run("cancel", "1-77")
    assert (unknown.returncode, unknown.stdout) == (Exit.ERROR, "1 not known to the hub: 1-77\n")


def test_all_of_a_client_are_cancelled(running: Command, client: Client, work: Work) -> None:
    """Once somebody has said that this is meant; with --queued what runs goes on."""
    busy = occupied(client, work)
    waiting = [client.load_balanced_view().apply_async(int, "7") for _ in range(20)]
    until(lambda: client.queue_status()["unassigned"] == 20, "they wait")
    session = ("--session", str(client.session))

    refused = running.run("cancel", *session)
    assert refused.returncode == Exit.USAGE
    assert "22 requests: say --yes" in refused.stderr
    assert not any(each.done() for each in waiting)

    queued = asked(running, "cancel", *session, "--queued", "--yes")
    assert (len(queued["cancelled"]), queued["interrupted"]) == (20, [])
    assert all(each.wait(WAIT) and each.cancelled() for each in waiting)
    assert not any(each.done() for each in busy)

    everything = asked(running, "cancel", "--all", "--yes")
    assert set(everything["interrupted"]) == {id_of(each) for each in busy}
    assert all(each.wait(WAIT) and each.cancelled() for each in busy)
    assert running.run("cancel", "--all").stdout == "nothing to cancel\n"


def test_one_that_does_not_heed_is_ended_after_its_grace(running: Command, client: Client, work: Work) -> None:
    """Its engine is started again."""
    endless = work.endless("deaf")

    def deaf() -> None:
        while True:
            try:
                endless()
            except KeyboardInterrupt:
                continue

    task = client.load_balanced_view().apply_async(deaf)
    work.begun("deaf")

    asked(running, "cancel", id_of(task), "--grace", "0.1")

    assert task.wait(WAIT)
    assert task.cancelled()
    client.wait_for_engines(2, timeout=WAIT)


# ---------------------------------------------------------------- logs and drain


def test_logs_are_shown(running: Command, client: Client) -> None:
    """By who writes them; an engine's by its id."""
    marks = client[:].apply_sync(
        lambda: __import__("sys").__stderr__.write(f"mark of {__import__('os').getpid()}\n") and __import__("os").getpid()
    )
    hub = running.run("logs", "--hub", "-n", "1000").stdout
    assert "serves profile default" in hub
    assert not hub.startswith("{")
    assert running.run("logs", "--hub", "--raw", "-n", "1000").stdout.startswith('{"time"')
    for number, pid in enumerate(marks):
        shown = until(lambda n=number: running.run("logs", "--engine", str(n), "-n", "50").stdout, "it is written")
        assert f"joined as engine {number}" in shown
        assert f"mark of {pid}" in shown
    both = running.run("logs", "--engine", "0-1").stdout.splitlines()
    assert {line.split(" | ")[0] for line in both} == {"engine 0", "engine 1"}
    files = {each["name"]: Path(each["path"]) for each in asked(running, "logs", "--engines", "--hub")}
    assert set(files) == {"hub", "engine 0", "engine 1"}
    assert all(path.is_file() for path in files.values())
    none = running.run("logs", "--engine", "77")
    assert (none.returncode, none.stdout) == (Exit.NOT_RUNNING, "")


def test_logs_are_followed_across_a_rotation(running: Command) -> None:
    """What is written after another file has the log's name is shown as well, until Ctrl-C."""
    log = running.state / "profiles" / "default" / "logs" / "nanny.log"
    follower = running.launch("logs", "-f", "--nanny", "-n", "0")
    assert follower.stdout is not None
    with log.open("a") as file:
        # It may not have begun to look: what it has not seen then, it sees of what comes.
        until(lambda: file.write("first\n") and not file.flush() and _readable(follower), "it is followed")
    log.rename(log.with_name("nanny.log.old"))
    log.write_text("second\n")
    try:
        lines = iter(follower.stdout.readline, "")
        assert next(line for line in lines if line != "first\n") == "second\n"
    finally:
        os.replace(log.with_name("nanny.log.old"), log)  # who writes to it has it open
    follower.send_signal(signal.SIGINT)
    assert follower.wait(timeout=WAIT) == Exit.INTERRUPTED


def _readable(process: subprocess.Popen[str]) -> bool:
    assert process.stdout is not None
    return bool(select.select([process.stdout], [], [], 0.05)[0])


def test_engines_drain(running: Command, client: Client, work: Work) -> None:
    """They finish, leave, and are not started again; the command says which."""
    added = running.launch("engine", "-n", "2")
    client.wait_for_engines(4, timeout=WAIT)
    ids = client.ids[-2:]
    held = client.load_balanced_view(targets=ids[0]).apply_async(work.held())
    work.begun("held")

    assert asked(running, "drain", str(ids[0]), "--no-wait") == {"engines": [ids[0]], "left": False}
    states = {each["id"]: each["state"] for each in asked(running, "status")["engines"]}
    assert states[ids[0]] == "draining"
    work.release("held")
    drained = running.run("drain", f"{ids[0]}-{ids[1]}", "--within", "30")

    assert drained.returncode in (Exit.OK, Exit.ERROR), drained.stderr
    assert held.get(WAIT) == "held"
    if drained.returncode:  # the first had left already, and was no engine any more
        assert f"no engine {ids[0]}" in drained.stderr
        assert running.run("drain", str(ids[1])).returncode == Exit.OK
    assert added.wait(timeout=WAIT) == Exit.OK
    assert client.ids == [0, 1]
    assert running.run("drain").returncode == Exit.USAGE


# ---------------------------------------------------------------- status --watch


def test_status_is_watched_without_a_terminal(running: Command, client: Client) -> None:
    """The same text again and again, or a line of JSON for each look."""
    text = running.launch("status", "--watch", "0.1")
    lines = running.launch("status", "--watch", "0.1", "--json")
    assert text.stdout is not None
    assert lines.stdout is not None
    counts = [json.loads(lines.stdout.readline())["tasks"]["done"]]
    client.load_balanced_view().apply_sync(int, "7")
    until(lambda: counts.append(json.loads(lines.stdout.readline())["tasks"]["done"]) or counts[-1] > counts[0], "it is seen")
    profiles = (line for line in iter(text.stdout.readline, "") if line.startswith("profile"))
    assert [next(profiles), next(profiles)] == 2 * ["profile  default\n"]
    for process in (text, lines):
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=WAIT) == Exit.INTERRUPTED


def test_status_is_watched_on_a_terminal(running: Command, client: Client) -> None:
    """A table that takes the screen, and gives it back on Ctrl-C."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    environment = {**running.environment, "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [sys.executable, "-m", "ctrlhub", "status", "--watch", "0.1"],
        env=environment, stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
    )  # fmt: skip
    running.started.append(process)
    os.close(follower)
    shown = b""
    try:
        while shown.count(b"Ctrl-C ends this") < 2:
            assert select.select([leader], [], [], WAIT)[0], f"only {shown!r}"
            shown += os.read(leader, 65536)
        process.send_signal(signal.SIGINT)
        while not shown.endswith(b"\x1b[?25h") and select.select([leader], [], [], WAIT)[0]:
            try:
                shown += os.read(leader, 65536)
            except OSError:  # everybody has let go of the terminal
                break
        assert process.wait(timeout=WAIT) == Exit.INTERRUPTED
    finally:
        os.close(leader)
    assert shown.startswith(b"\x1b[?1049h")
    assert b"\x1b[?1049l" in shown
    assert b"idle" in shown
