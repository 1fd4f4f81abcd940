"""Logs as JSON, of real processes: each line says whose it is, and is one object."""

from __future__ import annotations

import json
import os
import signal
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ctrlhub import Client
from ctrlhub.cli.exits import Exit
from ctrlhub.link.log_file import open_log
from ctrlhub.wire.places import Profile
from tests.support.processes import Command, until


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a log, each an object."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert found, path
    assert all(isinstance(each, dict) for each in found), path
    return found


WRITERS = ("hub", "gateway", "nanny", "supervisor")
MOST = 4096


def filled(profile: Path) -> dict[str, str]:
    """Make the logs of former processes, which are as long as they may be; return their texts."""
    Profile.named("default", profile.parent.parent).make()
    lines = {name: f"{name} of before\n" for name in WRITERS}
    texts = {name: line * (MOST // len(line)) for name, line in lines.items()}
    for name, text in texts.items():
        with open(open_log(profile / "logs" / f"{name}.log"), "w") as file:
            file.write(text)
    return texts


def parent_of(pid: int) -> int:
    """Return a process's parent."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])


def test_every_process_writes_json_when_asked(command: Command) -> None:
    """Hub, gateway, nanny, engine and supervisor; a death and its cause are in it, and no key is.

    Logs that are full are set aside while their processes run: what was in them stays to be read, standard error
    goes along, and that of the process from which engines are forked.
    """
    profile = command.state / "profiles" / "default"
    before, logs = filled(profile), profile / "logs"
    started = command.run(
        "start", "-n", "1", "--daemonize", "--http", "auto", "--log-format", "json", "--log-max-bytes", str(MOST)
    )
    assert started.returncode == Exit.OK, started.stderr
    with Client(profile / "connection-client.json") as client:
        [engine] = client.status()["engines"]
        os.kill(engine["pid"], signal.SIGKILL)
        [second] = until(
            lambda: [each for each in client.status()["engines"] if each["pid"] != engine["pid"]], "another engine is there"
        )
        warm = parent_of(second["pid"])
        nanny = parent_of(warm)
        for pid, name in ((client.status()["hub"]["pid"], "hub"), (warm, "nanny"), (nanny, "nanny")):
            assert Path(f"/proc/{pid}/fd/2").readlink() == logs / f"{name}.log"
        os.kill(nanny, signal.SIGKILL)  # the supervisor tells of it
        until(lambda: all((logs / f"{name}.log.old").exists() for name in WRITERS), "all four are set aside")
        until(lambda: [each for each in client.status()["engines"] if each["pid"] != second["pid"]], "a third engine is there")
        client[0].execute("print('not JSON')").get()
        until(lambda: "not JSON" in (logs / "engine-0.log").read_text(), "what was printed is in the log")
    texts = {path.name: path.read_text() for path in logs.glob("*.log")}
    assert set(texts) >= {"hub.log", "gateway.log", "nanny.log", "engine-0.log", "supervisor.log"}
    printed = [line for line in texts["engine-0.log"].splitlines() if not line.startswith("{")]
    assert printed == ["not JSON"]
    (logs / "engine-0.log").write_text(texts["engine-0.log"].replace("not JSON\n", ""))
    for name, text in texts.items():
        if not text:
            continue
        for line in lines_of(logs / name):
            assert datetime.fromisoformat(line["time"]).utcoffset() == timedelta(0)
            assert {"level", "logger", "message"} <= line.keys()
            assert line["profile"] == "default"
            assert line["process"] == name.removesuffix(".log").removesuffix("-0")
    assert any(line.get("engine") == 0 for line in lines_of(logs / "engine-0.log"))
    assert any("SIGKILL" in line["message"] for line in lines_of(logs / "nanny.log"))
    keys = json.loads((profile / "keys.json").read_text())
    secrets = [pair["secret"] for pair in (keys["server"], *keys["enrolment"].values())]
    assert not any(secret in text for secret in secrets for text in texts.values())
    for name, text in before.items():
        assert (logs / f"{name}.log.old").read_text().startswith(text)
        assert "of before" not in texts[f"{name}.log"]
    assert command.run("logs", "--hub", "-n", "200").stdout.splitlines()[0] == "hub of before"
    shown = command.run("logs", "--nanny")
    assert shown.returncode == Exit.OK
    assert "SIGKILL" in shown.stdout
    assert not any(line.startswith("{") for line in shown.stdout.splitlines())
    assert command.run("stop").returncode == Exit.OK


def test_text_for_all(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the environment, and of the hub as well, which writes JSON else."""
    monkeypatch.setenv("CTRLHUB_LOG_FORMAT", "text")
    started = command.run("start", "-n", "1", "--daemonize")
    assert started.returncode == Exit.OK, started.stderr
    logs = command.state / "profiles" / "default" / "logs"
    for name in ("hub.log", "engine-0.log"):
        text = (logs / name).read_text()
        assert text
        assert not any(line.startswith("{") for line in text.splitlines())
    assert command.run("stop").returncode == Exit.OK
