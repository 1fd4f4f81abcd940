"""The command line with real clusters: start, status, list, stop, and whatever is killed meanwhile."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from ctrlhub import Client
from ctrlhub.cli.exits import Exit
from ctrlhub.controller.config import HubConfig
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.places import Profile
from tests.support.processes import Command, is_alive, until
from tests.support.state import hub_listens
from tests.support.work import Work

WAIT = 60.0


def profile_of(command: Command, name: str = "default") -> Path:
    """Name the directory of a profile."""
    return command.state / "profiles" / name


def supervisor_of(command: Command) -> int:
    """Read the supervisor's pid."""
    pid: int = json.loads((profile_of(command) / "supervisor.json").read_text())["pid"]
    return pid


def sockets_of(command: Command) -> Path:
    """Name the directory of the running hub's sockets."""
    info = ConnectionInfo.load(profile_of(command) / "connection-client.json")
    address = next(iter(info.ipc.values()))
    return Path(address.removeprefix("ipc://")).parent


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's hubs have the directories of their sockets, and nobody else."""
    directory = tmp_path / "run"
    directory.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    return directory


def assert_nothing_left(command: Command, sockets: Path) -> None:
    """No process, no socket, no connection file, no record."""
    assert command.left() == {}
    assert not sockets.exists()
    assert command.files() == set()


def start(command: Command, *arguments: str) -> tuple[dict[str, object], Path]:
    """Start two engines in the background; return the hub's status and its sockets' directory."""
    result = command.run("start", "-n", "2", "--daemonize", *arguments)
    assert result.returncode == Exit.OK, result.stderr
    assert result.stdout.splitlines()[-1] == "ready"
    return command.status()["hub"], sockets_of(command)


def test_start_use_status_stop(command: Command) -> None:
    """The commands as documented: engines are there when it says ready, and gone after stop."""
    _, sockets = start(command)
    with Client() as client:
        assert client[:].apply_sync(lambda: 6 * 7) == [42, 42]
        engines = client[:].apply_sync(os.getpid)
    status = command.status()
    assert set(status) == {"profile", "hub", "engines", "tasks", "start_hooks", "store"}
    assert set(status["hub"]) == {"pid", "started", "time", "version", "ports", "http", "refused", "max_engines", "trouble"}
    assert status["profile"] == "default"
    assert (status["hub"]["ports"], status["hub"]["http"]) == ({}, None)
    assert set(status["tasks"]) == {"queued", "running", "done", "failed"}
    assert [each["id"] for each in status["engines"]] == [0, 1]
    assert [each["pid"] for each in status["engines"]] == engines
    assert {"id", "pid", "host", "state", "running", "queued"} <= set(status["engines"][0])

    stopped = command.run("stop")

    assert stopped.returncode == Exit.OK, stopped.stderr
    assert_nothing_left(command, sockets)


def test_status_for_people(command: Command) -> None:
    """Without ``--json`` it is a page to read, with a line for each engine."""
    start(command)
    text = command.run("status").stdout

    assert "profile  default" in text
    assert "tasks    0 queued, 0 running; since this hub runs 0 done, 0 failed" in text
    assert text.splitlines()[-2].split()[0] == "0"
    assert text.splitlines()[-1].split()[0] == "1"
    command.run("stop")


def test_what_would_start_is_shown(command: Command) -> None:
    """Hub and nanny, or what a launcher would do; nothing is made, and the hub needs no address yet."""
    here = command.run("start", "-n", "4", "--dry-run")
    there = command.run("start", "-n", "4", "--launcher", "slurm", "--dry-run")

    assert (here.returncode, there.returncode) == (0, 0), here.stderr + there.stderr
    assert "ctrlhub.controller" in here.stdout
    assert "starts engines: 4" in here.stdout
    assert there.stdout.startswith("#!/bin/bash\n#SBATCH")
    assert command.run("start", "-n", "4", "--launcher", "slurm").returncode == Exit.USAGE
    assert command.files() == set()
    assert command.left() == {}


def test_sets_for_scripts(command: Command) -> None:
    """What starts, restarts, stops and names the logs of a set prints it as JSON, and nothing else."""

    def said(*arguments: str) -> Any:
        done = command.run("engines", *arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert command.run("start", "--daemonize", "-n", "0").returncode == 0
    assert "--engine-set some" in said("start", "-n", "1", "--name", "some", "--dry-run")["plan"]
    started = said("start", "-n", "1", "--name", "some", "--wait", "60")
    assert started.pop("registered") == 1
    assert (started["set"], started["launcher"], started["n"]) == ("some", "local", 1)
    assert {name: said("list")[0][name] for name in started} == started
    [again] = said("restart", "some")
    assert again["handle"]["pid"] != started["handle"]["pid"]
    assert any(file.endswith("sets/some/nanny.log") for file in said("logs"))
    assert said("stop") == [again]
    assert said("list") == []
    assert command.run("stop").returncode == 0


def test_logs_of_a_set_outlive_it(command: Command) -> None:
    """They are shown by its name."""
    ok = command.run("start", "--daemonize", "-n", "0"), command.run("engines", "start", "-n", "1", "--name", "some")
    assert [each.returncode for each in ok] == [0, 0], ok
    assert command.run("engines", "stop", "some").returncode == 0

    shown = command.run("engines", "logs", "some", "--files")
    assert any(line.endswith("sets/some/nanny.log") for line in shown.stdout.splitlines()), shown
    assert command.run("engines", "logs", "other").returncode == Exit.ERROR
    assert command.run("stop").returncode == 0


def test_engines_that_came_with_the_cluster_are_a_set(command: Command) -> None:
    """They are listed, restarted and stopped like those of a launcher; the cluster stays."""
    command.start("-n", "2")
    pids = {each["pid"] for each in command.status()["engines"]}
    (listed,) = json.loads(command.run("engines", "list", "--json").stdout)
    assert (listed["set"], listed["n"], listed["state"]) == ("local", 2, "running")
    assert "local" in command.run("engines", "list").stdout

    restarted = command.run("engines", "restart")
    assert restarted.stdout == "engines local: started again\n", restarted.stderr
    until(lambda: len(command.status()["engines"]) == 2, "they are back")
    assert not pids & {each["pid"] for each in command.status()["engines"]}

    stopped = command.run("engines", "stop", "local")
    assert stopped.stdout == "engines local: stopped\n", stopped.stderr
    assert command.status()["engines"] == []
    assert command.run("engines", "list").stdout == "no sets of engines\n"
    assert command.run("engines", "stop", "local").returncode == Exit.ERROR
    scaled = command.run("engines", "scale", "1")
    assert scaled.stdout == "engines local: 1 engine (0)\n", scaled.stderr
    assert command.run("stop").returncode == Exit.OK


def test_start_in_the_foreground_runs_until_ctrl_c(command: Command) -> None:
    """It says ready, stays, and a signal to stop is a good end."""
    process = command.start("-n", "1")
    sockets = sockets_of(command)
    assert process.poll() is None

    process.send_signal(signal.SIGINT)

    assert process.wait(timeout=60) == Exit.OK
    assert_nothing_left(command, sockets)


def test_stop_ends_a_foreground_start(command: Command) -> None:
    """Whoever waits at the other terminal gets the prompt back."""
    process = command.start("-n", "1")

    assert command.run("stop").returncode == Exit.OK
    assert process.wait(timeout=60) == Exit.OK


HELD_BACK = """
import os, sys, time
if "ctrlhub.engine" in sys.orig_argv:
    while not os.path.exists({!r}):
        time.sleep(0.01)
"""
"""A module `sitecustomize`: the nanny does not begin before there is a file of this name."""


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that nannies wait for before they start engines."""
    gate, site = tmp_path / "gate", tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(HELD_BACK.format(str(gate)))
    monkeypatch.setenv("PYTHONPATH", str(site))
    return gate


@pytest.mark.parametrize("how", [(), ("--daemonize",)])
def test_stop_while_starting(command: Command, gate: Path, how: tuple[str, ...]) -> None:
    """A signal that comes before everything is ready ends what was begun, which is a good end."""
    process = command.launch("start", "-n", "2", *how)
    until(lambda: (profile_of(command) / "supervisor.json").exists(), "the supervisor runs")

    os.kill(supervisor_of(command), signal.SIGTERM)
    gate.touch()

    assert process.wait(timeout=60) == Exit.OK
    assert process.stdout is not None
    assert "ready" not in process.stdout.read()
    assert command.left() == {}
    assert command.files() == set()


@pytest.mark.parametrize("how", [(), ("--daemonize",)])
def test_a_second_start_is_refused(command: Command, how: tuple[str, ...]) -> None:
    """It names the pid of the first, which is not disturbed."""
    start(command)
    first = supervisor_of(command)

    second = command.run("start", "-n", "1", *how)

    assert second.returncode == Exit.ALREADY_RUNNING
    assert f"pid {first}" in second.stderr
    assert len(command.status()["engines"]) == 2
    command.run("stop")


def test_profiles_run_side_by_side(command: Command) -> None:
    """Two clusters of one user, told apart by name."""
    for name in ("one", "other"):
        result = command.run("start", "-n", "1", "--daemonize", "--profile", name)
        assert result.returncode == Exit.OK, result.stderr
    listed = json.loads(command.run("list", "--json").stdout)
    assert [(each["profile"], each["state"], each["kind"]) for each in listed] == [
        ("one", "running", "supervised"),
        ("other", "running", "supervised"),
    ]

    command.run("stop", "--profile", "one")

    assert command.run("status", "--profile", "one").returncode == Exit.NOT_RUNNING
    assert len(command.status("--profile", "other")["engines"]) == 1
    command.run("stop", "--profile", "other")
    assert json.loads(command.run("list", "--json").stdout) == []


def test_files_are_private(command: Command) -> None:
    """Directories are 0700 and files 0600, the sockets' directory too."""
    _, sockets = start(command)
    profile = profile_of(command)
    directories = [profile, profile / "logs", sockets]
    files = [path for path in profile.rglob("*") if path.is_file()]
    assert {"supervisor.json", "connection-client.json"} <= {path.name for path in files}

    assert {stat.S_IMODE(path.stat().st_mode) for path in directories} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    command.run("stop")


def test_by_default_no_port_is_open(command: Command) -> None:
    """Nothing of a cluster listens on TCP unless asked."""
    start(command)
    listening = {
        pid
        for pid in command.left()
        for each in psutil.Process(pid).net_connections("inet")
        if each.status == psutil.CONN_LISTEN
    }

    assert listening == set()
    command.run("stop")


def test_listen_tells_its_ports(command: Command) -> None:
    """With ``--listen`` the status names a port for each stream."""
    hub, _ = start(command, "--listen", "127.0.0.1")
    ports = hub["ports"]
    assert isinstance(ports, dict)

    assert set(ports) - {"bulk"} == {"hub", "multiengine", "task", "iopub"}
    for port in ports.values():
        socket.create_connection(("127.0.0.1", port), timeout=60).close()
    command.run("stop")


def test_a_killed_hub_comes_back(command: Command) -> None:
    """The supervisor starts another with the same ports; engines and clients find it again."""
    hub, sockets = start(command, "--listen", "127.0.0.1")
    with Client() as client:
        client[:].push({"x": 7}, block=True)
        assert isinstance(hub["pid"], int)
        os.kill(hub["pid"], signal.SIGKILL)

        assert client[:].pull("x", block=True) == [7, 7]

    again = command.status()
    assert again["hub"]["pid"] != hub["pid"]
    assert again["hub"]["ports"] == hub["ports"]
    assert [each["id"] for each in again["engines"]] == [0, 1]
    assert command.run("stop").returncode == Exit.OK
    assert_nothing_left(command, sockets)


def test_arguments_that_a_killed_hub_had_are_given_to_the_next(
    command: Command, tmp_path: Path
) -> None:
    """The client has fetched some, and submits again what makes the others."""
    hub, _ = start(command)
    work = Work(tmp_path)
    with Client() as client:
        view = client.load_balanced_view()
        first = view.apply_async(abs, -20)
        many = view.map_async(abs, range(-3, 0))
        assert (first.get(WAIT), many.get(WAIT)) == (20, [3, 2, 1])
        held = view.apply_async(work.held())
        both = view.apply_async(lambda *given: given, {"first": first}, held, many)
        last = view.apply_async(len, both)
        work.begun("held")
        assert isinstance(hub["pid"], int)
        os.kill(hub["pid"], signal.SIGKILL)
        until(lambda: command.status()["hub"]["pid"] != hub["pid"], "another hub")
        work.release("held")
        assert both.get(WAIT) == ({"first": 20}, "held", [3, 2, 1])
        assert last.get(WAIT) == 3
    assert command.run("stop").returncode == Exit.OK


def test_what_a_killed_hub_knew_its_client_tells_the_next(command: Command) -> None:
    """Without a store: that tasks have ended, and where, for those that are to follow them."""
    hub, _ = start(command, "--store", "memory")
    with Client() as client:
        view = client.load_balanced_view()
        first = [view._with(targets=n).apply_async(os.getpid) for n in range(2)]
        pids = [each.get(WAIT) for each in first]
        assert isinstance(hub["pid"], int)
        os.kill(hub["pid"], signal.SIGKILL)
        until(lambda: command.status()["hub"]["pid"] != hub["pid"], "another hub")
        assert client.wait_for_engines(2, timeout=WAIT) is None
        for each, pid in zip(first, pids, strict=True):
            assert view._with(follow=each).apply_async(os.getpid).get(WAIT) == pid
            assert view._with(after=each).apply_async(abs, each).get(WAIT) == pid
    assert command.run("stop").returncode == Exit.OK


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_nanny_that_somebody_ends_comes_back_with_its_engines(
    command: Command, number: signal.Signals
) -> None:
    """The supervisor starts another nanny, and that other engines, which have the ids of the former."""
    start(command)
    before = [each["pid"] for each in command.status()["engines"]]
    record = json.loads((profile_of(command) / "supervisor.json").read_text())
    of_slot = engines_of(command)
    os.kill(record["processes"]["nanny"]["pid"], number)

    until(lambda: not any(map(is_alive, before)), "the engines end with their nanny")

    def others() -> bool:
        engines = command.status()["engines"]
        return len(engines) == 2 and all(each["pid"] not in before for each in engines)

    until(others, "two other engines")
    assert [each["id"] for each in command.status()["engines"]] == [0, 1]
    assert engines_of(command) == of_slot
    assert command.run("stop").returncode == Exit.OK


def test_engines_have_their_ids_after_everything_was_killed(command: Command) -> None:
    """As after a power cut: the next start's engines take the places of those that are dead."""
    start(command)
    of_slot = engines_of(command)
    record = json.loads((profile_of(command) / "supervisor.json").read_text())
    os.kill(record["pid"], signal.SIGSTOP)  # it starts no other
    for pid in (*(each["pid"] for each in record["processes"].values()), record["pid"]):
        os.kill(pid, signal.SIGKILL)  # the hub first: without its supervisor it would end on purpose
    until(lambda: not command.left(), "engines end with their nanny")

    start(command)

    assert [each["id"] for each in command.status()["engines"]] == [0, 1]
    assert engines_of(command) == of_slot
    assert command.run("sessions").stdout == "no sessions\n", "its own is none of those"
    assert command.run("stop").returncode == Exit.OK


def engines_of(command: Command) -> list[int]:
    """Return which engine's log is that of each slot of the nanny."""
    logs = (profile_of(command) / "logs" / f"engine-{slot}.log" for slot in range(2))
    return [int(re.findall(r"joined as engine (\d+)", log.read_text())[-1]) for log in logs]


def test_stop_right_after_the_hub_was_killed(command: Command) -> None:
    """Nothing is left, whatever the supervisor was about to do."""
    hub, sockets = start(command)
    assert isinstance(hub["pid"], int)
    os.kill(hub["pid"], signal.SIGKILL)

    assert command.run("stop").returncode == Exit.OK
    assert_nothing_left(command, sockets)


def test_stop_right_after_the_supervisor_was_killed(command: Command) -> None:
    """Hub and engines end by themselves; stop waits for that and cleans up."""
    _, sockets = start(command)
    os.kill(supervisor_of(command), signal.SIGKILL)

    assert command.run("stop").returncode == Exit.OK
    assert_nothing_left(command, sockets)


def test_stop_after_everything_was_killed(command: Command) -> None:
    """What only killing leaves (sockets, files) is cleaned up, and then nothing is there to stop."""
    _, sockets = start(command)
    for number in (signal.SIGSTOP, signal.SIGKILL):  # who sees another die would clean up
        for pid in command.left():
            with suppress(ProcessLookupError):
                os.kill(pid, number)
    until(lambda: not command.left(), "all are dead")
    assert sockets.exists()

    stopped = command.run("stop")

    assert stopped.returncode == Exit.OK
    assert "cleaned up" in stopped.stdout
    assert_nothing_left(command, sockets)
    assert command.run("stop").returncode == Exit.NOT_RUNNING


def test_a_killed_supervisor_takes_all_with_it(command: Command) -> None:
    """Without anyone stopping it, nothing lives on; and the next start is not disturbed."""
    start(command)
    os.kill(supervisor_of(command), signal.SIGKILL)

    until(lambda: not command.left(), "hub, nanny and engines end")
    start(command)
    assert command.run("stop").returncode == Exit.OK


def test_start_right_after_the_supervisor_was_killed(command: Command) -> None:
    """A new start waits for the old hub to end, instead of being refused."""
    start(command)
    os.kill(supervisor_of(command), signal.SIGKILL)

    start(command)
    assert command.run("stop").returncode == Exit.OK


def test_a_port_that_is_taken(command: Command) -> None:
    """The start fails at once, with the hub's own words, and leaves nothing running."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        first = min(port, 65535 - 3)
        ports = f"{first}-{first + 3}"
        for how in ((), ("--daemonize",)):
            result = command.run(
                "start", "-n", "1", "--listen", "127.0.0.1", "--port-range", ports, *how
            )

            assert result.returncode == Exit.START_FAILED, result.stderr
            assert "ports" in result.stderr
            assert command.left() == {}
            assert command.files() == set()


NEVER_AN_ENGINE = """
import sys
if "ctrlhub.engine" in sys.orig_argv:
    sys.stdin.buffer.read()  # until whoever started it lets go
    sys.exit("no engine today")
"""


def test_engines_that_do_not_come_in_time(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start says how many came, and leaves nothing running."""
    (tmp_path / "sitecustomize.py").write_text(NEVER_AN_ENGINE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    result = command.run("start", "-n", "2", "--timeout", "6")

    assert result.returncode == Exit.START_FAILED
    assert "0 of 2 engines registered within 6 s" in result.stderr
    assert command.left() == {}


def test_a_hub_that_does_not_answer(command: Command) -> None:
    """A hub that is stopped in its tracks is told from one that is not there."""
    hub, _ = start(command)
    assert isinstance(hub["pid"], int)
    os.kill(hub["pid"], signal.SIGSTOP)
    try:
        result = command.run("status", "--timeout", "1")
    finally:
        os.kill(hub["pid"], signal.SIGCONT)

    assert result.returncode == Exit.NOT_ANSWERING
    assert command.run("stop").returncode == Exit.OK


def test_hub_and_engine_alone(command: Command) -> None:
    """The programs can be started one by one; stop ends a hub that was started alone."""
    hub = command.launch("hub")
    connection = profile_of(command) / "connection-engine.json"
    hub_listens(Profile.named(state=command.state))
    engine = command.launch("engine", "-n", "2", "--connection", str(connection))
    until(lambda: len(command.status()["engines"]) == 2, "two engines")
    refused = command.run("start", "-n", "1")
    assert refused.returncode == Exit.ALREADY_RUNNING
    assert f"pid {hub.pid}" in refused.stderr

    assert command.run("stop").returncode == Exit.OK

    assert hub.wait(timeout=60) == Exit.OK
    engine.send_signal(signal.SIGTERM)
    assert engine.wait(timeout=60) == Exit.OK
    assert command.files() == set()


def test_logs_of_engines_that_failed_are_there_until_the_next_ones(command: Command) -> None:
    """They say why; but they do not pile up, and those of a good end are not kept."""
    hub = command.launch("hub")
    hub_listens(Profile.named(state=command.state))
    logs = profile_of(command) / "logs"
    engine = command.launch("engine")
    until(lambda: len(command.status()["engines"]) == 1, "an engine")
    engine.kill()
    engine.wait()
    (failed,) = logs.glob("nanny-*")
    assert (failed / "engine-0.log").exists()

    engine = command.launch("engine")
    until(lambda: not failed.exists(), "the logs of the first have gone")
    until(lambda: list(logs.glob("nanny-*")), "it has logs of its own")
    assert command.run("stop").returncode == Exit.OK

    assert engine.wait(timeout=60) == Exit.OK
    assert hub.wait(timeout=60) == Exit.OK
    assert list(logs.glob("nanny-*")) == []


def test_stop_ends_engines_whose_hub_was_killed(command: Command) -> None:
    """Engines that were started by hand do not wait for a hub that will not come."""
    hub = command.launch("hub")
    hub_listens(Profile.named(state=command.state))
    engine = command.launch("engine")
    until(lambda: len(command.status()["engines"]) == 1, "an engine")
    hub.kill()
    hub.wait()

    assert command.run("stop").returncode == Exit.OK

    assert engine.wait(timeout=60) == Exit.OK
    assert command.left() == {}
    assert command.files() == set()


def test_an_address_of_another_machine(command: Command) -> None:
    """The start fails and says which addresses can be used."""
    result = command.run("start", "-n", "1", "--listen", "192.0.2.1")

    assert result.returncode == Exit.START_FAILED
    assert "192.0.2.1: it is not an address of this machine" in result.stderr
    assert "hostname -I" in result.stderr


@pytest.mark.parametrize("address", ["203.0.113.1", "2001:db8::1"])
def test_a_hub_that_cannot_listen_leaves_nothing(
    command: Command, runtime: Path, address: str
) -> None:
    """No socket, no directory of them and no connection file; the next one starts."""
    result = command.run("hub", "--listen", address)

    assert result.returncode == Exit.START_FAILED
    assert f"cannot listen on {address}" in result.stderr
    assert "Traceback" not in result.stderr
    assert list(runtime.iterdir()) == []
    assert command.files() == set()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "import nothing_of_this_name",
            r"interface 'odd' cannot be imported .*nothing_of_this_name",
        ),
        ("int(None)", r"interface 'odd' cannot be imported \(TypeError"),
        (
            "from ctrlhub.controller.interfaces.base import Interface\n"
            "class Odd(Interface):\n"
            "    name = 'odd'\n"
            "    def __init__(self): pass",
            r"one of the interfaces multiengine, odd cannot be made \(TypeError",
        ),
    ],
    ids=["ImportError", "TypeError", "constructor"],
)
def test_an_interface_that_cannot_be_had(
    command: Command, runtime: Path, tmp_path: Path, source: str, said: str
) -> None:
    """Somebody else's code fails as it likes; the hub says which, and leaves nothing."""
    site = tmp_path / "site"
    metadata = site / "odd-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[ctrlhub.interfaces]\nodd = odd:Odd\n")
    (site / "odd.py").write_text(source)

    hub = subprocess.run(
        [sys.executable, "-m", "ctrlhub.controller"],
        input=HubConfig(interfaces=("multiengine", "odd")).to_json() + "\n",
        env={**command.environment, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert hub.returncode == Exit.START_FAILED, hub.stderr
    assert re.search(f"ctrl-hub: the hub cannot start: {said}", hub.stderr)
    assert list(runtime.iterdir()) == []
    assert command.files() == set()


def test_engines_that_are_too_many_are_told_at_once(command: Command) -> None:
    """A hub that is full says so; nothing is tried again, and the message stands once."""
    command.run("start", "-n", "1", "--max-engines", "1", "--daemonize")
    refused = command.run("engine", "-n", "1")
    assert refused.returncode == Exit.REFUSED
    assert refused.stderr.count("larger --max-engines") == 1, refused.stderr
    assert "another starts" not in refused.stderr
    assert command.run("stop").returncode == Exit.OK


def test_a_second_hub_is_refused(command: Command) -> None:
    """Two hubs cannot serve one profile."""
    start(command)
    second = command.run("hub")

    assert second.returncode == Exit.ALREADY_RUNNING
    command.run("stop")
