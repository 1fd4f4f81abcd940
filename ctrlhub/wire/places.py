"""Where the state of a profile lives, and where its sockets do.

State stands in the user's state directory, one private directory for each profile, and may be
shared by hosts that share a home. Sockets belong to one running system, and their paths must be
short (the address of a Unix socket holds 107 bytes on Linux, fewer elsewhere), so they stand in
the user's runtime directory under a name hashed from the profile's.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ctrlhub.wire.lock import HubLock
from ctrlhub.wire.messages import Role, Stream
from ctrlhub.wire.private import (
    StateError,
    check_private_dir,
    make_private_dir,
    remove_unfinished,
    this_uid,
)
from ctrlhub.wire.security import ENROLMENT_ROLE, KEY_ROLES

DEFAULT_PROFILE = "default"
STATE_VARIABLE = "CTRLHUB_STATE_DIR"
PROFILE_VARIABLE = "CTRLHUB_PROFILE"
"""Names the profile where nobody does."""

MAX_SOCKET_PATH = 107 if sys.platform == "linux" else 103
"""The longest path (bytes) of a Unix socket."""

SOCKET_NAMES: Mapping[Stream, str] = {
    Stream.HUB: "h",
    Stream.MULTIENGINE: "m",
    Stream.TASK: "t",
    Stream.IOPUB: "i",
}

_PROFILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_HASH_DIGITS = 10
_WRITABLE_BY_OTHERS = 0o022


def state_dir() -> Path:
    """Return the directory of all profiles, which may not exist yet.

    ``CTRLHUB_STATE_DIR`` names it; otherwise it is the system's place for a user's state.

    Raises
    ------
    StateError
        If the variable names a home that there is not.
    """
    named = os.environ.get(STATE_VARIABLE)
    if named:
        try:
            return Path(named).expanduser().absolute()
        except RuntimeError as error:
            raise StateError(f"{STATE_VARIABLE}={named}: {error}") from error
    import platformdirs

    return platformdirs.user_state_path("ctrlhub", appauthor=False)


def profile_dir(profile: str, state: Path | None = None) -> Path:
    """Return the directory of a profile, which may not exist yet.

    Raises
    ------
    ValueError
        If the name could not be that of a directory of ours.
    """
    if not _PROFILE_NAME.fullmatch(profile) or ".." in profile:
        raise ValueError(
            f"{profile!r} is not a profile name: use 1 to 64 letters, digits, '_', '-' and single "
            "'.', beginning with a letter or digit"
        )
    return (state or state_dir()).absolute() / "profiles" / profile


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile's name, and the paths that go with it.

    Parameters
    ----------
    name
        Its name.
    directory
        Its directory.
    """

    name: str
    directory: Path

    @classmethod
    def named(cls, name: str = DEFAULT_PROFILE, state: Path | None = None) -> Profile:
        """Return the profile of this name, in the state directory or another one."""
        return cls(name, profile_dir(name, state))

    @property
    def connection_client(self) -> Path:
        """The connection file for clients that may everything."""
        return self.connection(Role.ADMIN)

    @property
    def connection_engine(self) -> Path:
        """The connection file for engines and their nannies."""
        return self.connection(Role.ENGINE)

    @property
    def keys(self) -> Path:
        """The hub's keys, which outlive it."""
        return self.directory / "keys.json"

    @property
    def engine_keys(self) -> Path:
        """The keys of the engines of `ctrl-hub start`, which outlive them."""
        return self.directory / "engine-keys.json"

    @property
    def listening(self) -> Path:
        """Where the hub has listened last, which outlives it."""
        return self.directory / "listening.json"

    @property
    def gateway(self) -> Path:
        """Where the HTTP gateway listens. It outlives a hub that is to be followed by another: that starts one, too."""
        return self.directory / "gateway.json"

    @property
    def gateway_port(self) -> Path:
        """Where the HTTP gateway has listened last, which outlives it."""
        return self.directory / "gateway-port.json"

    @property
    def gateway_certificate(self) -> Path:
        """Key and TLS certificate that the HTTP gateway has made itself, if it needed one."""
        return self.directory / "gateway.pem"

    @property
    def tokens(self) -> Path:
        """The tokens of the HTTP gateway, which outlive it."""
        return self.directory / "tokens.json"

    @property
    def lock(self) -> Path:
        """The file of the lock that a running hub holds."""
        return self.directory / "lock"

    @property
    def supervisor(self) -> Path:
        """What `ctrl-hub start` left for `ctrl-hub stop`."""
        return self.directory / "supervisor.json"

    @property
    def nannies(self) -> Path:
        """Where each `ctrl-hub engine` leaves its record for `ctrl-hub stop`."""
        return self.directory / "nannies"

    @property
    def sets(self) -> Path:
        """Where sets of engines are recorded, those of batch systems and other hosts included."""
        return self.directory / "sets"

    @property
    def cluster(self) -> Path:
        """What a running `Cluster` says of itself to other processes."""
        return self.directory / "cluster.json"

    @property
    def grown(self) -> Path:
        """Where elastic nannies leave which engines they have."""
        return self.directory / "grown"

    @property
    def store(self) -> Path:
        """The directory of the hub's store, if it keeps one here."""
        return self.directory / "store"

    @property
    def logs(self) -> Path:
        """The directory of log files."""
        return self.directory / "logs"

    def connection(self, role: Role) -> Path:
        """Return the connection file for peers of a role."""
        kind = ENROLMENT_ROLE[role]
        return self.directory / f"connection-{'client' if kind is Role.ADMIN else kind.value}.json"

    def make(self) -> None:
        """Make the directories, closed to others.

        Raises
        ------
        StateError
            If that cannot be.
        """
        make_private_dir(self.directory)
        make_private_dir(self.logs)

    def hub_lock(self) -> HubLock:
        """Return the profile's lock, not yet taken."""
        return HubLock(self.lock, self.name)

    def owner_lock(self) -> HubLock:
        """Return the lock of who started hub and engines together, not yet taken."""
        return HubLock(self.directory / "owner.lock", self.name)

    def supervisor_lock(self) -> HubLock:
        """Return the lock of the profile's supervisor, not yet taken."""
        return HubLock(self.directory / "supervisor.lock", self.name)

    def clear(self) -> None:
        """Remove what speaks of a running hub: for its end, or after one that was killed.

        Keys and logs stay. The caller holds the lock, or knows that nobody does.
        """
        for path in (*map(self.connection, KEY_ROLES), self.supervisor, self.cluster, self.gateway):
            path.unlink(missing_ok=True)
        for path in self.grown.glob("*"):
            path.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            self.grown.rmdir()
        remove_unfinished(self.directory)


def known_profiles(state: Path | None = None) -> Iterator[Profile]:
    """Yield the profiles that have a directory, by name."""
    root = profile_dir(DEFAULT_PROFILE, state).parent
    if not root.is_dir():
        return
    for directory in sorted(root.iterdir()):
        if directory.is_dir() and _PROFILE_NAME.fullmatch(directory.name):
            yield Profile(directory.name, directory)


def socket_dir(profile: Path) -> Path:
    """Make the private directory for the sockets of a profile, and return it.

    It stands in ``$XDG_RUNTIME_DIR`` if that is the user's own, else in the temporary directory;
    the same profile gets the same one again.

    Parameters
    ----------
    profile
        The profile's directory.

    Raises
    ------
    StateError
        If no place is both safe and short; the message says what was wrong with each.
    """
    refused = []
    for directory in socket_dirs(profile):
        try:
            _check_place(directory)
            make_private_dir(directory.parent)
            make_private_dir(directory)
        except StateError as error:
            refused.append(f"{error}")
        else:
            return directory
    reasons = "; ".join(refused)
    raise StateError(f"no place for the hub's sockets: {reasons}; set XDG_RUNTIME_DIR or TMPDIR")


def socket_places(profile: Path) -> Iterator[tuple[Path, str]]:
    """Yield the places of `socket_dirs`, and of each why it cannot be used; nothing is made.

    The reason is empty where it can.
    """
    for directory in socket_dirs(profile):
        try:
            _check_place(directory)
            for made in (directory.parent, directory):
                with suppress(FileNotFoundError):
                    check_private_dir(made)
        except StateError as error:
            yield directory, str(error)
        else:
            yield directory, ""


def _check_place(directory: Path) -> None:
    _check_length(directory)
    _check_ground(directory.parent.parent)


def socket_dirs(profile: Path) -> Iterator[Path]:
    """Yield the places where `socket_dir` may make that of a profile, the best first."""
    import hashlib

    digest = hashlib.sha256(os.fsencode(os.path.realpath(profile))).hexdigest()[:_HASH_DIGITS]
    for base in _socket_bases():
        yield base / digest


def socket_roots() -> Iterator[Path]:
    """Yield the directories in which those of `socket_dir` stand, for this user."""
    yield from _socket_bases()


def ipc_addresses(directory: Path) -> dict[Stream, str]:
    """Return the address of each stream in a directory of `socket_dir`."""
    return {stream: f"ipc://{directory / name}" for stream, name in SOCKET_NAMES.items()}


def remove_sockets(directory: Path) -> None:
    """Remove the sockets of a hub that has ended, and their directories if nothing else is there.

    The caller holds the profile's lock, or knows that nobody does.

    Raises
    ------
    StateError
        If the directory is not ours alone.
    """
    try:
        check_private_dir(directory)
    except FileNotFoundError:
        return
    for name in SOCKET_NAMES.values():
        path = directory / name
        with suppress(FileNotFoundError):
            if stat.S_ISSOCK(os.lstat(path).st_mode):
                path.unlink()
    # Not empty: something that is not ours to remove, or another profile's sockets.
    with suppress(OSError):
        directory.rmdir()
        directory.parent.rmdir()


def _socket_bases() -> Iterator[Path]:
    import tempfile

    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime) and _is_ours(Path(runtime)):
        yield Path(runtime) / "ctrlhub"
    temporary = Path(tempfile.gettempdir()).absolute()
    yield temporary / f"ctrlhub-{this_uid()}"
    # TMPDIR may be long; this one is not.
    if os.name == "posix" and temporary != Path("/tmp"):
        yield Path(f"/tmp/ctrlhub-{this_uid()}")


def _is_ours(directory: Path) -> bool:
    """Say so: `su` and `sudo` leave another user's runtime directory in the environment."""
    try:
        return os.stat(directory).st_uid == this_uid()
    except OSError:
        return False


def _check_length(directory: Path) -> None:
    longest = max(len(os.fsencode(directory / name)) for name in SOCKET_NAMES.values())
    if longest > MAX_SOCKET_PATH:
        raise StateError(
            f"{directory} is too long (sockets there have {longest} bytes of path, "
            f"of at most {MAX_SOCKET_PATH})"
        )


def _check_ground(directory: Path) -> None:
    """Refuse a directory in which others could replace ours: writable and not sticky."""
    try:
        found = os.stat(directory)
    except OSError as error:
        raise StateError(f"cannot look at {directory}: {error.strerror}") from error
    if found.st_mode & _WRITABLE_BY_OTHERS and not found.st_mode & stat.S_ISVTX:
        raise StateError(f"others can rename what is in {directory}")
