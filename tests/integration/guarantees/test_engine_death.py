"""Guarantees 2 and 3: engines that are killed, kill themselves, stop, or only look dead."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ctrlhub import Client, EngineError
from tests.support.census import INTERFACES, census_installed
from tests.support.journal import Journal
from tests.support.processes import is_alive, until

Start = Callable[..., Client]

QUICK = {"beat": 0.2, "suspect": 2.5, "lost": 4.0}
"""Heartbeats (seconds) for tests that wait for a silence to be noticed."""


def engines(client: Client) -> dict[int, int]:
    """Return the processes of the engines, by id, as the client has been told."""
    return {number: each["pid"] for number, each in client._connection.current_engines().items()}


def state_of(client: Client, number: int) -> str | None:
    """Return what the hub thinks of an engine; None when it has none of this id."""
    states = {each["id"]: each["state"] for each in client.status()["engines"]}
    return states.get(number)


def exits(code: int) -> Callable[[int], None]:
    """Return work that ends its engine by ``os._exit``."""

    def work(number: int) -> None:
        import os

        os._exit(code)

    return work


def crashes(number: int) -> None:
    """Crash the engine."""
    import ctypes

    ctypes.string_at(0)


def double(number: int) -> int:
    """Do something harmless."""
    return 2 * number


# ---------------------------------------------------------------- death


def test_a_killed_engine_is_gone_at_once(
    start: Start, record_testsuite_property: Callable[[str, object], None]
) -> None:
    """Every client hears of it, long before its silence would tell; another takes its place and its id."""
    # By its silence alone nobody would hear of it before the test has given up.
    client = start(lost=60.0)
    victim = engines(client)[0]
    client[0].push({"x": 1}, block=True)
    held = client[0].apply_async(time.sleep, 600)
    until(lambda: state_of(client, 0) == "busy", "it runs")

    began = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    until(lambda: engines(client).get(0) != victim, "it is not among the engines")
    record_testsuite_property("seconds until a killed engine is gone", time.monotonic() - began)
    # The signal is what only the nanny knows: it was not another in its place that told the hub.
    with pytest.raises(EngineError, match="SIGKILL"):
        held.get(60)

    client.wait_for_engines(2, timeout=60)
    assert client.ids == [0, 1]
    assert client[0].apply_sync(os.getpid) not in (victim, engines(client)[1])
    assert client[0].apply_sync(lambda: "x" in globals()) is False


def test_commands_to_a_killed_engine_fail_with_the_cause(
    start: Start, record_testsuite_property: Callable[[str, object], None]
) -> None:
    """What ran and what waited there: the signal, the engine, and its last words."""
    client = start()
    victim = engines(client)[0]
    running = client[0].execute("print('these are my last words', flush=True)\nwhile True: pass")
    waiting = client[0].apply_async(double, 1)
    until(lambda: client.queue_status(0)[0]["queue"] == 2, "both are there")
    until(lambda: state_of(client, 0) == "busy", "one runs")

    began = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    with pytest.raises(EngineError, match=r"(?s)engine 0 .*SIGKILL.*") as caught:
        running.get(60)
    record_testsuite_property("seconds until its command fails", time.monotonic() - began)

    assert caught.value.engine_id == 0
    with pytest.raises(EngineError, match=r"engine 0 .*SIGKILL"):
        waiting.get(60)
    assert client[1].apply_sync(double, 1) == 2


@pytest.mark.parametrize("kind", ["command", "task"])
def test_last_words_are_those_of_what_ran_and_for_its_client(
    start: Start, kind: str, tmp_path: Path
) -> None:
    """Not what others have printed before, nor children of theirs; nobody else is told of them."""
    client = start(1, profile="words")
    with Client(profile="words") as other:
        spoken = other[0].execute(
            "import os, subprocess; print('a secret', end=''); os.system('echo another')\n"
            "child = subprocess.Popen('sleep 0.2; echo a third', shell=True)"
        )
        spoken.get(60)
        other[0].execute("child.wait()").get(60)

        def die() -> None:
            import ctypes

            print("my own words")
            ctypes.string_at(0)

        client[0].push({"die": die}, block=True)
        view = client[0] if kind == "command" else client.load_balanced_view()
        if kind == "task":
            view.engine_retries = 0
        gate = f"import pathlib, time\nwhile not pathlib.Path({str(tmp_path / 'open')!r}).exists(): time.sleep(0.01)"
        held = client[0].execute(gate)
        dying = view.apply_async(die)
        waiting = None
        if kind == "command":
            until(lambda: client.queue_status(0)[0]["queue"] == 2, "it is there")
            waiting = other[0].apply_async(os.getpid)
            until(lambda: client.queue_status(0)[0]["queue"] == 3, "all are there")
        (tmp_path / "open").touch()
        held.get(60)
        with pytest.raises(EngineError, match="its last words") as caught:
            dying.get(60)
        told = str(caught.value)
        assert "my own words" in told
        assert "Segmentation fault" in told
        assert not [each for each in ("secret", "another", "third", "joined") if each in told]
        if waiting is not None:
            with pytest.raises(EngineError, match="SIGSEGV") as also:
                waiting.get(60)
            assert "words" not in str(also.value)


def test_the_tasks_of_a_killed_engine_go_elsewhere(start: Start, journal: Journal) -> None:
    """What ran there is run again, what had not begun is run once; every one ends well, once."""
    client = start()
    balanced = client.load_balanced_view()
    journal.submit(balanced, journal.held(), [0, 1])
    journal.submit(balanced, journal.noting(double), range(2, 60))
    victim, other = journal.begun(0), journal.begun(1)
    assert victim != other
    # Wherever they are, none of the others can have begun.
    os.kill(victim, signal.SIGKILL)
    journal.release()

    journal.check(again=[0])
    assert journal.result(0).get() == journal.pids(0)[1] != victim
    assert [journal.result(n).get() for n in range(2, 60)] == [2 * n for n in range(2, 60)]


@pytest.mark.parametrize(
    ("deadly", "retries", "cause"),
    [(exits(3), 3, "exit code 3"), (exits(0), 0, "exit code 0"), (crashes, 1, "SIGSEGV")],
    ids=["os._exit(3)", "os._exit(0)", "segmentation fault"],
)
def test_a_deadly_task_is_stopped(
    start: Start, journal: Journal, deadly: Callable[[int], None], retries: int, cause: str
) -> None:
    """It fails with the cause after so many engines, and no other task with it or twice."""
    client = start()
    balanced = client.load_balanced_view(engine_retries=retries)
    journal.submit(balanced, journal.noting(double), range(1, 20))
    journal.submit(balanced, journal.noting(deadly), [0])
    journal.submit(balanced, journal.noting(double), range(20, 60))

    with pytest.raises(EngineError, match=cause):
        journal.result(0).get(60)

    dead = journal.pids(0)
    # A result may die with an engine before it has left it: then the task is run again, uncharged.
    journal.check(failed=[0], again={number for number, pid in journal.runs() if pid in dead})
    assert len(set(dead)) == len(dead) == 1 + retries
    client.wait_for_engines(2, timeout=60)
    assert client.ids == [0, 1]


def test_many_deadly_tasks_do_not_take_the_engines_away(start: Start, journal: Journal) -> None:
    """Each fails with its cause, the others end well, and the engines are there for more."""
    client = start()
    deadly = range(0, 30, 5)

    def sometimes_exits(number: int) -> int:
        import os

        if number in deadly:
            os._exit(3)
        return 2 * number

    journal.submit(client.load_balanced_view(), journal.noting(sometimes_exits), range(30))
    for number in deadly:
        with pytest.raises(EngineError, match="exit code 3"):
            journal.result(number).get(60)

    dead = {pid for number in deadly for pid in journal.pids(number)}
    journal.check(failed=deadly, again={number for number, pid in journal.runs() if pid in dead})
    assert [len(journal.pids(number)) for number in deadly] == [4] * len(deadly)
    client.wait_for_engines(2, timeout=60)
    assert client[:].apply_sync(double, 2) == [4, 4]


# ---------------------------------------------------------------- no death


def test_holding_the_gil_is_not_death(start: Start, journal: Journal) -> None:
    """Longer than `lost`, in C: its nanny vouches for the process, and it is not even suspect."""
    client = start(**QUICK)
    before = engines(client)

    def holds_the_gil(number: int) -> int:
        import ctypes

        ctypes.PyDLL(None).sleep(5)
        return number

    journal.submit(client.load_balanced_view(), journal.noting(holds_the_gil), [0, 1])
    journal.begun(0)
    journal.begun(1)
    seen: set[str | None] = set()
    while not (journal.result(0).done() and journal.result(1).done()):
        seen.update((state_of(client, 0), state_of(client, 1)))
        journal.result(0).wait(0.05)

    journal.check()
    assert seen <= {"busy", "idle"}
    assert engines(client) == before


def test_a_stopped_engine_is_suspect_and_comes_back(start: Start, journal: Journal) -> None:
    """With its id, its namespace and what it was doing, as if nothing had been."""
    client = start(n=1, beat=0.2, suspect=0.8, lost=60.0)
    (pid,) = engines(client).values()
    client[0].push({"x": 7}, block=True)
    journal.submit(client.load_balanced_view(), journal.held(), [0])
    journal.begun(0)

    os.kill(pid, signal.SIGSTOP)
    until(lambda: state_of(client, 0) == "suspect", "it is suspect")
    os.kill(pid, signal.SIGCONT)
    until(lambda: state_of(client, 0) == "busy", "it is back")

    journal.release()
    journal.check()
    assert engines(client) == {0: pid}
    assert client[0].pull("x", block=True) == 7


def test_an_engine_stopped_for_too_long_comes_back_too(start: Start, journal: Journal) -> None:
    """Its task was given to another, whose result counts; it has its id and its namespace."""
    client = start(**QUICK)
    client[:].push({"x": 7}, block=True)
    before = engines(client)
    journal.submit(client.load_balanced_view(), journal.held(), [0])
    stopped = journal.begun(0)
    (number,) = (n for n, pid in before.items() if pid == stopped)

    os.kill(stopped, signal.SIGSTOP)
    until(lambda: number not in client.ids, "it is given up")
    other = journal.begun(0, times=2)
    os.kill(stopped, signal.SIGCONT)
    until(lambda: client.ids == [0, 1], "it is back")
    journal.release()

    journal.check(again=[0])
    assert journal.result(0).get() == other != stopped
    assert engines(client) == before
    assert is_alive(stopped)
    assert client[:].pull("x", block=True) == [7, 7]
    done = client.status()["tasks"]
    assert (done["done"], done["failed"], done["running"], done["queued"]) == (1, 0, 0, 0)


def test_a_hub_that_stood_still_loses_nobody(start: Start) -> None:
    """It was not the engines that were silent: what runs there goes on, and counts."""
    client = start(2, **QUICK)
    before = engines(client)
    hub = client.status()["hub"]["pid"]
    commands = [client[n].apply_async(time.sleep, 1.0) for n in before]
    tasks = [client.load_balanced_view().apply_async(double, n) for n in range(20)]
    os.kill(hub, signal.SIGSTOP)
    time.sleep(QUICK["lost"] + 1.0)
    os.kill(hub, signal.SIGCONT)
    assert [each.get(timeout=60) for each in commands] == [None, None]
    assert [each.get(timeout=60) for each in tasks] == [2 * n for n in range(20)]
    assert engines(client) == before


@pytest.mark.parametrize("prefer", ["ipc", "tcp"])
def test_an_engine_the_hub_has_forgotten_comes_back(
    start: Start, tmp_path_factory: pytest.TempPathFactory, prefer: str
) -> None:
    """Its session has ended, and its key with it; it joins anew, with its id and its namespace."""
    with census_installed(tmp_path_factory.mktemp("site")):
        times = {**QUICK, "session_ttl": 0.2}
        client = start(prefer=prefer, interfaces=INTERFACES, **times)
    client[:].push({"x": 7}, block=True)
    before = engines(client)

    os.kill(before[0], signal.SIGSTOP)
    census = client.interface("census")
    until(lambda: census.sessions()["engine"] == 1, "its session has ended")
    os.kill(before[0], signal.SIGCONT)

    until(lambda: client.ids == [0, 1], "it is back")
    assert engines(client) == before
    assert client[:].pull("x", block=True) == [7, 7]
