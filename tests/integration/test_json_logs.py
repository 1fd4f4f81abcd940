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
from tests.support.processes import Command, until


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a log, each an object."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert found, path
    assert all(isinstance(each, dict) for each in found), path
    return found


def test_every_process_writes_json_when_asked(command: Command) -> None:
    """Hub, gateway, nanny, engine and supervisor; a death and its cause are in it, and no key is."""
    started = command.run("start", "-n", "1", "--daemonize", "--http", "auto", "--log-format", "json")
    assert started.returncode == Exit.OK, started.stderr
    profile = command.state / "profiles" / "default"
    logs = profile / "logs"
    [engine] = command.status()["engines"]
    os.kill(engine["pid"], signal.SIGKILL)
    until(lambda: [e["pid"] for e in command.status()["engines"]] not in ([engine["pid"]], []), "another engine is there")
    with Client(profile / "connection-client.json") as client:
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
