"""Guarantee 1 when another hub is to come, and cannot start: for now, or at all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from ctrlhub import Client
from ctrlhub.cli.exits import Exit
from tests.integration.guarantees.test_store_faults import can_mount, fill
from tests.support.processes import Command, until


def test_a_hub_that_dies_while_the_disk_is_full(
    command: Command, state: Path, require_system_part: Callable[[str, bool], None]
) -> None:
    """Another is started until it can, status says why it cannot; with room again all goes on."""
    require_system_part("mount namespaces", can_mount())
    state.mkdir(mode=0o700, exist_ok=True)
    script = 'mount -t tmpfs -o size=16m,mode=700 none "$1"; shift; exec "$@"'
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-ec", script, "sh", str(state),
         sys.executable, "-m", "ctrlhub", "start", "-n", "1"],
        env=command.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    command.started.append(process)
    assert process.stdout is not None
    until(lambda: process.stdout.readline() == "ready\n", "it is ready")  # type: ignore[union-attr]
    inside = Path(f"/proc/{process.pid}/root{state}")
    file = inside / "profiles/default/connection-client.json"

    def status() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["nsenter", "--mount", "-t", str(process.pid), sys.executable, "-m", "ctrlhub", "status",
             "--timeout", "0.2"],
            env=command.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    with Client(file) as client:
        client[0].push({"x": 7}, block=True)
        fill(inside / "filler")
        os.kill(json.loads(file.read_bytes())["hub_pid"], signal.SIGKILL)
        waits = client[0].apply_async(lambda: globals()["x"])
        said = until(lambda: s if "cannot start now" in (s := status()).stderr else None, "it says so")
        assert said.returncode == Exit.NOT_ANSWERING
        assert "its supervisor goes on" in said.stderr
        assert "No space left" in said.stderr or "disk is full" in said.stderr
        assert process.poll() is None
        (inside / "filler").unlink()
        assert waits.get(60) == 7
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=60)
    assert log.count("cannot start now") == 1


def test_a_store_that_no_hub_can_use(command: Command, state: Path) -> None:
    """The cluster is given up at once, and status says why until the next one starts."""
    process = command.start("-n", "0")
    profile = state / "profiles" / "default"
    hub = command.status()["hub"]["pid"]
    os.kill(hub, signal.SIGSTOP)
    for path in (profile / "store").glob("store.db*"):
        path.write_bytes(b"nothing that was ever a database" * 1024)
    os.kill(hub, signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == Exit.START_FAILED
    assert "is given up" in said
    answer = command.run("status")
    assert answer.returncode == Exit.NOT_RUNNING
    assert "the last one could not" in answer.stderr
    assert "not a database" in answer.stderr
    shutil.rmtree(profile / "store")
    command.start("-n", "0")
    assert command.run("stop").returncode == Exit.OK
    assert "the last one" not in command.run("status").stderr
