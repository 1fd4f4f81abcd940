"""What bad input gets: a named error or exit code that says what to do, and nobody else is disturbed.

What needs no process of its own is shown by the contract suite: what cannot be pickled, modules
that are missing, engines that are not there.
"""

from __future__ import annotations

import json
import platform
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import zmq

from ctrlhub import (
    AuthenticationError,
    Client,
    Cluster,
    ConnectionFileError,
    HubNotFound,
    HubUnavailable,
    ProtocolMismatch,
    TooManyEngines,
    VersionMismatch,
)
from ctrlhub.cli.exits import Exit
from ctrlhub.client import opening
from ctrlhub.cluster.errors import StartFailed
from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.messages import Message, Refused, Register, Role, Stream
from ctrlhub.wire.places import Profile
from ctrlhub.wire.versions import versions
from tests.support.processes import Command
from tests.support.state import own_state
from tests.support.work import Work

PROFILE = "bad-input"
WAIT = 60.0
WAIT_MS = 60_000

PATIENCES = (2.0, 8.0, 32.0)
"""How long (seconds) to wait for a hub that refuses a key, first, and again where it was too slow."""

OTHER_ENGINE = """
import sys
from ctrlhub.engine import process
from ctrlhub.engine.config import NannyConfig
from ctrlhub.engine.nanny import run
other = {"ctrlhub": "0.1.0", "python": "2.7.18", "protocol": "1"}
process.versions = lambda: other
sys.exit(run(NannyConfig(connection=sys.argv[1], engines=1, logs=sys.argv[2])))
"""
"""An engine that believes to be of another version of Python."""

OTHER_CLIENT = """
import sys
from ctrlhub.wire import codec
codec.PROTOCOL_MAJOR = 99
from ctrlhub import Client
Client(sys.argv[1])
"""
"""A client of the protocol of a far future."""


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Profile]:
    """A running cluster that is full with its one engine, and can be reached in every way."""
    with (
        own_state(tmp_path_factory.mktemp("state")),
        Cluster(n=1, profile=PROFILE, listen="127.0.0.1", max_engines=1),
    ):
        yield Profile.named(PROFILE)


@pytest.fixture(autouse=True)
def _undisturbed(profile: Profile, tmp_path: Path) -> Iterator[None]:
    """Whatever a test does, tasks of others that run or wait meanwhile are not disturbed."""
    work = Work(tmp_path)
    with Client(profile=PROFILE) as client:
        view = client.load_balanced_view()
        results = [view.apply_async(work.held()), view.apply_async(int, "7")]
        work.begun("held")
        yield
        work.release()
        assert [result.get(WAIT) for result in results] == ["held", 7]


@pytest.fixture
def command(profile: Profile) -> Iterator[Command]:
    """The command line, on the same state directory."""
    command = Command(profile.directory.parents[1])
    yield command
    for process in command.started:
        process.kill()
        process.communicate()


def changed(file: Path, directory: Path, **values: Any) -> Path:
    """Write a connection file with other values than one has."""
    copy = directory / file.name
    copy.touch(mode=0o600)
    copy.write_text(json.dumps({**json.loads(file.read_text()), **values}))
    return copy


def run_python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program and wait for its end."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# ---------------------------------------------------------------- options


@pytest.mark.parametrize("arguments", [("start", "--colour"), ("strat",), ("start", "-n", "many")])
def test_an_unknown_option(command: Command, arguments: tuple[str, ...]) -> None:
    """A usage error, with a hint."""
    result = command.run(*arguments)

    assert result.returncode == Exit.USAGE
    assert "--help" in result.stderr


def test_an_unknown_option_of_a_cluster() -> None:
    """A TypeError of the line that made it."""
    with pytest.raises(TypeError, match="colour"):
        Cluster(n=1, colour="blue")
    with pytest.raises(ValueError, match="beat < suspect"):
        Cluster(n=1, beat=5.0)


def test_ports_that_are_taken() -> None:
    """The start fails at once, with the hub's words."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        first = min(taken.getsockname()[1], 65535 - 3)
        with pytest.raises(StartFailed, match="stop what uses them, or give another range"):
            Cluster(n=1, listen="127.0.0.1", ports=(first, first + 3)).start()


# ---------------------------------------------------------------- connection files

NOT_A_FILE = {
    "no json": "{",
    "no object": "[]",
    "nothing": "",
    "half of it": '{"format": 1, "profile": "x"}',
    "another format": '{"format": 99}',
    "binary": "\0\1\2",
}


@pytest.mark.parametrize("text", NOT_A_FILE.values(), ids=NOT_A_FILE)
def test_a_malformed_connection_file(command: Command, tmp_path: Path, text: str) -> None:
    """It is named, and what is wrong with it; for a client and for engines."""
    file = tmp_path / "connection.json"
    file.touch(mode=0o600)
    file.write_text(text)

    with pytest.raises(ConnectionFileError, match=str(file)):
        Client(file)
    result = command.run("engine", "--connection", str(file))
    assert result.returncode == Exit.BAD_STATE
    assert str(file) in result.stderr


def test_an_unreadable_connection_file(command: Command, tmp_path: Path) -> None:
    """One that is a directory, say; or not there."""
    with pytest.raises(ConnectionFileError, match=str(tmp_path)):
        Client(tmp_path)
    with pytest.raises((ConnectionFileError, HubNotFound), match="nowhere"):
        Client(tmp_path / "nowhere")
    result = command.run("engine", "--connection", str(tmp_path / "nowhere"))
    assert result.returncode == Exit.NOT_RUNNING
    assert "ctrl-hub start" in result.stderr


def test_a_world_readable_connection_file(
    profile: Profile, command: Command, tmp_path: Path
) -> None:
    """It is not believed; the message is the command that mends it."""
    for role in (Role.ADMIN, Role.ENGINE):
        file = changed(profile.connection(role), tmp_path)
        file.chmod(0o644)
        with pytest.raises(ConnectionFileError, match=f"chmod 600 {file}"):
            Client(file)
        result = command.run("engine", "--connection", str(file))
        assert result.returncode == Exit.BAD_STATE
        assert f"chmod 600 {file}" in result.stderr


def test_the_file_of_another_role(profile: Profile, command: Command) -> None:
    """A client's is not for engines, nor the other way round."""
    with pytest.raises(ConnectionFileError, match=r"use connection-client.json"):
        Client(profile.connection_engine)
    result = command.run("engine", "--connection", str(profile.connection_client))
    assert result.returncode == Exit.BAD_STATE
    assert "use connection-engine.json" in result.stderr


# ---------------------------------------------------------------- keys


@pytest.mark.parametrize("which", ["enrolment", "server_key"])
def test_a_wrong_key(profile: Profile, tmp_path: Path, which: str) -> None:
    """Whether it is ours or what we take for the hub's: the error names keys and the file."""
    public, secret = (key.decode() for key in zmq.curve_keypair())
    key: Any = {"public": public, "secret": secret} if which == "enrolment" else public
    file = changed(profile.connection_client, tmp_path, ipc={}, **{which: key})

    def connect() -> None:
        for timeout in PATIENCES:
            # A client that has not been answered at all yet knows nothing of keys.
            with suppress(HubUnavailable):
                Client(file, timeout=timeout)

    with pytest.raises(AuthenticationError, match=r"key.*connection file|connection file.*key"):
        connect()


def test_an_engine_with_a_wrong_key(profile: Profile, tmp_path: Path) -> None:
    """Its nanny says so, and ends when it has waited for long enough."""
    public, secret = (key.decode() for key in zmq.curve_keypair())
    file = changed(
        profile.connection_engine, tmp_path, ipc={}, enrolment={"public": public, "secret": secret}
    )
    for wait in PATIENCES:
        config = {"connection": str(file), "engines": 1, "logs": str(tmp_path), "wait": wait}
        with subprocess.Popen(
            [sys.executable, "-m", "ctrlhub.engine"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as nanny:
            assert nanny.stdin is not None
            assert nanny.stderr is not None
            nanny.stdin.write(f"{json.dumps(config)}\n")
            nanny.stdin.flush()
            said = nanny.stderr.read()
        if "refused our key" in said:
            break

    assert nanny.returncode == 77
    assert "refused our key" in said
    assert "has not let this nanny in" in said


# ---------------------------------------------------------------- versions


class Stranger:
    """A hand-made peer: one socket, on the stream where peers register."""

    def __init__(self, profile: Profile) -> None:
        info = ConnectionInfo.load(profile.connection_client)
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.connect(info.ipc[Stream.HUB])

    def __enter__(self) -> Stranger:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.destroy(linger=0)

    def ask(self, *frames: bytes) -> Message:
        """Send frames, and return the answer."""
        self._socket.send_multipart(frames)
        assert self._socket.poll(WAIT_MS), "no answer"
        header, *more = self._socket.recv_multipart()
        return decode(header, more)

    def register(self, role: Role, **changes: str) -> Message:
        """Register with other versions than the hub has."""
        registration = Register(
            role=role.value,
            key="a stranger's",
            incarnation=b"stranger",
            pid=1,
            host=platform.node(),
            versions={**versions(), **changes},
        )
        return self.ask(*(bytes(frame) for frame in encode(registration)))


@pytest.mark.parametrize(
    "header",
    [b"\x93\x63\xa8register\x80", b"\x93\x02\xa8register\x80"],
    ids=["protocol 99", "protocol 2"],
)
def test_a_peer_of_another_protocol(profile: Profile, header: bytes) -> None:
    """A clear refusal, whatever the message would be."""
    with Stranger(profile) as stranger:
        answer = stranger.ask(header)

    assert isinstance(answer, Refused)
    assert answer.code == ProtocolMismatch.code
    assert "same major version" in answer.message


@pytest.mark.parametrize(
    "header", [b"", b"\0", b"\xc1" * 100, b"\x93\x01\xa3abc\x80", b"\x93\x01\xa8register\x80"]
)
def test_what_is_no_message(profile: Profile, header: bytes) -> None:
    """It is refused, and the hub serves on."""
    with Stranger(profile) as stranger:
        answer = stranger.ask(header)

    assert isinstance(answer, Refused)
    assert answer.code == "invalid_request"


def test_a_client_of_another_protocol(profile: Profile) -> None:
    """It gets the hub's refusal as an error of its own."""
    result = run_python(OTHER_CLIENT, str(profile.connection_client))

    assert result.returncode == 1
    assert "ProtocolMismatch" in result.stderr.splitlines()[-1]
    assert "same major version" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("role", [Role.ENGINE, Role.ADMIN])
def test_a_peer_with_another_python(profile: Profile, role: Role) -> None:
    """It is refused, with a table of the differences."""
    with Stranger(profile) as stranger:
        answer = stranger.register(role, python="2.7.18")

    assert isinstance(answer, Refused)
    assert answer.code == VersionMismatch.code
    assert "Python 2.7" in answer.message
    assert platform.python_version() in answer.message
    assert "same minor version" in answer.message


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"python": "2.7.18"}, VersionMismatch, "same minor version"),
        ({"protocol": "99"}, ProtocolMismatch, "99"),
    ],
)
def test_a_client_of_other_versions(
    profile: Profile,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, str],
    error: type[Exception],
    text: str,
) -> None:
    """The refusal is its error, at once."""
    monkeypatch.setattr(opening, "versions", lambda: {**versions(), **changes})

    with pytest.raises(error, match=text):
        Client(profile=PROFILE)


def test_an_engine_with_another_python(profile: Profile, tmp_path: Path) -> None:
    """Its nanny ends, and says what the hub said."""
    result = run_python(OTHER_ENGINE, str(profile.connection_engine), str(tmp_path))

    assert result.returncode == 77
    assert "this engine runs Python 2.7" in result.stderr
    assert "same minor version" in result.stderr


# ---------------------------------------------------------------- too many, or none


def test_more_engines_than_the_hub_takes(profile: Profile, command: Command) -> None:
    """They are refused with the reason; those that are there stay."""
    result = command.run("engine", "--connection", str(profile.connection_engine))

    assert result.returncode == Exit.REFUSED
    assert "larger --max-engines" in result.stderr
    with Client(profile=PROFILE) as client:
        assert client.ids == [0]


def test_a_cluster_with_more_engines_than_it_may_have(command: Command) -> None:
    """That is known before anything is started."""
    with pytest.raises(TooManyEngines, match="max_engines=1"):
        Cluster(n=2, max_engines=1)
    result = command.run("start", "-n", "2", "--max-engines", "1", "--profile", "other")
    assert result.returncode == Exit.USAGE
    assert "--max-engines" in result.stderr


def test_no_hub(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One line says how to start one; for a profile too."""
    with pytest.raises(HubNotFound, match=r"profile 'other'.*ctrl-hub start.*--profile other"):
        Client(profile="other")
    monkeypatch.setenv("CTRLHUB_STATE_DIR", str(tmp_path))
    with pytest.raises(HubNotFound, match=r"no hub is running.*`ctrl-hub start -n 4`"):
        Client()
    result = command.run("status", "--profile", "other")
    assert result.returncode == Exit.NOT_RUNNING
    assert "ctrl-hub start" in result.stderr
