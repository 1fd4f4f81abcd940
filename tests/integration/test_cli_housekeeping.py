"""``ctrl-hub clean``, ``doctor``, ``profile`` and ``config`` with real clusters, alive and killed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ctrlhub.cli.exits import Exit
from tests.support.processes import Command, until


def asked(command: Command, *arguments: str, code: Exit = Exit.OK) -> Any:
    """Run a command that prints JSON."""
    result = command.run(*arguments, "--json")
    assert result.returncode == code, result.stderr + result.stdout
    return json.loads(result.stdout)


def pids_of(status: Mapping[str, Any]) -> list[int]:
    """Return the processes of a cluster: its hub's, then its engines'."""
    return [each["pid"] for each in (status["hub"], *status["engines"])]


def test_clean_after_everything_was_killed(command: Command) -> None:
    """What is left is named, then removed; a living cluster beside it is not touched, and a start finds nothing."""
    for name in ("dead", "alive"):
        started = command.run("start", "-n", "1", "--daemonize", "--profile", name)
        assert started.returncode == Exit.OK, started.stderr
    place = command.state / "profiles" / "dead"
    hub = command.status("--profile", "dead")["hub"]["pid"]
    record = json.loads((place / "supervisor.json").read_text())
    alive = command.status("--profile", "alive")
    assert asked(command, "clean") == []
    # At the same moment: none of them can end the others in good order.
    pids = [record["pid"], hub, *(process["pid"] for process in record["processes"].values())]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in set(pids):
            os.kill(pid, number)
    until(lambda: [each["state"] for each in asked(command, "list")] == ["running", "dead"], "it is dead")
    until(lambda: [each["why"] for each in asked(command, "clean", "--dry-run")] == [""], "all of it has ended")
    assert (place / "connection-client.json").exists()

    (looked,) = asked(command, "clean", "--dry-run")
    (done,) = asked(command, "clean")

    assert (looked["done"], done["done"]) == ("would remove", "removed")
    assert looked["path"] == done["path"] == str(place)
    assert not (place / "connection-client.json").exists()
    assert not (place / "supervisor.json").exists()
    assert (place / "keys.json").exists()
    assert [each["profile"] for each in asked(command, "list")] == ["alive"]
    assert pids_of(command.status("--profile", "alive")) == pids_of(alive)
    assert command.run("clean").stdout == "nothing to clean up\n"
    assert asked(command, "clean", "--logs", "--dry-run")[0]["path"] == str(place / "logs")
    assert command.run("start", "-n", "1", "--daemonize", "--profile", "dead").returncode == Exit.OK
    for name in ("dead", "alive"):
        assert command.run("stop", "--profile", name).returncode == Exit.OK


def test_a_cluster_by_its_configuration(command: Command, tmp_path: Path) -> None:
    """What the profile's file says is what runs, and is shown beside where it comes from."""
    made = command.run("profile", "create", "mine", "--set", "start.engines=1", "--set", "start.daemonize=true",
                       "--set", "hub.store=memory", "--set", "hub.listen=127.0.0.1")  # fmt: skip
    assert made.returncode == Exit.OK, made.stderr

    started = command.run("start", "--profile", "mine")

    assert started.returncode == Exit.OK, started.stderr
    status = command.status("--profile", "mine")
    assert (len(status["engines"]), status["store"]["kind"]) == (1, "memory")
    assert set(status["hub"]["ports"]) - {"bulk"} == {"hub", "multiengine", "task", "iopub"}
    assert asked(command, "profile", "show", "mine")["state"] == "running"
    assert asked(command, "profile", "list")[0]["hub_pid"] == status["hub"]["pid"]
    assert command.run("stop", "--profile", "mine").returncode == Exit.OK


def test_doctor(command: Command) -> None:
    """Nothing is wrong with a cluster as it is started; what is wrong is said with what to do, and by the exit code."""
    before = asked(command, "doctor")
    assert {each["level"] for each in before} <= {"ok", "warning"}
    assert not command.state.exists()  # looking makes nothing
    started = command.run("start", "-n", "1", "--daemonize", "--listen", "127.0.0.1")
    assert started.returncode == Exit.OK, started.stderr
    place = command.state / "profiles" / "default"

    found = {each["about"]: each for each in asked(command, "doctor")}
    assert {found[about]["level"] for about in ("hub", "clock", "engines", "keys and modes", "ZeroMQ")} == {"ok"}
    assert found["ports"]["text"].count("tcp://127.0.0.1:") >= 4

    (place / "keys.json").chmod(0o640)
    (place / "config.toml").write_text("[hub]\nlisten = 7\n")
    (place / "config.toml").chmod(0o600)
    wrong = [each for each in asked(command, "doctor", code=Exit.ERROR) if each["level"] == "wrong"]
    assert [each["about"] for each in wrong] == ["configuration", "keys and modes"]
    assert "line 2" in wrong[0]["text"]
    assert f"`chmod 600 {place / 'keys.json'}`" in wrong[1]["advice"]
    shown = command.run("doctor")
    assert shown.returncode == Exit.ERROR
    assert shown.stdout.splitlines()[-1].endswith(" 2 wrong")

    (place / "config.toml").unlink()
    (place / "keys.json").chmod(0o600)
    assert command.run("stop").returncode == Exit.OK
    assert "none of profile default runs" in command.run("doctor").stdout


def test_start_and_stop_for_scripts(command: Command) -> None:
    """Each prints one object."""
    ready = asked(command, "start", "-n", "1", "--daemonize")
    assert (ready["profile"], ready["engines"]) == ("default", 1)
    assert ready["hub_pid"] == command.status()["hub"]["pid"]
    (listed,) = asked(command, "list")
    assert (listed["engines"], listed["sets"], listed["hub_pid"]) == (1, [], ready["hub_pid"])
    assert asked(command, "stop") == {"profile": "default", "pid": listed["pid"]}


def test_a_hub_that_hangs(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is listed as it is, its logs are shown, the doctor says so, and a watch waits; when it is stopped the watch ends."""
    ready = asked(command, "start", "-n", "1", "--daemonize")
    monkeypatch.setenv("CTRLHUB_STATUS_TIMEOUT", "0.5")
    watch = command.launch("status", "--watch", "0.1", "--json")
    assert watch.stdout is not None
    assert json.loads(watch.stdout.readline())["hub"]["pid"] == ready["hub_pid"]
    os.kill(ready["hub_pid"], signal.SIGSTOP)
    try:
        (listed,) = asked(command, "list")
        assert (listed["state"], listed["engines"]) == ("running", None)
        assert "serves profile default" in command.run("logs", "--hub").stdout
        assert any("trouble" in json.loads(line) for line in iter(watch.stdout.readline, ""))
        assert command.run("status").returncode == Exit.NOT_ANSWERING
        wrong = [each["about"] for each in asked(command, "doctor", code=Exit.ERROR) if each["level"] == "wrong"]
        assert wrong == ["hub"]
    finally:
        os.kill(ready["hub_pid"], signal.SIGCONT)
    assert any("hub" in json.loads(line) for line in iter(watch.stdout.readline, ""))
    assert command.run("stop").returncode == Exit.OK
    assert watch.wait(timeout=60) == Exit.NOT_RUNNING


def test_sets_are_held_to_the_hub_s_limit(command: Command) -> None:
    """More engines than the hub takes are refused before anything is started; what is done is told in JSON."""
    started = command.run("start", "-n", "1", "--max-engines", "2", "--daemonize")
    assert started.returncode == Exit.OK, started.stderr
    for wait in ((), ("--wait", "0")):
        refused = command.run("engines", "start", "--launcher", "local", "-n", "2", *wait)
        assert refused.returncode not in (Exit.OK, Exit.USAGE)
        assert "--max-engines 2: 1 are registered" in refused.stderr
    assert [each["set"] for each in asked(command, "engines", "list")] == ["local"]
    assert asked(command, "engines", "start", "--launcher", "local", "-n", "1", "--name", "other")["registered"] == 1
    (sent,) = asked(command, "engines", "signal", "CONT", "other")
    assert (sent["set"], sent["n"], sent["signal"]) == ("other", 1, "SIGCONT")
    assert {"local", "slurm"} <= set(asked(command, "engines", "launchers"))
    assert {"option": "python", "default": ""}.items() <= asked(command, "engines", "launchers", "local")[0].items()
    made = asked(command, "profile", "create", "made", "--set", "start.engines=3")
    assert (made["profile"], made["settings"]) == ("made", {"start.engines": "3"})
    assert command.run("stop").returncode == Exit.OK
