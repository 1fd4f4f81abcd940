"""The connection file: what a peer must know to reach a hub, and be let in.

There is one for each role, since each role has an enrolment key of its own. Over ``ipc://`` the
kernel already tells users apart and no keys are used; addresses of that kind mean something only
to the same user on the same running system, so the file says where it was written, and a reader
elsewhere (on another node with the same home, for instance) takes TCP with CURVE or is told that
the hub does not listen for it.

The file holds secrets: it is written 0600, and one that others could have read is not believed.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from ctrlhub.wire.addresses import port_of
from ctrlhub.wire.errors import ConnectionFileError, HubNotFound
from ctrlhub.wire.messages import Role, Stream
from ctrlhub.wire.private import (
    NO_UID,
    StateError,
    check_private_dir,
    read_private,
    this_uid,
    write_private,
)
from ctrlhub.wire.security import KEY_ROLES, KeyPair, is_key
from ctrlhub.wire.ssh import SSHServer

FORMAT = 1
"""The version of the file's format; another one is refused."""
MAX_BYTES = 64 * 1024
"""The size (bytes) beyond which a file is none of ours."""
MAX_TEXT = 255
"""The longest text in it (characters), addresses and keys included."""

T = TypeVar("T")


class Route(NamedTuple):
    """How to reach a hub from here: an address for each stream, and whether they are CURVE."""

    addresses: Mapping[Stream, str]
    uses_curve: bool


@dataclass(frozen=True, slots=True)
class Here:
    """Where a process runs, as far as ``ipc://`` is concerned.

    Parameters
    ----------
    boot_id
        Names this run of the system's kernel; empty where the kernel has no such name.
    uid
        The user; -1 where there are none.
    host
        The host's name.
    """

    boot_id: str
    uid: int
    host: str

    @classmethod
    def find(cls) -> Here:
        """Find out where this process runs."""
        return cls(_boot_id(), this_uid(), platform.node())

    def reaches(self, other: Here) -> bool:
        """Say whether processes at both places see the same sockets."""
        if self.uid != other.uid or self.boot_id != other.boot_id:
            return False
        return self.boot_id != "" or self.host == other.host


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionInfo:
    """What the connection file of one role says.

    Parameters
    ----------
    profile
        The name of the hub's profile.
    role
        Whose file it is: a client's or an engine's.
    epoch
        Names this life of the hub.
    hub_pid, hub_started
        Its process, and when it began (Unix time, seconds).
    boot_id, uid, host
        Where it runs: see `Here`.
    python, package
        The hub's versions of Python and of ctrl-hub.
    ipc, tcp
        An address for each stream it serves; empty where it does not listen that way.
    bulk
        Where it takes bulk connections, of those that came over TCP; empty where it takes none.
    server_key
        The hub's public key; empty without TCP.
    enrolment
        The key pair that lets a peer of this role enrol; None without TCP.
    ssh
        The ssh server through which peers on other machines reach the hub; empty for none.
    file
        Where this was read; None if it was no file. Not part of what the file says.
    """

    profile: str
    role: Role
    epoch: str
    hub_pid: int
    hub_started: float
    boot_id: str
    uid: int
    host: str
    python: str
    package: str
    ipc: Mapping[Stream, str] = field(default_factory=dict)
    tcp: Mapping[Stream, str] = field(default_factory=dict)
    bulk: str = ""
    server_key: str = ""
    enrolment: KeyPair | None = None
    ssh: str = ""
    file: Path | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for name in ("profile", "epoch", "boot_id", "host", "python", "package"):
            _check_text(name, getattr(self, name))
        if self.role not in KEY_ROLES:
            raise ValueError(f"role {self.role.value!r} has no connection file")
        if not 0 < self.hub_pid < 1 << 31 or not NO_UID <= self.uid < 1 << 32:
            raise ValueError("hub_pid or uid is not one")
        if not (math.isfinite(self.hub_started) and self.hub_started >= 0):
            raise ValueError("hub_started is not a time")
        for scheme in ("ipc", "tcp"):
            addresses = getattr(self, scheme)
            _check_addresses(scheme, addresses)
            object.__setattr__(self, scheme, MappingProxyType(dict(addresses)))
        _check_text("bulk", self.bulk)
        if self.bulk and not (self.tcp and _is_tcp(self.bulk)):
            raise ValueError("bulk does not name a host and a port, beside TCP addresses")
        if self.server_key and not is_key(self.server_key):
            raise ValueError("server_key is not a CURVE key")
        if self.ssh:
            SSHServer.parse(self.ssh)
        if self.tcp and not (self.server_key and self.enrolment):
            raise ValueError("TCP addresses need the hub's key and an enrolment key")

    def is_here(self) -> bool:
        """Tell whether the hub's sockets are here: no other way is needed then."""
        return bool(self.ipc) and Here.find().reaches(self._home()) and self._sockets_are_visible()

    def addresses_here(self, here: Here | None = None) -> Route:
        """Choose how to reach the hub from here.

        Raises
        ------
        HubNotFound
            If it does not listen for this place.
        StateError
            If the directory of its sockets is not as private as it must be.
        """
        reachable = bool(self.ipc) and (here or Here.find()).reaches(self._home())
        if reachable and self._sockets_are_visible():
            return Route(self.ipc, uses_curve=False)
        if self.tcp:
            return Route(self.tcp, uses_curve=True)
        advice = "start it with `ctrl-hub start --listen ADDRESS` to reach it from here"
        if reachable:
            raise HubNotFound(
                f"the sockets of the hub of profile {self.profile!r} are not in {self._socket_dir()}"
                f" as seen from here: the hub has ended, or runs in another container; {advice}"
            )
        raise HubNotFound(
            f"the hub of profile {self.profile!r} listens only to uid {self.uid} on host"
            f" {self.host!r} as it was booted then: {advice}"
        )

    def write(self, path: Path) -> None:
        """Write the file: 0600 from its creation, and never seen half-written.

        Raises
        ------
        StateError
            If it cannot be written.
        """
        write_private(path, self._to_json(indent=2).encode())

    @classmethod
    def load(cls, path: Path) -> ConnectionInfo:
        """Read a file that must be ours, closed to others, and a connection file.

        Raises
        ------
        ConnectionFileError
            If it is not; the message says what to do.
        """
        try:
            data = read_private(path, MAX_BYTES)
        except FileNotFoundError:
            raise ConnectionFileError(
                f"there is no connection file {path}: start a hub with `ctrl-hub start`, or name "
                "the profile or the file of a running one"
            ) from None
        except StateError as error:
            raise ConnectionFileError(str(error)) from error
        try:
            return replace(_parse(data), file=path.absolute())
        except ValueError as error:
            raise ConnectionFileError(
                f"{path} is not a usable connection file: {error}; `ctrl-hub stop` and "
                "`ctrl-hub start` write a new one"
            ) from None

    def to_token(self) -> str:
        """Write the same as one word, secrets included, for a private channel."""
        return base64.urlsafe_b64encode(self._to_json(indent=None).encode()).decode("ascii")

    @classmethod
    def from_token(cls, token: str) -> ConnectionInfo:
        """Read what `to_token` wrote.

        Raises
        ------
        ConnectionFileError
            If it is something else.
        """
        try:
            if len(token) > 2 * MAX_BYTES:
                raise ValueError("it is too long")
            return _parse(base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True))
        except (ValueError, binascii.Error) as error:
            reason = "it was cut or changed" if isinstance(error, binascii.Error) else error
            raise ConnectionFileError(
                f"this is not a usable connection token: {reason}; take a new one from the hub"
            ) from None

    def _home(self) -> Here:
        return Here(self.boot_id, self.uid, self.host)

    def _socket_dir(self) -> Path:
        return Path(self.ipc[Stream.HUB].removeprefix("ipc://")).parent

    def _sockets_are_visible(self) -> bool:
        # Nothing but its place tells our hub's socket from another's: a directory that anyone
        # else could have made, or made for us, would hand our session to them.
        directory = self._socket_dir()
        try:
            check_private_dir(directory.parent)
            check_private_dir(directory)
        except FileNotFoundError:
            return False
        return True

    def _to_json(self, indent: int | None) -> str:
        data: dict[str, Any] = {"format": FORMAT}
        for each in fields(self):
            data[each.name] = getattr(self, each.name)
        del data["file"]
        data["ipc"] = {stream.value: address for stream, address in self.ipc.items()}
        data["tcp"] = {stream.value: address for stream, address in self.tcp.items()}
        data["enrolment"] = self.enrolment.to_mapping() if self.enrolment else None
        return json.dumps(data, indent=indent)


def _parse(text: bytes) -> ConnectionInfo:
    if not text.strip():
        raise ValueError("it is empty")
    try:
        data = json.loads(text.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("it is not text") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON ({error})") from None
    if not isinstance(data, dict):
        raise ValueError("it is not a JSON object")
    found = _take(data, "format", int)
    if found != FORMAT:
        raise ValueError(f"it has format {found} and this version of ctrl-hub reads {FORMAT}")
    pair = _take(data, "enrolment", object)
    return ConnectionInfo(
        profile=_take(data, "profile", str),
        role=_role(_take(data, "role", str)),
        epoch=_take(data, "epoch", str),
        hub_pid=_take(data, "hub_pid", int),
        hub_started=_time(_take(data, "hub_started", object)),
        boot_id=_take(data, "boot_id", str),
        uid=_take(data, "uid", int),
        host=_take(data, "host", str),
        python=_take(data, "python", str),
        package=_take(data, "package", str),
        ipc=_addresses(_take(data, "ipc", dict)),
        tcp=_addresses(_take(data, "tcp", dict)),
        bulk=_take({"bulk": "", **data}, "bulk", str),
        server_key=_take(data, "server_key", str),
        enrolment=None if pair is None else KeyPair.from_mapping(pair),
        ssh=_take(data, "ssh", str) if "ssh" in data else "",  # younger than the format
    )


def _take(data: dict[str, Any], name: str, kind: type[T]) -> T:
    if name not in data:
        raise ValueError(f"{name!r} is missing")
    value = data[name]
    # JSON's true is no number, though Python's True is.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        raise ValueError(f"{name!r} is of the wrong type")
    return value


def _time(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("'hub_started' is of the wrong type")
    try:
        return float(value)
    except OverflowError:
        raise ValueError("hub_started is not a time") from None


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise ValueError("'role' is none of the known ones") from None


def _addresses(data: dict[str, Any]) -> dict[Stream, str]:
    known = {stream.value: stream for stream in Stream}
    # A newer hub may serve a stream that this version has no name for.
    return {known[name]: address for name, address in data.items() if name in known}


def _check_text(name: str, value: object) -> None:
    # These are shown on terminals and in logs.
    if not isinstance(value, str) or len(value) > MAX_TEXT or not value.isprintable():
        raise ValueError(f"{name!r} is not a plain text of at most {MAX_TEXT} characters")


def _check_addresses(scheme: str, addresses: Mapping[Stream, str]) -> None:
    for stream, address in addresses.items():
        _check_text(f"{scheme} address of {stream.value}", address)
        if not address.startswith(f"{scheme}://"):
            raise ValueError(f"the {scheme} address of {stream.value} does not begin with it")
        if scheme == "ipc" and not os.path.isabs(address.removeprefix("ipc://")):
            raise ValueError(f"the ipc address of {stream.value} is not an absolute path")
        if scheme == "tcp" and not _is_tcp(address):
            raise ValueError(f"the tcp address of {stream.value} does not name a host and a port")
    if addresses and Stream.HUB not in addresses:
        raise ValueError(f"there is no {scheme} address of the hub stream")


def _is_tcp(address: str) -> bool:
    try:
        return port_of(address) > 0
    except ValueError:
        return False


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read(64).strip()
    except OSError:
        return ""
