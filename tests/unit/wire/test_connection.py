"""The connection file."""

from __future__ import annotations

import base64
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.wire.connection import MAX_BYTES, ConnectionInfo, Here
from ctrlhub.wire.errors import ConnectionFileError, HubNotFound
from ctrlhub.wire.messages import Role, Stream
from ctrlhub.wire.places import ipc_addresses
from ctrlhub.wire.private import StateError, make_private_dir
from ctrlhub.wire.security import KeyPair

SERVER = KeyPair.generate()
ENROLMENT = KeyPair.generate()
HERE = Here(boot_id="boot-1", uid=1000, host="one")
TCP = {stream: f"tcp://10.0.0.1:{port}" for port, stream in enumerate(Stream, 5000)}


def info(**changes: Any) -> ConnectionInfo:
    """What a hub without TCP writes for clients."""
    values: dict[str, Any] = {
        "profile": "default",
        "role": Role.ADMIN,
        "epoch": "c0ffee",
        "hub_pid": 4321,
        "hub_started": 1.5e9,
        "boot_id": HERE.boot_id,
        "uid": HERE.uid,
        "host": HERE.host,
        "python": "3.11.7",
        "package": "0.1.0",
        "ipc": ipc_addresses(Path("/run/user/1000/ctrlhub/0123456789")),
    }
    return ConnectionInfo(**values | changes)


def with_tcp(**changes: Any) -> ConnectionInfo:
    """What a hub that listens on TCP too writes for clients."""
    listening = {"tcp": TCP, "server_key": SERVER.public, "enrolment": ENROLMENT}
    return info(**listening | changes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file goes."""
    return tmp_path / "connection-client.json"


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A private directory for sockets in a private directory, its path short."""
    with tempfile.TemporaryDirectory(prefix="ctrlhub-test-") as base:
        make_private_dir(Path(base) / "0123456789")
        yield Path(base) / "0123456789"


def write_raw(path: Path, text: bytes | str) -> None:
    """Write a private file with any content."""
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(0o600)


def as_data(written: ConnectionInfo, path: Path) -> dict[str, Any]:
    """The JSON object that a file holds."""
    written.write(path)
    data: dict[str, Any] = json.loads(path.read_bytes())
    return data


class TestFile:
    @pytest.mark.parametrize(
        "written",
        [info(), with_tcp(), with_tcp(ipc={}), info(ipc={}), info(role=Role.ENGINE, uid=-1)],
        ids=["ipc", "both", "tcp", "none", "engine"],
    )
    def test_comes_back_as_it_was_written(self, path: Path, written: ConnectionInfo) -> None:
        """Every field, with its type."""
        written.write(path)
        read = ConnectionInfo.load(path)

        assert written == read
        assert all(type(stream) is Stream for stream in (*read.ipc, *read.tcp))

    def test_is_private_whatever_the_umask(self, path: Path) -> None:
        """It holds a secret key."""
        before = os.umask(0)
        try:
            with_tcp().write(path)
        finally:
            os.umask(before)

        assert path.stat().st_mode & 0o777 == 0o600
        assert ENROLMENT.secret in path.read_text()

    def test_replaces_an_older_one_and_leaves_nothing_else(self, path: Path) -> None:
        """A hub that is started again writes it anew."""
        info(epoch="old").write(path)
        info(epoch="new").write(path)

        assert ConnectionInfo.load(path).epoch == "new"
        assert os.listdir(path.parent) == [path.name]

    def test_no_text_shows_the_secret(self) -> None:
        """It may be logged."""
        assert ENROLMENT.secret not in f"{with_tcp()!r} {with_tcp()}"

    def test_cannot_be_changed(self) -> None:
        """Nor through the mappings it was made from."""
        given_addresses = dict(TCP)
        made = with_tcp(tcp=given_addresses)
        given_addresses.clear()

        assert dict(TCP) == dict(made.tcp)

    def test_a_missing_one_says_how_to_start_a_hub(self, path: Path) -> None:
        """The most frequent error has the most useful message."""
        with pytest.raises(ConnectionFileError, match=f"no connection file {path}.*ctrl-hub start"):
            ConnectionInfo.load(path)

    def test_an_exposed_one_says_how_to_close_it(self, path: Path) -> None:
        """Others could have read it."""
        info().write(path)
        path.chmod(0o644)

        with pytest.raises(ConnectionFileError, match=f"mode 0644.*chmod 600 {path}"):
            ConnectionInfo.load(path)

    def test_another_users_is_refused(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever wrote it could have any hub run our code."""
        info().write(path)
        monkeypatch.setattr("ctrlhub.wire.private.this_uid", lambda: 54321)

        with pytest.raises(ConnectionFileError, match="belongs to uid"):
            ConnectionInfo.load(path)

    def test_a_link_a_fifo_and_a_directory_are_refused(self, path: Path, tmp_path: Path) -> None:
        """And none of them makes the reader wait."""
        info().write(tmp_path / "real")
        path.symlink_to(tmp_path / "real")
        with pytest.raises(ConnectionFileError, match="symbolic link"):
            ConnectionInfo.load(path)
        path.unlink()
        os.mkfifo(path, 0o600)
        with pytest.raises(ConnectionFileError, match="not a regular file"):
            ConnectionInfo.load(path)
        path.unlink()
        path.mkdir(mode=0o700)
        with pytest.raises(ConnectionFileError, match="not a regular file"):
            ConnectionInfo.load(path)

    def test_a_huge_one_is_refused(self, path: Path) -> None:
        """Whatever it begins with."""
        info().write(path)
        os.truncate(path, MAX_BYTES + 1)

        with pytest.raises(ConnectionFileError, match="larger than"):
            ConnectionInfo.load(path)

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("", "empty"),
            (" \n", "empty"),
            ("{", "not JSON"),
            ("nonsense", "not JSON"),
            ("[]", "not a JSON object"),
            ("null", "not a JSON object"),
            ("[" * 60_000, "nested too deeply"),
            (b"\xff\xfe{}", "not text"),
            ('{"format": NaN}', "NaN"),
            ("{}", "'format' is missing"),
            ('{"format": 2}', "format 2.*reads 1"),
            ('{"format": "1"}', "'format' is of the wrong type"),
            ('{"format": true}', "'format' is of the wrong type"),
            ('{"format": ' + "1" * 5000 + "}", "4300 digits"),
        ],
    )
    def test_anything_else_is_refused_with_its_reason(
        self, path: Path, text: str | bytes, reason: str
    ) -> None:
        """The message names the file, what is wrong, and what to do."""
        write_raw(path, text)

        pattern = re.compile(f"{path} is not a usable.*{reason}.*ctrl-hub start", re.DOTALL)
        with pytest.raises(ConnectionFileError, match=pattern):
            ConnectionInfo.load(path)

    def test_every_field_is_required(self, path: Path) -> None:
        """One that is missing is named, but for one that is younger than the format."""
        data = as_data(with_tcp(), path)
        del data["bulk"]  # so a hub without it can be reached
        assert data.pop("ssh") == ""
        write_raw(path, json.dumps(data))
        assert ConnectionInfo.load(path).ssh == ""
        for name in data:
            write_raw(path, json.dumps({key: data[key] for key in data if key != name}))
            with pytest.raises(ConnectionFileError, match=f"{name!r} is missing"):
                ConnectionInfo.load(path)

    def test_every_field_has_its_type(self, path: Path) -> None:
        """One of another type is named; true is no number."""
        data = as_data(with_tcp(), path)
        wrongs: list[object] = [True, [1], [[]]]
        for name in data:
            for wrong in wrongs:
                write_raw(path, json.dumps(data | {name: wrong}))
                with pytest.raises(ConnectionFileError, match=r"wrong type|key pair"):
                    ConnectionInfo.load(path)

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"role": "viewer"}, "'role' is none"),
            ({"role": "nanny"}, "'nanny' has no connection file"),
            ({"hub_pid": 0}, "hub_pid"),
            ({"hub_pid": -1}, "hub_pid"),
            ({"hub_pid": 1 << 31}, "hub_pid"),
            ({"uid": -2}, "uid"),
            ({"hub_started": -1}, "not a time"),
            ({"hub_started": 10**400}, "not a time"),
            ({"host": "a\x1b[31mb"}, "'host' is not a plain text"),
            ({"host": "x" * 256}, "'host' is not a plain text"),
            ({"profile": "\ud800"}, "'profile' is not a plain text"),
            ({"ipc": {"hub": 1}}, "ipc address of hub"),
            ({"ipc": {"hub": "tcp://127.0.0.1:1"}}, "ipc address of hub"),
            ({"ipc": {"hub": "ipc://relative"}}, "not an absolute path"),
            ({"ipc": {"hub": "ipc:///a\0b"}}, "ipc address of hub"),
            ({"ipc": {"task": "ipc:///a/t"}}, "no ipc address of the hub stream"),
            ({"tcp": {"hub": "ipc:///a/h"}}, "tcp address of hub"),
            ({"tcp": {"hub": "tcp://host"}}, "a host and a port"),
            ({"tcp": {"hub": "tcp://host:0"}}, "a host and a port"),
            ({"tcp": {"hub": "tcp://host:70000"}}, "a host and a port"),
            ({"tcp": {"hub": "tcp://:5000"}}, "a host and a port"),
            ({"server_key": "short"}, "server_key"),
            ({"server_key": ""}, "need the hub's key"),
            ({"enrolment": None}, "need the hub's key"),
            ({"enrolment": {"public": "x", "secret": "y"}}, "public key"),
        ],
    )
    def test_every_value_is_looked_at(
        self, path: Path, changes: dict[str, Any], reason: str
    ) -> None:
        """Nothing past the loader meets a value it cannot use."""
        write_raw(path, json.dumps(as_data(with_tcp(), path) | changes))

        with pytest.raises(ConnectionFileError, match=reason):
            ConnectionInfo.load(path)

    def test_a_damaged_key_is_not_shown(self, path: Path) -> None:
        """Messages are logged and pasted into issues."""
        write_raw(path, text := json.dumps(as_data(with_tcp(), path))[:-1])
        assert ENROLMENT.secret in text

        with pytest.raises(ConnectionFileError) as caught:
            ConnectionInfo.load(path)
        assert ENROLMENT.secret not in str(caught.value)

    def test_what_a_newer_hub_adds_is_ignored(self, path: Path) -> None:
        """Fields and streams without a name here do no harm."""
        data = as_data(with_tcp(), path)
        data["later"] = {"a": 1}
        data["tcp"]["bulk"] = "tcp://10.0.0.1:6000"
        write_raw(path, json.dumps(data))

        assert with_tcp() == ConnectionInfo.load(path)

    def test_ipv6_is_an_address(self, path: Path) -> None:
        """Brackets and scope stay as ZeroMQ wants them."""
        written = with_tcp(tcp={Stream.HUB: "tcp://[fe80::1%eth0]:5000"})
        written.write(path)

        assert written == ConnectionInfo.load(path)


class TestToken:
    def test_comes_back_as_it_was_written(self) -> None:
        """One word, safe in an environment variable."""
        token = with_tcp().to_token()

        assert with_tcp() == ConnectionInfo.from_token(token)
        assert re.fullmatch("[A-Za-z0-9_-]+=*", token)

    def test_a_cut_one_is_refused(self) -> None:
        """Wherever it was cut."""
        token = with_tcp().to_token()
        for end in range(0, len(token) - 4, 7):
            with pytest.raises(ConnectionFileError, match="take a new one"):
                ConnectionInfo.from_token(token[:end])

    def test_one_with_something_in_between_is_refused(self) -> None:
        """A token that was wrapped or quoted on its way is not guessed at."""
        token = with_tcp().to_token()
        for stray in ("\n", " ", '"', "%3D"):
            with pytest.raises(ConnectionFileError, match="take a new one"):
                ConnectionInfo.from_token(token[:80] + stray + token[80:])

    @given(st.one_of(st.text(max_size=200), st.binary().map(base64.b64encode).map(bytes.decode)))
    def test_any_text_is_refused_by_name(self, text: str) -> None:
        """No text raises anything else."""
        with pytest.raises(ConnectionFileError):
            ConnectionInfo.from_token(text)

    def test_a_huge_one_is_refused(self) -> None:
        """Before anything is made of it."""
        with pytest.raises(ConnectionFileError, match="too long"):
            ConnectionInfo.from_token("A" * (2 * MAX_BYTES + 4))


class TestAddressesHere:
    def test_ipc_at_home(self, sockets: Path) -> None:
        """The same user on the same running system takes ipc, without keys."""
        found = with_tcp(ipc=ipc_addresses(sockets)).addresses_here(HERE)

        assert (ipc_addresses(sockets), False) == (dict(found.addresses), found.uses_curve)

    @pytest.mark.parametrize(
        "elsewhere",
        [replace(HERE, boot_id="boot-2"), replace(HERE, uid=1001), replace(HERE, boot_id="")],
        ids=["another boot", "another user", "a system without boot ids"],
    )
    def test_tcp_elsewhere(self, sockets: Path, elsewhere: Here) -> None:
        """Though the sockets' paths may exist there: they are other sockets."""
        found = with_tcp(ipc=ipc_addresses(sockets)).addresses_here(elsewhere)

        assert (dict(found.addresses), found.uses_curve) == (TCP, True)

    def test_elsewhere_without_tcp_there_is_no_hub(self, sockets: Path) -> None:
        """The message names the host and the option."""
        with pytest.raises(HubNotFound, match=r"host 'one'.*ctrl-hub start --listen"):
            info(ipc=ipc_addresses(sockets)).addresses_here(replace(HERE, boot_id="boot-2"))

    def test_without_boot_ids_the_host_decides(self, sockets: Path) -> None:
        """Two systems that both have no such name are not one."""
        written = with_tcp(ipc=ipc_addresses(sockets), boot_id="")

        assert not written.addresses_here(Here("", HERE.uid, "one")).uses_curve
        assert written.addresses_here(Here("", HERE.uid, "two")).uses_curve

    def test_sockets_that_are_out_of_sight(self, tmp_path: Path) -> None:
        """A container shares the boot and perhaps the home, and not the sockets."""
        hidden = ipc_addresses(tmp_path / "hidden")

        assert with_tcp(ipc=hidden).addresses_here(HERE).uses_curve
        with pytest.raises(HubNotFound, match=r"hidden.*container.*--listen"):
            info(ipc=hidden).addresses_here(HERE)

    @pytest.mark.parametrize("which", ["directory", "its parent"])
    def test_sockets_in_an_open_directory_are_not_trusted(self, sockets: Path, which: str) -> None:
        """Anyone could have put them there, and TCP must not hide that."""
        (sockets if which == "directory" else sockets.parent).chmod(0o755)

        with pytest.raises(StateError, match="open to other users"):
            with_tcp(ipc=ipc_addresses(sockets)).addresses_here(HERE)

    def test_a_hub_without_ipc(self) -> None:
        """Where there is none (Windows), home is reached over TCP too."""
        assert with_tcp(ipc={}).addresses_here(HERE).uses_curve
        with pytest.raises(HubNotFound):
            info(ipc={}).addresses_here(HERE)

    def test_here_is_here(self, sockets: Path) -> None:
        """A process finds itself at home where it wrote the file."""
        here = Here.find()
        home = {"boot_id": here.boot_id, "uid": here.uid, "host": here.host}
        written = info(ipc=ipc_addresses(sockets), **home)

        assert not written.addresses_here().uses_curve


@given(st.binary(max_size=300))
def test_any_bytes_in_the_file_are_refused_by_name(data: bytes) -> None:
    """No content raises anything but the named error."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f"
        write_raw(path, data)
        with pytest.raises(ConnectionFileError):
            ConnectionInfo.load(path)


@given(st.integers(0, 1200), st.integers(0, 255))
def test_any_changed_byte_is_read_or_refused_by_name(place: int, byte: int) -> None:
    """Damage anywhere never raises anything but the named error."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f"
        with_tcp().write(path)
        data = bytearray(path.read_bytes())
        data[place % len(data)] = byte
        write_raw(path, bytes(data))
        with suppress(ConnectionFileError):
            ConnectionInfo.load(path)
