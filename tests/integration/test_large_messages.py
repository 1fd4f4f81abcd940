"""Large data over the network: in parts, past which others find their way, and not in the hub's memory."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from ctrlhub import Client, Cluster
from ctrlhub.wire.limits import PARTS_WINDOW
from tests.support.hubs import hub_of
from tests.support.processes import Command, until

WAIT = 120.0
ITEMS = 16_000_000
"""Of eight bytes: 128 MB."""

SOME = 16_000_000
"""Bytes by which one sees that large data is on its way."""

ATTEMPTS = 5
"""So often all may have come before somebody sees that some has."""

GROWTH = 24_000
"""By how much a hub may grow (kB) while 128 MB pass through it, both ways."""


def peak(pid: int) -> int:
    """The most memory (kB) that a process has had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A client of two engines, over TCP, that shares no memory: as from another host."""
    with monkeypatch.context() as patch:
        patch.setattr("ctrlhub.link.sharing.share", lambda buffer: None)
        with Cluster(n=2, listen="127.0.0.1", prefer="tcp") as client:
            yield client


def memory_of(pid: int) -> int:
    """The memory (bytes) that a process has."""
    rss: int = psutil.Process(pid).memory_info().rss
    return rss


def test_the_hub_s_memory_does_not_grow(remote: Client) -> None:
    """By what comes in parts, nor by what leaves in them."""
    hub = hub_of(remote)
    remote[0].push({"a": np.ones(ITEMS // 16)}, block=True)
    before = peak(hub)
    remote[0].push({"a": np.arange(ITEMS, dtype=float)}, block=True)
    got = remote[0].pull("a", block=True)
    assert np.array_equal(got, np.arange(ITEMS, dtype=float))
    assert peak(hub) - before < GROWTH + PARTS_WINDOW // 1024


def test_results_pass_a_large_one(remote: Client) -> None:
    """What is small is not behind what is large, of the same client on the same stream."""
    # Less than what the hub has under way to a client at a time.
    remote[0].execute(f"import numpy as np; a = np.ones({2 * ITEMS})", block=True)
    engine = remote[1].apply_sync(os.getpid)
    for _ in range(ATTEMPTS):
        before = memory_of(os.getpid())
        large = remote[0].pull("a", block=False)
        until(lambda: memory_of(os.getpid()) > before + SOME, "some has come")  # noqa: B023
        small = [remote[1].apply_async(os.getpid) for _ in range(20)]
        assert {each.get(WAIT) for each in small} == {engine}
        passed = not large.ready()
        assert large.get(WAIT).sum() == 2 * ITEMS
        if passed:
            return
        del large
    pytest.fail("what is small has never passed what is large")


def test_what_a_push_brings_is_there(remote: Client) -> None:
    """What comes behind a large command runs after it, in either interface."""
    pushed = remote[:].push({"a": np.ones(ITEMS // 4)}, block=False)
    then = remote[:].apply_async(lambda: float(a.sum()))  # type: ignore[name-defined] # noqa: F821
    task = remote.load_balanced_view().apply_async(lambda: float(a.sum()))  # type: ignore[name-defined] # noqa: F821
    assert then.get(WAIT) == [ITEMS / 4] * 2
    assert task.get(WAIT) == ITEMS / 4
    pushed.get(WAIT)


def test_large_tasks(remote: Client) -> None:
    """Arguments and results of tasks, several at a time."""
    view = remote.load_balanced_view()
    results = [view.apply_async(lambda x: x + 1, np.full(ITEMS // 8, k)) for k in range(6)]
    for k, result in enumerate(results):
        got: Any = result.get(WAIT)
        assert got.shape == (ITEMS // 8,)
        assert (got == k + 1).all()


def test_the_hub_is_killed_meanwhile(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was under way is said again to the next one."""
    command.start("-n", "1")
    with monkeypatch.context() as patch:
        patch.setattr("ctrlhub.link.sharing.share", lambda buffer: None)
        with Client() as client:
            hub = hub_of(client)
            engine = client[0].apply_sync(os.getpid)
            before = memory_of(engine)
            # A task: unlike a command it is run again, should its result have been there.
            view = client.load_balanced_view()
            result = view.apply_async(lambda a: a * 2, np.arange(4 * ITEMS, dtype=float))
            until(lambda: memory_of(engine) > before + SOME, "some has come")
            os.kill(hub, signal.SIGKILL)
            got = result.get(WAIT)
            assert got[-1] == 2.0 * (4 * ITEMS - 1)
    assert command.run("stop").returncode == 0
