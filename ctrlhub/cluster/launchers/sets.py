"""The sets of engines of a profile: started, found again, and ended together."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ctrlhub.cluster.errors import ClusterError, LauncherError, StopFailed
from ctrlhub.cluster.launchers.base import Launcher, written_below
from ctrlhub.cluster.launchers.parallel import at_once
from ctrlhub.cluster.launchers.records import read_record, save_record
from ctrlhub.cluster.launchers.registry import launcher_named
from ctrlhub.cluster.launchers.spec import EngineSet, Owner
from ctrlhub.cluster.local_nanny import LOCAL_SET
from ctrlhub.cluster.log_options import LogOptions, handed_over
from ctrlhub.cluster.set_names import free_name
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.errors import CtrlHubError, HubNotFound
from ctrlhub.wire.places import Profile

_log = logging.getLogger(__name__)

STOP_PATIENCE = 30.0
"""Seconds that a set has to end in good order."""


@dataclass(frozen=True, slots=True)
class SetRecords:
    """What sets of engines a profile has.

    Parameters
    ----------
    launchers
        One for each set, and part of one, oldest first.
    troubles
        What is wrong with the records that no launcher could be made of.
    """

    launchers: Sequence[Launcher]
    troubles: Sequence[str]

    def named(self, name: str) -> list[Launcher]:
        """Return the parts of a set."""
        return [each for each in self.launchers if name in (each.spec.name, each.spec.key)]


def known_sets(profile: Profile) -> SetRecords:
    """Find the sets of a profile, whoever has started them."""
    launchers: list[Launcher] = []
    troubles: list[str] = []
    for path in profile.sets.glob("*.json"):
        try:
            record = read_record(path)
            kind = launcher_named(record.spec.launcher)
            launchers.append(kind(profile, record.spec, record.handle))
        except FileNotFoundError:  # it was just stopped
            continue
        except (CtrlHubError, ValueError) as error:
            troubles.append(f"{path}: {error}")
    return SetRecords(sorted(launchers, key=lambda each: each.spec.created), troubles)


def make_set(
    profile: Profile,
    launcher: str,
    n: int,
    options: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    owner: Owner = Owner.USER,
    logs: LogOptions | None = None,
) -> Launcher:
    """Make the launcher of a set, and start nothing yet.

    Parameters
    ----------
    profile
        The profile of the hub.
    launcher
        What kind: the name of an entry point.
    n
        How many engines.
    options
        Those of the launcher.
    name
        What the set is called; like its launcher, if not given, and numbered from the second on.
    owner
        Who ends it.
    logs
        How its engines write their logs; by default as the environment says.

    Raises
    ------
    ValueError
        There is no such launcher, it has no such option, or a value is wrong.
    """
    kind = launcher_named(launcher)
    chosen = name or free_name(launcher, (LOCAL_SET, *(path.stem for path in profile.sets.glob("*.json"))))
    environment = handed_over(os.environ, logs or LogOptions())
    return kind(profile, EngineSet(chosen, launcher, n, dict(options or {}), owner=owner, environment=environment))


def start_set(launcher: Launcher) -> None:
    """Start a set.

    Raises
    ------
    HubNotFound
        There is no hub, or it does not listen where the set's engines could reach it.
    ClusterError
        There is a set of this name, or it cannot be started.
    """
    token = engine_token(launcher.profile, launcher.is_remote)
    try:
        launcher.start(token)
    except FileExistsError:
        raise ClusterError(
            f"there is a set {launcher.spec.key!r} already: give another name, or stop it with "
            f"`ctrl-hub engines stop {launcher.spec.name}`"
        ) from None


def start_part(launcher: Launcher, n: int) -> Launcher:
    """Start n more engines of the same kind as a part of a set; return its launcher.

    Raises
    ------
    ClusterError
        They cannot be started, or a set of this kind does not grow.
    """
    if not launcher.can_grow:
        raise ClusterError(
            f"engines {launcher.spec.name!r} of launcher {launcher.name!r} are of one number for good: stop "
            "them, and start as many as you want"
        )
    taken = [each.spec.part for each in known_sets(launcher.profile).named(launcher.spec.name)]
    fresh = EngineSet(
        launcher.spec.name,
        launcher.spec.launcher,
        n,
        launcher.options_to_grow(),
        part=max(taken, default=0) + 1,
        owner=launcher.spec.owner,
        environment=launcher.spec.environment,
    )
    part = type(launcher)(launcher.profile, fresh)
    start_set(part)
    return part


def restart_set(launcher: Launcher) -> Launcher:
    """End a set, or a part of one, and start another in its place; return its launcher."""
    launcher.stop(STOP_PATIENCE)
    return _start_anew(launcher, launcher.spec.n, launcher.spec.part)


def restart_part(launcher: Launcher) -> Launcher | None:
    """Start another in the place of a part that has ended, with as many engines as its set wants.

    Returns
    -------
    Launcher or None
        Of what was started; None if the others are enough, and the part is forgotten.
    """
    parts = known_sets(launcher.profile).named(launcher.spec.name)
    wanted = wanted_of(parts)
    n = launcher.spec.n
    if wanted is not None and launcher.can_grow:
        n = min(n, wanted - sum(each.spec.n for each in _alive(parts) if each.spec.key != launcher.spec.key))
    launcher.stop(STOP_PATIENCE)
    if n < 1:
        return None
    again = _start_anew(launcher, n, launcher.spec.part)
    if wanted is not None:
        note_wanted([again], wanted)
    return again


def restart_whole(parts: Sequence[Launcher]) -> Launcher:
    """End all parts of a set, and start it again in one; return its launcher.

    It has as many engines as it was scaled to, or as its parts had that had not ended.
    """
    first = parts[0]
    wanted = wanted_of(parts)
    n = first.spec.n
    if first.can_grow:
        n = wanted or sum(each.spec.n for each in _alive(parts) or parts)
    stop_sets(parts, STOP_PATIENCE)
    return _start_anew(first, n, part=1)


def note_wanted(parts: Sequence[Launcher], n: int) -> None:
    """Note how many engines a set is to have, for whoever starts it again."""
    for each in parts:
        found = each.record()
        if found is not None:
            save_record(each.record_file, replace(found, wanted=n))


def wanted_of(parts: Sequence[Launcher]) -> int | None:
    """Return how many engines a set is to have; None if it was not scaled."""
    noted = (found.wanted for each in parts if (found := each.record()) is not None)
    return next((wanted for wanted in noted if wanted is not None), None)


def _alive(parts: Sequence[Launcher]) -> list[Launcher]:
    """Return those that have not ended, as far as is known."""
    return [each for each in parts if not each.state().phase.is_over]


def _start_anew(launcher: Launcher, n: int, part: int) -> Launcher:
    spec = launcher.spec
    options = spec.options if n == spec.n else launcher.options_to_grow()
    fresh = EngineSet(spec.name, spec.launcher, n, options, part=part, owner=spec.owner, environment=spec.environment)
    again = type(launcher)(launcher.profile, fresh)
    start_set(again)
    return again


def stop_sets(launchers: Sequence[Launcher], patience: float = STOP_PATIENCE) -> None:
    """End sets, all at the same time.

    Raises
    ------
    StopFailed
        Some could not be ended; the message has a line for each.
    """
    failed = [
        f"engines {launcher.spec.key!r}: {error}"
        for launcher, error in zip(launchers, in_parallel(launchers, lambda each: each.stop(patience)), strict=True)
        if error is not None
    ]
    if failed:
        raise StopFailed("; ".join(failed))


def in_parallel(
    launchers: Sequence[Launcher], what: Callable[[Launcher], None]
) -> list[CtrlHubError | None]:
    """Do something with each at the same time: a scheduler that does not answer is waited for once."""

    def attempt(launcher: Launcher) -> CtrlHubError | None:
        try:
            what(launcher)
        except CtrlHubError as error:
            return error
        except Exception as error:  # a defect of one launcher is no reason to leave the others running
            _log.exception("engines %r", launcher.spec.key)
            return LauncherError(f"unexpected {error!r}: please report it, with what the log says")
        return None

    return at_once(launchers, attempt)


def left_logs(profile: Profile, name: str) -> list[Path]:
    """Return what sets of a name have written, and their parts, whether or not they are there still."""
    places = sorted((profile.logs / "sets").glob("*"))
    own = [each for each in places if name in (each.name, each.name.partition(".")[0])]
    return [path for place in own for path in written_below(place)]


def engine_token(profile: Profile, is_remote: bool = False) -> str:
    """Return the token by which engines find the running hub of a profile, and are let in.

    Parameters
    ----------
    profile
        The profile.
    is_remote
        They run on other hosts.

    Raises
    ------
    HubNotFound
        No hub runs, or it does not listen for other hosts.
    ConnectionFileError
        Its connection file cannot be used.
    """
    if not profile.connection_engine.exists():
        raise HubNotFound(
            f"no hub of profile {profile.name!r} is running: `ctrl-hub start -n 0 --listen ADDRESS` "
            "starts one"
        )
    info = ConnectionInfo.load(profile.connection_engine)
    if not is_remote:
        return info.to_token()
    if info.ssh and not info.tcp:
        return info.to_token()  # ssh forwards the sockets of this host
    if not info.tcp:
        raise HubNotFound(
            f"the hub of profile {profile.name!r} listens only to this user on this host, and these "
            "engines run on others: start it with --listen ADDRESS, one that those hosts can reach"
        )
    # Sockets of this host are no use there, and say more than they need to know.
    return replace(info, ipc={}).to_token()
