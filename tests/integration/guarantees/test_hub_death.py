"""Guarantees 1, 2 and 4: hubs that are killed, with a supervisor that starts another, or slowly does."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ctrlhub import Client, EngineError, HubUnavailable
from tests.support.hubs import end_hub, hub_of
from tests.support.journal import Journal
from tests.support.processes import Command, is_alive, until
from tests.support.work import double

Start = Callable[..., Client]

WAIT = 60.0


@pytest.fixture
def supervised(command: Command) -> Iterator[Client]:
    """A client of two engines and a hub that is started again."""
    command.start("-n", "2")
    with Client(timeout=WAIT) as client:
        yield client
    assert command.run("stop").returncode == 0


@contextmanager
def without_hub(command: Command, client: Client) -> Iterator[None]:
    """Kill the hub, and let no other be started for a while."""
    supervisor = command.started[0]
    supervisor.send_signal(signal.SIGSTOP)
    try:
        os.kill(hub_of(client), signal.SIGKILL)
        yield
    finally:
        supervisor.send_signal(signal.SIGCONT)


def test_it_is_said_within_seconds(
    supervised: Client,
    command: Command,
    caplog: pytest.LogCaptureFixture,
    record_testsuite_property: Callable[[str, object], None],
) -> None:
    """With the times as they are by default: who waits is told, who asks gets an error."""
    with Client(timeout=0.5, join_timeout=WAIT) as client, caplog.at_level(logging.WARNING, "ctrlhub.client"):
        waiting = supervised.load_balanced_view().apply_async(int)
        assert waiting.get(60) == 0
        with without_hub(command, supervised):
            began = time.monotonic()
            waiting = client.load_balanced_view().apply_async(int)
            until(lambda: "has not answered" in caplog.text, "the client says so", WAIT)
            record_testsuite_property("seconds until the client says so", time.monotonic() - began)
            with pytest.raises(HubUnavailable):
                client.status()
            with pytest.raises(TimeoutError):
                waiting.get(0.1)
        assert waiting.get(60) == 0


def test_a_hub_that_nobody_starts_again(
    start: Start, record_testsuite_property: Callable[[str, object], None]
) -> None:
    """With the times as they are by default: what is outstanding fails, with the cause."""
    client = start()
    held = client[0].apply_async(time.sleep, 600)
    began = time.monotonic()
    end_hub(client)
    with pytest.raises(HubUnavailable, match="SIGKILL"):
        held.get(WAIT)
    record_testsuite_property("seconds until it fails for want of a hub", time.monotonic() - began)
    until(lambda: client.closed, "the client is closed")


def test_results_of_the_meantime_are_not_lost(
    supervised: Client,
    command: Command,
    journal: Journal,
    record_testsuite_property: Callable[[str, object], None],
) -> None:
    """What runs when the hub dies ends without one, and is delivered by the next hub."""
    client = supervised
    engines = client[:].apply_sync(os.getpid)
    client[:].push({"kept": engines}, block=True)
    balanced = client.load_balanced_view()
    journal.submit(balanced, journal.held(), [0, 1])
    journal.submit(balanced, journal.noting(double), range(2, 300))
    assert {journal.begun(0), journal.begun(1)} == set(engines)

    with without_hub(command, client):
        journal.release()
        journal.submit(balanced, journal.noting(double), range(300, 400))
        journal.passed(0)
        journal.passed(1)
        assert not journal.result(0).done()
    began = time.monotonic()
    assert {journal.result(0).get(60), journal.result(1).get(60)} <= set(engines)
    record_testsuite_property("seconds until a result is delivered again", time.monotonic() - began)

    # Where the client was quicker than the engine that has its result, another ran it again.
    journal.check(again=[0, 1])
    assert [journal.result(n).get() for n in range(2, 400)] == [2 * n for n in range(2, 400)]
    assert client.ids == [0, 1]
    assert client[:].apply_sync(os.getpid) == engines
    assert client[:].pull("kept", block=True) == [engines, engines]


def test_commands_are_run_once(supervised: Client, command: Command, journal: Journal) -> None:
    """Those that ran when the hub died, those that waited, and those given meanwhile; in order."""
    client = supervised
    journal.submit(client[0], journal.held(), [0])
    journal.submit(client[0], journal.noting(double), range(1, 20))
    journal.begun(0)

    with without_hub(command, client):
        journal.submit(client[0], journal.noting(double), range(20, 40))
        journal.release()

    journal.check()
    assert [number for number, _ in journal.runs()] == list(range(40))


def test_hubs_killed_again_and_again(
    supervised: Client, journal: Journal, record_testsuite_property: Callable[[str, object], None]
) -> None:
    """Under load: every task ends, once, with its own value; engines and namespaces stay."""
    client = supervised
    engines = client[:].apply_sync(os.getpid)
    client[:].push({"kept": 7}, block=True)
    balanced = client.load_balanced_view()
    count, kills = 900, 3
    for k in range(kills):
        journal.submit(
            balanced, journal.noting(double), range(k * count // kills, (k + 1) * count // kills)
        )
        more = len(journal.runs()) + 50
        until(lambda more=more: len(journal.runs()) >= more, "work goes on")  # type: ignore[misc]
        end_hub(client)

    # Execution is at least once: a result may die with the hub between engine and client.
    journal.check(again=range(count))
    record_testsuite_property("tasks run again", len(journal.runs()) - count)
    assert [journal.result(n).get() for n in range(count)] == [2 * n for n in range(count)]
    assert client[:].apply_sync(os.getpid) == engines
    assert client[:].pull("kept", block=True) == [7, 7]
    tasks = client.status()["tasks"]
    assert (tasks["queued"], tasks["running"], tasks["failed"]) == (0, 0, 0)


def test_engines_killed_while_there_is_no_hub(
    supervised: Client, command: Command, journal: Journal
) -> None:
    """The next hub is told of their deaths, which count: what they ran is run again as often as it may be."""
    client = supervised
    view = client.load_balanced_view()
    journal.submit(view, journal.held(), [0])
    with view.temp_flags(engine_retries=0):
        journal.submit(view, journal.held(), [1])
    victims = [journal.begun(0), journal.begun(1)]
    until(lambda: client.status()["store"]["requests"] >= 2, "both are accepted")

    with without_hub(command, client):
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        until(lambda: not any(map(is_alive, victims)), "the engines are dead")
    journal.begun(0, times=2)
    with pytest.raises(EngineError, match="the 1st to be: killed by signal 9"):
        journal.result(1).get(WAIT)
    journal.release()

    journal.check(failed=[1], again=[0])
    assert len(journal.pids(1)) == 1
    client.wait_for_engines(2, timeout=60)
    assert client.ids == [0, 1]


def test_a_client_that_comes_meanwhile_waits_or_is_told(
    supervised: Client, command: Command
) -> None:
    """A new client finds no hub, or the next one; it does not hang."""
    with without_hub(command, supervised), pytest.raises(Exception, match="hub") as caught:
        Client(timeout=1.0)
    assert isinstance(caught.value, ConnectionError)

    def connected() -> Any:
        try:
            with Client() as client:
                return client.ids == [0, 1]
        except ConnectionError:
            return False

    until(connected, "the next hub lets it in")


def test_what_waits_for_others_survives_too(supervised: Client) -> None:
    """Tasks that wait for some which have ended, run, or wait themselves, when the hub is killed."""
    view = supervised.load_balanced_view()
    ended = view.apply_async(double, 1)
    assert ended.get(60) == 2
    results = [ended, view.apply_async(time.sleep, 1.0)]
    for number in range(30):
        with view.temp_flags(after=[ended, *results[-2:]]):
            results.append(view.apply_async(double, number))
    end_hub(supervised)
    assert [result.get(60) for result in results[2:]] == [2 * number for number in range(30)]


@pytest.mark.slow
def test_a_hub_that_is_away_for_long(
    supervised: Client, command: Command, journal: Journal
) -> None:
    """Longer than peers are silent before they are given up: commands of several clients run once, in
    their engines, which keep ids and namespaces; one that dies afterwards is prepared as before.
    """
    client, processes = supervised, {}
    client.on_engine_start("prepared = 'yes'", name="prepared")
    client[:].push({"x": 7}, block=True)
    with Client(timeout=WAIT) as other:
        for number in client.ids:
            journal.submit(other[number], journal.held(), [number])
            processes[number] = journal.begun(number)
        journal.submit(client[0], journal.noting(double), range(10, 20))
        journal.submit(other[1], journal.noting(double), range(20, 30))
        journal.submit(client.load_balanced_view(), journal.noting(double), range(100, 200))
        until(lambda: client.status()["store"]["requests"] >= 122, "all are accepted")
        with without_hub(command, client):
            journal.release()
            journal.passed(0)
            journal.submit(other[0], journal.noting(double), range(30, 35))
            gone = time.monotonic() + 12.0
            until(lambda: time.monotonic() > gone, "it has been away for long")
        journal.check()
        assert {n: journal.result(n).get() for n in processes} == processes
        assert client[:].pull("x", block=True) == [7, 7]
        os.kill(processes[1], signal.SIGKILL)
        until(lambda: client.status()["engines"][-1]["pid"] not in processes.values(), "another")
        client.wait_for_engines(2, timeout=WAIT)
        assert client.ids == other.ids == [0, 1]
        assert client[1].pull("prepared", block=True) == "yes"
