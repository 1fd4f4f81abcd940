"""Engines on other hosts through a real ssh: what goes wrong is said at once, and nothing stays behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ctrlhub import Client, EngineError
from ctrlhub.cluster.local import routed
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.places import Profile
from tests.support.nodes import Nodes, can_have_nodes
from tests.support.processes import Command, is_alive, processes_with, until
from tests.support.ssh_hosts import FarHosts, can_have_sshd
from tests.support.state import own_state


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, require_system_part: Callable[[str, bool], None]
) -> Iterator[FarHosts]:
    """An ssh server on the loopback."""
    require_system_part("openssh-server and openssh-client", can_have_sshd())
    with FarHosts(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """The command, with a hub that listens on the loopback."""
    with own_state(tmp_path_factory.mktemp("state")) as directory:
        command = Command(directory)
        try:
            started = command.run("start", "-n", "0", "--daemonize", "--listen", "127.0.0.1")
            assert started.returncode == 0, started.stderr
            yield command
            assert command.run("stop").returncode == 0
        finally:
            command.close()


def start(command: Command, server: FarHosts, *arguments: str, ssh: str = "") -> tuple[int, str]:
    """Start engines through ssh; return exit code and what was said."""
    done = command.run(
        "engines", "start", "--launcher", "ssh", "-o", f"ssh={ssh or server.ssh}",
        "-o", f"state_dir={command.state}", *arguments,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_hosts_with_engines_and_their_logs(
    command: Command, server: FarHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each host has as many as the list says; a set is listed, its logs are fetched, and it is gone after stop.

    The logs are written as is said here, and so are traces: a login there brings no environment of ours.
    """
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "where=here")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "key=secret")
    code, said = start(
        command, server, "--hosts", "far-a:2,far-b", "--name", "two", "--log-format", "json", "--log-level", "DEBUG"
    )
    assert code == 0, said
    assert "3 engines asked of ssh, 2 hosts: far-a, far-b" in said
    assert "3 of 3 registered" in said
    [listed] = json.loads(command.run("engines", "list", "--json").stdout)
    assert listed["state"] == "running"
    logs = command.run("engines", "logs", "two")
    joined = [line for line in logs.stdout.splitlines() if "joined as engine" in line]
    assert len(joined) == 3
    assert {json.loads(line[line.index("{") :])["process"] for line in joined} == {"engine"}
    with Client(command.state / "profiles" / "default" / "connection-client.json") as client:
        found = client[:].apply_sync(
            lambda: (
                __import__("logging").getLogger("ctrlhub").level,
                *map(__import__("os").environ.get, ("OTEL_RESOURCE_ATTRIBUTES", "OTEL_EXPORTER_OTLP_HEADERS")),
            )
        )
    assert found == [(10, "where=here", None)] * 3
    stopped = command.run("engines", "stop", "two")
    assert stopped.returncode == 0, stopped.stderr
    assert json.loads(command.run("engines", "list", "--json").stdout) == []


def test_logs_that_lie_elsewhere_are_fetched(command: Command, server: FarHosts, tmp_path: Path) -> None:
    """Where hosts share no file system, their ends are copied beside the others."""
    from ctrlhub.cluster.launchers.sets import make_set

    profile = Profile.named("default", command.state)
    options = {"hosts": "far-a", "ssh": server.ssh, "state_dir": str(tmp_path / "there")}
    launcher = make_set(profile, "ssh", 1, options, name="away")
    launcher.start(ConnectionInfo.load(profile.connection_engine).to_token())
    try:
        until(lambda: command.status()["engines"], "the engine is there")
        moved = launcher.handle["hosts"][0]
        real, moved["log"] = moved["log"], "/nowhere"
        texts = {path.name: path.read_text() for path in launcher.logs()}
        assert any("joined as engine" in text for text in texts.values()), texts
        assert all("from-" in str(path) for path in launcher.logs())
        moved["log"] = real
    finally:
        launcher.stop()


@pytest.mark.parametrize(
    ("ssh", "hosts", "text"),
    [
        ("unknown", "far-a", r"(?s)far-a: .*its key is not known here"),
        ("denied", "far-a", r"(?s)far-a: .*Permission denied.*ssh-copy-id far-a"),
        ("", "no-such-host.invalid", r"no-such-host.invalid: .*spelt right"),
        ("missing-ssh", "far-a", r"there is no `missing-ssh` on this machine"),
    ],
)
def test_a_host_that_is_not_reached(
    command: Command, server: FarHosts, ssh: str, hosts: str, text: str
) -> None:
    """What ssh says, and what to do; nothing is left."""
    if ssh == "unknown":
        (server.place / "empty").touch()
        ssh = f"ssh -F {server.write_config('empty', 'key')}"
    elif ssh == "denied":
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(server.place / "stranger")],
            check=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        ssh = f"ssh -F {server.write_config('known_hosts', 'stranger')}"
    code, said = start(command, server, "--hosts", hosts, ssh=ssh)
    assert code != 0
    assert re.search(text, said), said
    assert json.loads(command.run("engines", "list", "--json").stdout) == []


@pytest.mark.parametrize(
    ("python", "text"),
    [
        ("/usr/bin/python3", "has no ctrl-hub there"),
        ("/no/such/python", "there is no /no/such/python there: say with --python"),
    ],
)
def test_a_python_without_ctrl_hub(command: Command, server: FarHosts, python: str, text: str) -> None:
    """Is named, and nothing is left."""
    code, said = start(command, server, "--hosts", "far-a", "--python", python)
    assert code != 0
    assert text in said
    assert json.loads(command.run("engines", "list", "--json").stdout) == []


def test_one_host_of_two(command: Command, server: FarHosts) -> None:
    """Work starts with those that have come; of the other it is said why it has not."""
    code, said = start(
        command, server, "--hosts", "far-a,no-such-host.invalid", "--name", "half", "--wait", "1"
    )
    assert code == 0, said
    assert "1 of 2 registered, running (host no-such-host.invalid: " in said
    assert command.run("engines", "stop", "half").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--hosts", "a:2,b:2", "-n", "3"], "they are to have 4 engines, and 3 are asked for"),
        (["--hosts", "a,a"], "a is named twice"),
        (["--hosts", "-oProxyCommand=x"], "is not HOST"),
        ([], "say on which hosts"),
    ],
)
def test_hosts_that_are_none(
    command: Command, server: FarHosts, arguments: list[str], text: str
) -> None:
    """Are refused before anything is started."""
    code, said = start(command, server, *arguments)
    assert code == 2
    assert text in said


def test_a_hub_that_does_not_listen(server: FarHosts, tmp_path: Path) -> None:
    """Is said before anybody logs in anywhere."""
    with own_state(tmp_path / "state") as directory:
        command = Command(directory)
        command.run("start", "-n", "0", "--daemonize")
        code, said = start(command, server, "--hosts", "far-a")
        command.run("stop")
    assert code != 0
    assert "listens only to this user on this host" in said
    assert "--listen" in said


def test_a_hub_that_is_reached_through_ssh(server: FarHosts, tmp_path: Path) -> None:
    """It listens to nobody else; engines on other hosts come back to its own host by ssh."""
    wrapper = tmp_path / "bin" / "ssh"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec /usr/bin/ssh {server.ssh.removeprefix("ssh ")} "$@"\n')
    wrapper.chmod(0o700)
    with own_state(tmp_path / "state") as directory:
        command = Command(directory)
        started = command.run("start", "-n", "0", "--daemonize", "--engine-ssh", "far-hub")
        assert started.returncode == 0, started.stderr
        path = f"PATH={wrapper.parent}:/usr/bin:/bin"
        # The far host is this one, and would find the hub's sockets: --ssh takes the other way.
        code, said = start(
            command, server, "--hosts", "far-a", "-o", f"environment={path}",
            "-o", "engine_options=--ssh far-hub",
        )  # fmt: skip
        [engine] = command.status()["engines"]
        nanny = psutil.Process(engine["pid"]).parents()[1]
        tunnels = [child.name() for child in nanny.children() if child.name() == "ssh"]
        assert command.run("stop").returncode == 0
    assert code == 0, said
    assert "1 of 1 registered" in said
    assert tunnels == ["ssh"]


# ---------------------------------------------------------------- hosts of their own


@pytest.fixture(scope="module")
def nodes(require_system_part: Callable[[str, bool], None]) -> Iterator[Nodes]:
    """A host for the hub, and two for engines."""
    require_system_part("network namespaces (iproute2, root)", can_have_nodes())
    require_system_part("openssh-server and openssh-client", can_have_sshd())
    with Nodes(["head", "one", "two"]) as nodes:
        yield nodes


def test_three_hosts(nodes: Nodes, tmp_path: Path) -> None:
    """Engines of two hosts; one that is cut off is named by stop, and ended by the next; nothing is left."""
    servers = [
        FarHosts(tmp_path / name, nodes.address(name), nodes.command(name))
        for name in ("one", "two")
    ]
    with own_state(tmp_path / "state") as state, servers[0], servers[1]:
        config = tmp_path / "ssh_config"
        config.write_text("".join(each.config.read_text() for each in servers))
        hosts = ",".join(f"{nodes.address(name)}:1" for name in ("one", "two"))

        def on_head(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                nodes.command("head", sys.executable, "-m", "ctrlhub", *arguments),
                env=Command(state).environment, capture_output=True, text=True, timeout=100, check=False,
            )  # fmt: skip

        assert on_head("start", "-n", "0", "--daemonize", "--listen", nodes.address("head")).returncode == 0
        started = on_head(
            "engines", "start", "--launcher", "ssh", "--hosts", hosts, "-o", f"ssh=ssh -F {config}",
            "-o", f"state_dir={state}", "-o", "engine_options=--prefer tcp",
        )  # fmt: skip
        assert "2 of 2 registered" in started.stdout, started.stdout + started.stderr

        info = routed(ConnectionInfo.load(Profile.named("default").connection_client), "tcp")
        with nodes.inside("head"):
            client = Client(info, timeout=60.0)
        pids = client[:].apply_sync(os.getpid)
        servers[0].kill()  # a server that ends, or a connection that drops, is no engine's end
        assert client[:].apply_sync(os.getpid) == pids
        refused = on_head("engines", "stop", "ssh")
        assert refused.returncode != 0
        assert f"host {nodes.address('one')}: " in refused.stderr
        until(lambda: [is_alive(pid) for pid in pids].count(True) == 1, "the other host's engine has ended")
        with servers[0]:
            ended = on_head("engines", "stop", "ssh")
            assert ended.returncode == 0, ended.stderr
        until(lambda: not any(map(is_alive, pids)), "all have ended")
        client.close()
        assert on_head("stop").returncode == 0
        until(lambda: not processes_with(state), "nothing is left")


def test_ranks_of_mpi_on_two_hosts(
    nodes: Nodes, tmp_path: Path, require_system_part: Callable[[str, bool], None]
) -> None:
    """What they are told in secret reaches them by name; the communicator spans the hosts; one that dies ends all."""
    require_system_part("Open MPI (Debian: openmpi-bin)", shutil.which("mpiexec") is not None)
    servers = [
        FarHosts(tmp_path / name, nodes.address(name), nodes.command(name))
        for name in ("one", "two")
    ]
    with own_state(tmp_path / "state") as state, servers[0], servers[1]:
        config = tmp_path / "ssh_config"
        config.write_text("".join(each.config.read_text() for each in servers))
        environment = {**Command(state).environment, "OMPI_MCA_plm_rsh_agent": f"ssh -F {config}"}

        def on_head(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                nodes.command("head", sys.executable, "-m", "ctrlhub", *arguments),
                env=environment, capture_output=True, text=True, timeout=100, check=False,
            )  # fmt: skip

        hosts = ",".join(nodes.address(name) for name in ("one", "two"))
        mpiexec = (
            f"mpiexec --allow-run-as-root --host {hosts} --mca oob_tcp_if_include eth0 "
            "--mca btl tcp,self --mca btl_tcp_if_include eth0"
        )
        assert on_head("start", "-n", "0", "--daemonize", "--listen", nodes.address("head")).returncode == 0
        started = on_head(
            "engines", "start", "--launcher", "mpi", "-n", "2", "--mpiexec", mpiexec, "--wait", "60",
            "-o", "environment=FROM_HERE=there",
        )  # fmt: skip
        assert "2 of 2 registered" in started.stdout, started.stdout + started.stderr
        info = routed(ConnectionInfo.load(Profile.named("default").connection_client), "tcp")
        with nodes.inside("head"):
            client = Client(info, timeout=60.0)

        assert client[:].apply_sync(os.getenv, "FROM_HERE") == ["there"] * 2

        def together() -> tuple[int, str]:
            from mpi4py import MPI

            return MPI.COMM_WORLD.allreduce(MPI.COMM_WORLD.rank + 1), os.readlink("/proc/self/ns/net")

        answers = client[:].apply_sync(together)
        assert [total for total, _ in answers] == [3, 3]
        assert len({where for _, where in answers}) == 2
        pids = client[:].apply_sync(os.getpid)
        dies = client[1].apply_async(os._exit, 5)
        with pytest.raises(EngineError, match="exit code 5"):
            dies.get(60)
        until(lambda: not any(map(is_alive, pids)), "all have ended")
        client.close()
        assert on_head("stop").returncode == 0
