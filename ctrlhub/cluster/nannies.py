"""``nannies/PID.json``: what each ``ctrl-hub engine`` leaves for ``ctrl-hub stop``.

A hub that lives tells its engines to end. One that was killed tells nobody, and engines wait for
another hub as long as their lease lasts: so `stop` must know of those that no supervisor started.
"""

from __future__ import annotations

import json
import os
import platform
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ctrlhub.cluster.processes import KnownProcess
from ctrlhub.wire.places import Profile
from ctrlhub.wire.private import StateError, make_private_dir, read_private, write_private

_MAX_BYTES = 4096


@dataclass(frozen=True, slots=True)
class NannyRecord:
    """A nanny that was started by hand.

    Parameters
    ----------
    process
        The nanny.
    host
        Where it runs.
    """

    process: KnownProcess
    host: str = field(default_factory=platform.node)

    @classmethod
    def load(cls, path: Path) -> NannyRecord | None:
        """Read it; None where there is nothing that could be one."""
        try:
            data = json.loads(read_private(path, _MAX_BYTES))
            process = data["process"]
            known = KnownProcess(int(process["pid"]), str(process["birth"]))
            return cls(known, str(data["host"]))
        except (FileNotFoundError, StateError, ValueError, TypeError, KeyError):
            return None


@contextmanager
def recorded(profile: Profile) -> Iterator[None]:
    """Let this process be known as a nanny of the profile, while the context lasts."""
    make_private_dir(profile.nannies)
    path = profile.nannies / f"{os.getpid()}.json"
    record = NannyRecord(KnownProcess.find(os.getpid()))
    write_private(path, json.dumps(asdict(record)).encode() + b"\n")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def end_nannies(profile: Profile, patience: float) -> tuple[list[int], list[int]]:
    """End the recorded nannies that run on this host, and remove their records.

    Returns
    -------
    tuple
        The pids of those that were alive and have ended, and of those that could not be ended.
    """
    here = platform.node()
    ended: list[int] = []
    stayed: list[int] = []
    for path in sorted(profile.nannies.glob("*.json")):
        record = NannyRecord.load(path)
        if record is not None and record.host != here:
            continue
        if record is not None and record.process.is_alive():
            if not record.process.end(patience, signal.SIGINT):  # at once: SIGTERM lets them finish
                stayed.append(record.process.pid)
                continue
            ended.append(record.process.pid)
        path.unlink(missing_ok=True)
    return ended, stayed


def profile_of(connection: Path, profile: Profile) -> Profile | None:
    """Tell which profile, of the same state directory, a connection file belongs to; if any."""
    directory = connection.parent
    if directory.parent != profile.directory.parent:
        return None  # of a hub elsewhere, which `stop` could not end from here
    return Profile(directory.name, directory)
