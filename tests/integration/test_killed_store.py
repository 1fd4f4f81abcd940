"""A process that stores, and is killed at any moment: what it has said to be safe is there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from ctrlhub.controller.stores.sqlite import SqliteStore

WRITES = """
import os, sys
from pathlib import Path
from ctrlhub.controller.core.effects import Expire, Fetched, SaveRequests, SaveResults
from ctrlhub.controller.stores.sqlite import SqliteStore
from tests.support.stores import a_result, a_task

store = SqliteStore(Path(sys.argv[1]), 0.0, lambda call: call())
store.load()
template = a_task(0)[1].template
number = int(sys.argv[2])
while True:
    ids = range(number, number + 20)
    tasks = [a_task(n, b"x" * (1_500_000 if n % 500 == 0 else n % 3000), template) for n in ids]
    store.write(
        [SaveRequests(tasks), SaveResults([a_result(n, b"%d" % n) for n in ids])],
        lambda n=number: os.write(1, b"saved %d\\n" % n),
    )
    former = [a_task(n, b"", template)[1] for n in range(number - 400, number - 380)]
    os.write(1, b"expires %d\\n" % (number - 400))
    store.write([Fetched(((ids[0], ids[-1]),)), Expire(former)], lambda: None)
    number += 20
"""


@pytest.mark.parametrize("seed", range(3))
def test_what_was_said_to_be_safe_is_there(tmp_path: Path, seed: int) -> None:
    """Through several lives, each of which begins with what the one before has left."""
    moments = Random(seed)
    saved: set[int] = set()
    expired: set[int] = set()
    number = 1000
    for life in range(4):
        arguments = [sys.executable, "-c", WRITES, str(tmp_path / "store"), str(number)]
        with subprocess.Popen(
            arguments, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": "."}
        ) as writer:
            assert writer.stdout is not None
            lines = [writer.stdout.readline()]
            while life == 3 and lines[-1] and not lines[-1].startswith("saved"):  # however slow the disk is
                lines.append(writer.stdout.readline())
            time.sleep(moments.random() * 0.5)  # when it is killed does not matter
            os.kill(writer.pid, signal.SIGKILL)
            lines += writer.stdout
        for line in lines:
            word, _, begin = line.rstrip("\n").partition(" ")
            if line.endswith("\n"):
                (saved if word == "saved" else expired).update(range(int(begin), int(begin) + 20))
        store = SqliteStore(tmp_path / "store", 0.0, lambda call: call())
        found = store.load()
        store.close()
        kept = saved - expired
        assert kept <= found.tasks.keys()
        assert kept <= found.results.keys()
        assert all(found.results[n][2] == b"%d" % n for n in found.results)
        assert found.fetched <= found.results.keys()
        number = max([*found.tasks, number]) + 1000
    assert saved
