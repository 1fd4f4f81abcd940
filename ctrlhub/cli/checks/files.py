"""Files and directories: whose they are, who may read them, where they stand, and whether there is room."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from ctrlhub.cli.checks.finding import Finding, ok, size, warning, wrong
from ctrlhub.wire.places import Profile, socket_places
from ctrlhub.wire.private import this_uid

LITTLE, FULL = 1 << 30, 64 << 20
"""Less room (bytes) than the first is little, and less than the other none."""


def files(profile: Profile, store: str) -> Iterator[Finding]:
    """Look at the files of a profile.

    Parameters
    ----------
    profile
        The profile, which may not be there yet.
    store
        Where the hub's store is, as its configuration says.
    """
    root = profile.directory.parent.parent
    yield directory("state directory", root)
    yield from modes(profile)
    yield sockets(profile)
    place = store_directory(profile, store)
    if place is not None:
        yield from room(place)


def existing(path: Path) -> Path:
    """Return the directory that is there, of a path of which the end may be missing."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def directory(about: str, path: Path) -> Finding:
    """Judge a directory that is written to; it may be made yet."""
    there = existing(path)
    shown = f"{path}" if there == path else f"{path} (to be made)"
    if not there.is_dir():
        return wrong(about, f"{there} is no directory", "move it away, or set CTRLHUB_STATE_DIR")
    if not os.access(there, os.W_OK | os.X_OK):
        return wrong(about, f"{shown}: {there} cannot be written", f"`ls -ld {there}` says whose it is; or set CTRLHUB_STATE_DIR")
    return ok(about, shown)


def modes(profile: Profile) -> Iterator[Finding]:
    """Look whether what is private is: keys, connection files, records, and the directories they are in."""
    if os.name != "posix":
        return
    troubles = []
    count = 0
    secret = (profile.directory, profile.logs, profile.nannies, profile.sets)
    for path in (*secret, *sorted(profile.directory.glob("*.json")), profile.gateway_certificate, profile.directory / "config.toml"):
        try:
            about = path.lstat()
        except FileNotFoundError:
            continue
        count += 1
        trouble = mode_trouble(path, about.st_mode, about.st_uid, this_uid())
        if trouble is not None:
            troubles.append(trouble)
    if troubles:
        yield from troubles
    elif count:
        yield ok("keys and modes", f"{count} files and directories of profile {profile.name} are this user's alone")
    else:
        yield ok("keys and modes", f"profile {profile.name} has no files yet")


def mode_trouble(path: Path, mode: int, owner: int, user: int) -> Finding | None:
    """Judge who may read or write a private file or directory; None if that is as it should be."""
    if stat.S_ISLNK(mode):
        return wrong("keys and modes", f"{path} is a link", "put the file itself there: links are not followed")
    if owner != user:
        return wrong("keys and modes", f"{path} belongs to user {owner}", f"`chown {user} {path}`, or use another state directory")
    if mode & 0o077:
        wanted = "700" if stat.S_ISDIR(mode) else "600"
        return wrong(
            "keys and modes",
            f"{path} is open to others (mode {stat.S_IMODE(mode):o})",
            f"`chmod {wanted} {path}`; if somebody may have read keys.json, stop the cluster and remove it: the next start makes others",
        )
    return None


def sockets(profile: Profile) -> Finding:
    """Look for a place for sockets: it must be private, and its path short."""
    reasons = []
    for place, why in socket_places(profile.directory):
        if not why:
            return ok("runtime directory", f"{place.parent}")
        reasons.append(why)
    return wrong("runtime directory", "; ".join(reasons), "set XDG_RUNTIME_DIR or TMPDIR to a private directory with a short path")


def store_directory(profile: Profile, store: str) -> Path | None:
    """Return the directory of a store; None for one that has none."""
    kind, _, place = store.partition(":")
    if kind != "sqlite":
        return None
    return Path(place) if place else profile.store


def room(place: Path) -> Iterator[Finding]:
    """Look where a store stands, and how much room there is."""
    from ctrlhub.controller.stores.file_systems import network_kind

    there = existing(place)
    kind = network_kind(there)
    if kind:
        yield wrong(
            "store",
            f"{place} is on a network file system ({kind})",
            "SQLite is not safe there: `--store sqlite:DIRECTORY` on a local disk, postgresql://..., or memory",
        )
    else:
        yield ok("store", f"{place}, on a local file system")
    yield disk(there, shutil.disk_usage(there).free)


def disk(there: Path, free: int) -> Finding:
    """Judge how much room there is for the store, and for logs."""
    shown = f"{size(free)} free on the file system of {there}"
    if free < FULL:
        return wrong("disk", shown, "make room: the hub refuses requests while it cannot store them")
    if free < LITTLE:
        return warning("disk", shown, "make room, or put the store elsewhere: --store sqlite:DIRECTORY")
    return ok("disk", shown)
