"""A system that lacks what Windows and macOS lack: everything is done in the ways that are left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tests.support
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.places import Profile
from tests.support.processes import STATE_VARIABLE
from tests.support.state import own_state

ELSEWHERE = Path(tests.support.__path__[0]) / "elsewhere"

PROGRAM = """
import os, signal, sys
from ctrlhub import Client, Cluster, EngineError

assert not hasattr(os, "fork")
with Cluster(n=2, profile="elsewhere") as client:
    client.wait_for_engines(2, timeout=60)
    print("squares", client.load_balanced_view().map_sync(pow, range(5), [2] * 5))
    print("bytes", client[:].apply_sync(len, bytes(3_000_000)))
    print("forks", client[:].apply_sync(lambda: hasattr(__import__("os"), "fork")))
    print("printed", client[0].execute("print('here')", block=True).stdout.strip())
    client[:].push({"kept": 1}, block=True)
    result = client[0].execute("while True: pass")
    while not client.status()["engines"][0]["running"]:
        pass
    client.interrupt(0)
    try:
        result.get(60)
    except Exception as error:
        print("interrupted", "KeyboardInterrupt" in str(error))
    print("kept", client[:].pull("kept", block=True))
    try:
        client[1].execute("import os, signal; os.kill(os.getpid(), signal.SIGKILL)").get(60)
    except EngineError as error:
        print("died", "SIGKILL" in str(error))
    client.wait_for_engines(2, timeout=60)
    print("ids", client.ids)
    with Client(profile="elsewhere") as other:
        print("other", other.ids)
"""


def test_hub_engines_and_client_without_what_others_lack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No fork, poll, ipc, pidfd, memory files, limits: engines are spawned, and all goes over TCP with CURVE."""
    with own_state(tmp_path / "state") as state:
        environment = {**os.environ, STATE_VARIABLE: str(state), "PYTHONPATH": str(ELSEWHERE)}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "squares [0, 1, 4, 9, 16]",
        "bytes [3000000, 3000000]",
        "forks [False, False]",
        "printed here",
        "interrupted True",
        "kept [1, 1]",
        "died True",
        "ids [0, 1]",
        "other [0, 1]",
    ]


def test_where_pipes_cannot_be_waited_for(tmp_path: Path) -> None:
    """What is written below Python goes to the log, beside what Python writes there; nothing waits for it."""
    log = tmp_path / "log"
    with log.open("wb") as file:
        done = subprocess.run(
            [sys.executable, "-c", BELOW], stdout=file, stderr=file, timeout=60, check=False
        )
    assert done.returncode == 0
    assert sorted(log.read_text().split()) == ["above", "below", "drained:False", "ended:False"]


BELOW = """
import os
from ctrlhub.engine.descriptors import LogAlone

descriptors = LogAlone()
out, _ = descriptors.install()
descriptors.follow(print, print, lambda: True)
os.system("echo below")
out.write("above\\n")
out.write(f"drained:{descriptors.drain()}\\n")
out.write(f"ended:{descriptors.end_request()}\\n")
"""


def test_started_by_the_command(tmp_path: Path) -> None:
    """`ctrl-hub start` and `stop`: the hub listens on the loopback, with keys, and nothing is left."""
    with own_state(tmp_path / "state") as state:
        environment = {**os.environ, STATE_VARIABLE: str(state), "PYTHONPATH": str(ELSEWHERE)}

        def run(*arguments: str) -> str:
            done = subprocess.run(
                [sys.executable, "-m", "ctrlhub", *arguments],
                env=environment, capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            return done.stdout

        assert "ready" in run("start", "-n", "1", "--daemonize")
        info = ConnectionInfo.load(Profile.named().connection_client)
        assert not info.ipc
        assert all(address.startswith("tcp://127.0.0.1:") for address in info.tcp.values())
        assert info.server_key
        assert "engines  1" in run("status")
        run("stop")
        assert not Profile.named().connection_client.exists()
