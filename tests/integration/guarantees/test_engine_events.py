"""What clients know of the engines: as it happens, and for who waits for them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from ctrlhub import Client, Cluster, CtrlHubError, EngineError
from tests.support.processes import until

Start = Callable[..., Client]


def pids(client: Client) -> dict[int, int]:
    """Return the processes of the engines, by id, as the client has been told."""
    return {number: each["pid"] for number, each in client._connection.current_engines().items()}


def test_engines_that_are_killed_again_and_again(start: Start, clusters: list[Cluster]) -> None:
    """Every client knows those that took their places, without asking; nothing is stale."""
    client = start(2)
    with clusters[0].connect_client_sync() as other:
        for round_ in range(4):
            victim = pids(client)[round_ % 2]
            os.kill(victim, signal.SIGKILL)
            for each in (client, other):
                until(lambda c=each, pid=victim: pid not in pids(c).values(), "it is gone")
                each.wait_for_engines(2, timeout=60)
                assert each.ids == [0, 1]
        assert pids(client) == pids(other)
        assert client[:].apply_sync(os.getpid) == [pids(client)[0], pids(client)[1]]


def test_waiting_while_an_engine_is_lost(start: Start, clusters: list[Cluster]) -> None:
    """An engine that is silent for too long ends the wait for more, with the cause."""
    client = start(2, beat=0.2, suspect=0.8, lost=2.0)
    engine = client[0].apply_sync(os.getpid)
    nanny = client[0].apply_sync(os.getppid)
    nanny = _nanny_of(nanny)
    waiting = client.wait_for_engines(5, block=False)
    assert waiting is not None
    for pid in (nanny, engine):
        os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(EngineError, match=r"engine \d+ was lost: not heard of"):
            waiting.result(60)
    finally:
        for pid in (engine, nanny):
            os.kill(pid, signal.SIGCONT)


def _nanny_of(warm: int) -> int:
    """Return the nanny: the parent of the warm process that engines are forked from."""
    with open(f"/proc/{warm}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[1])


def test_waiting_while_the_hub_dies(start: Start) -> None:
    """The wait ends with an error that says so, not with the time."""
    client = start(1)
    waiting = client.wait_for_engines(5, block=False)
    assert waiting is not None
    os.kill(client.status()["hub"]["pid"], signal.SIGKILL)
    with pytest.raises(CtrlHubError, match="hub"):
        waiting.result(60)
