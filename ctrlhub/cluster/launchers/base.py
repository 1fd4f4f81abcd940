"""The interface of a launcher: one object is one set of engines, which it starts, watches and ends.

Theory of operation
-------------------
A set is recorded in the profile's directory before anything is started or submitted, and again once
the system has said what it calls it (a job's number, say). Whoever comes later, another process
included, takes it up from the record. A launcher that is killed between the two leaves a record
without a handle: then `recover` looks for what was started by the name that the record gave it.

What was submitted needs a file of the set's directory, its token, when it begins. So a job that
nobody could find, and whose set has been stopped, ends as it begins.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Self

from ctrlhub.cluster.errors import StartFailed
from ctrlhub.cluster.launchers.options import LauncherOptions, options_from
from ctrlhub.cluster.launchers.records import SetRecord, create_record, load_record, save_record
from ctrlhub.cluster.launchers.script import Shell, nanny_command
from ctrlhub.cluster.launchers.spec import EngineSet
from ctrlhub.wire.places import Profile
from ctrlhub.wire.private import StateError, make_private_dir, write_private


class Phase(StrEnum):
    """How a set of engines is."""

    PENDING = "pending"
    """It has been asked for, and waits for its turn."""
    RUNNING = "running"
    ENDED = "ended"
    """It ran, and has ended in good order."""
    FAILED = "failed"
    """It could not be started, or did not end as it should."""
    UNKNOWN = "unknown"
    """Who would know does not answer."""

    @property
    def is_over(self) -> bool:
        """Whether nothing of it runs or will run."""
        return self in (Phase.ENDED, Phase.FAILED)


@dataclass(frozen=True, slots=True)
class SetState:
    """How a set of engines is, and why.

    Parameters
    ----------
    phase
        How it is.
    reason
        Why, in the words of who knows: a job's pending reason, an exit code, a lost node.
    log
        The last lines of what it wrote, if it failed.
    cancelled
        Somebody has cancelled it, who does not want it started again.
    """

    phase: Phase
    reason: str = ""
    log: str = ""
    cancelled: bool = False


class Launcher(ABC):
    """Starts one set of engines, and knows how it is.

    Parameters
    ----------
    profile
        The profile of the hub.
    spec
        What to start.
    handle
        What the system calls it, if it was started: a job's number, a process. Plain data.

    Attributes
    ----------
    name : str
        Of the kind of launcher: that of its entry point.
    options_type : type
        What options it has.
    is_remote : bool
        Whether its engines run on other hosts, so that the hub has to listen for them.
    can_grow : bool
        Whether a part can be added to a set that runs.
    handle_types : Mapping
        What a handle has, and of which type it is.
    """

    name: ClassVar[str]
    handle_types: ClassVar[Mapping[str, type]] = {}
    options_type: ClassVar[type[LauncherOptions]] = LauncherOptions
    is_remote: ClassVar[bool] = True
    can_grow: ClassVar[bool] = True

    def __init__(
        self, profile: Profile, spec: EngineSet, handle: Mapping[str, Any] | None = None
    ) -> None:
        self.profile = profile
        self.spec = spec
        self.handle: dict[str, Any] = dict(handle or {})
        if self.handle and not all(
            isinstance(self.handle.get(name), kind) for name, kind in self.handle_types.items()
        ):
            raise StateError(
                f"the record of engines {spec.key!r} does not say what launcher {spec.launcher!r} has started: see "
                f"whether anything of theirs runs, and remove {self.record_file}"
            )
        self.options = options_from(self.options_type, spec.options, spec.launcher)

    # ------------------------------------------------------------ what each kind does in its way

    @abstractmethod
    def plan(self) -> str:
        """Return the exact script, command or manifest, for ``--dry-run``; needs nothing but the options."""

    @abstractmethod
    def launch(self) -> Mapping[str, Any]:
        """Start the set, and return its handle. Directory, token and record are there already.

        Raises
        ------
        StartFailed
            Nothing was started.
        LauncherError, or any other
            It is not known whether something was: `recover` may find it.
        """

    @abstractmethod
    def recover(self) -> Mapping[str, Any]:
        """Find what a launch has started whose handle was not recorded; an empty handle for nothing.

        Raises
        ------
        LauncherError
            Who would know does not answer.
        """

    @abstractmethod
    def state(self) -> SetState:
        """Ask how the set is; does not raise where who knows cannot be asked, but says so."""

    @abstractmethod
    def signal(self, number: int) -> None:
        """Send a signal to the nannies of the set.

        Raises
        ------
        LauncherError
            That cannot be.
        """

    @abstractmethod
    def end(self, patience: float) -> None:
        """End what was started, running or queued, and see to it that it has ended.

        Parameters
        ----------
        patience
            Seconds it has to end in good order.

        Raises
        ------
        StopFailed
            It has not ended, or cannot be told to; the message says what to do.
        """

    def described(self) -> str:
        """Say in a few words what was started: a job's number, a process."""
        told = ", ".join(f"{name} {value}" for name, value in self.handle.items())
        return told or f"{self.spec.key}, which is being started"

    def logs(self) -> list[Path]:
        """Return the files that the set has written, the most telling ones first."""
        return written_below(self.log_dir)

    def options_to_grow(self) -> dict[str, Any]:
        """Return the options for a further part of the set, of whatever number of engines."""
        return dict(self.spec.options)

    # ------------------------------------------------------------ what all do alike

    def start(self, token: str) -> None:
        """Record the set, and start it.

        Parameters
        ----------
        token
            By which its engines find the hub, and are let in (`ConnectionInfo.to_token`).

        Raises
        ------
        StartFailed
            Nothing was started, and nothing is left.
        LauncherError
            It is not known whether something was: the record stays, for `stop`. So it does when anything
            else, such as Ctrl-C, ends the launch.
        """
        make_private_dir(self.profile.sets)
        create_record(self.record_file, SetRecord(self.spec, {}))
        try:
            self._make_place(token)
        except BaseException:
            self.forget()
            raise
        try:
            self.handle = dict(self.launch())
        except StartFailed:
            self.forget()
            raise
        if not self.is_recorded():
            self.end(0.0)
            raise StartFailed(f"engine set {self.spec.name!r} was stopped while it was starting")
        save_record(self.record_file, SetRecord(self.spec, self.handle))

    def stop(self, patience: float = 30.0) -> None:
        """End the set, and forget it.

        Raises
        ------
        StopFailed
            As `end` does; it stays recorded.
        """
        self.take_up()
        if self.handle:
            found = self.record()
            if found is not None:  # before it ends: its owner would start it again
                save_record(self.record_file, replace(found, handle=self.handle, stopping=True))
            self.end(patience)
        self.forget()

    def take_up(self) -> None:
        """Look for what was started, if that was not recorded."""
        if not self.handle:
            self.handle = dict(self.recover())

    def forget(self) -> None:
        """Remove record, token and script; logs stay."""
        if self.is_recorded():
            self.record_file.unlink(missing_ok=True)
            shutil.rmtree(self.directory, ignore_errors=True)

    def is_recorded(self) -> bool:
        """Say whether the record is this set's: not removed, nor another set's of the same name."""
        return self.record() is not None

    def record(self) -> SetRecord | None:
        """Return the record, if it is this set's."""
        found = load_record(self.record_file)
        return found if found is not None and found.spec.cookie == self.spec.cookie else None

    def to_dict(self) -> dict[str, Any]:
        """Return what another process needs to take the set up."""
        return SetRecord(self.spec, self.handle).to_dict()

    @classmethod
    def from_dict(cls, profile: Profile, data: Mapping[str, Any]) -> Self:
        """Take a set up.

        Raises
        ------
        ValueError
            This is none.
        """
        record = SetRecord.from_dict(data)
        return cls(profile, record.spec, record.handle)

    @property
    def record_file(self) -> Path:
        """Where the set is recorded."""
        return self.profile.sets / f"{self.spec.key}.json"

    @property
    def directory(self) -> Path:
        """The set's own directory, private: its token, its script."""
        return self.profile.sets / self.spec.key

    @property
    def token_file(self) -> Path:
        """The token, for a nanny's standard input."""
        return self.directory / "token"

    @property
    def log_dir(self) -> Path:
        """The directory of the set's logs."""
        return self.profile.logs / "sets" / self.spec.key

    @property
    def job_name(self) -> str:
        """A name that nothing else has: by it what was not recorded is found again."""
        return f"ctrlhub-{self.profile.name}-{self.spec.key}-{self.spec.cookie}"

    def engine_command(self, engines: int | Shell, *others: str) -> list[str]:
        """Return the command of a nanny that sees the profile's directory, as `nanny_command` does.

        Parameters
        ----------
        engines
            How many engines it has: a number, or what a shell knows.
        *others
            Further arguments.
        """
        return nanny_command(
            self.options.python_here(),
            self.spec,
            engines,
            profile=self.profile.name,
            state_dir=str(self.profile.directory.parent.parent),
            logs=str(self.log_dir),
            others=others,
        )

    def _make_place(self, token: str) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.rmtree(self.log_dir, ignore_errors=True)  # of a former set of this name
        make_private_dir(self.directory)
        make_private_dir(self.log_dir.parent)
        make_private_dir(self.log_dir)
        write_private(self.token_file, token.encode() + b"\n")


def written_below(log_dir: Path) -> list[Path]:
    """Return the files that a set has written into its directory of logs, the most telling ones first."""
    found = [path for path in log_dir.rglob("*") if path.is_file() and path.suffix != ".exit"]
    return sorted(found, key=lambda path: (len(path.parts), path.name))
