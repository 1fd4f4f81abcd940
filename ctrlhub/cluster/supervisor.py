"""The supervisor: what ``ctrl-hub start`` runs.

It starts a hub and a nanny, starts each again that dies of itself, and ends both when it is told to.
It carries no message and holds nothing that a restarted hub would need: the hub finds its keys and
paths in the profile, engines and clients find the hub again by themselves.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctrlhub.cluster.arrival import Arrival
from ctrlhub.cluster.child import Child
from ctrlhub.cluster.claim import Claim
from ctrlhub.cluster.errors import BornDead, StartFailed, StopFailed
from ctrlhub.cluster.launchers.spec import Owner
from ctrlhub.cluster.local import LocalProcesses
from ctrlhub.cluster.local_nanny import LOCAL_SET
from ctrlhub.cluster.log_options import LogOptions
from ctrlhub.cluster.parts_check import PartsCheck
from ctrlhub.cluster.processes import KnownProcess
from ctrlhub.cluster.record import SupervisorRecord
from ctrlhub.cluster.restarts import NANNY_STEADY, Restarts
from ctrlhub.cluster.serving_http import serve_http
from ctrlhub.cluster.set_keeper import ASK, RestartSets, SetKeeper
from ctrlhub.cluster.signals import Signals
from ctrlhub.cluster.supervised import Supervised
from ctrlhub.controller.config import HubConfig
from ctrlhub.wire.errors import CtrlHubError
from ctrlhub.wire.places import Profile
from ctrlhub.wire.private import StateError
from ctrlhub.wire.trouble import note_trouble, noted_trouble

if TYPE_CHECKING:
    from ctrlhub.client.client import Client

QUEUED = 5.0
"""A job that has been in a queue for so long (seconds) may be so for hours: nobody waits for that."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SupervisorConfig:
    """What a supervisor is told when it starts.

    Parameters
    ----------
    hub
        The hub's options, those of the profile included.
    engines
        How many engines to run.
    timeout
        Seconds within which all of them must be registered; or, if a batch system runs them, for which
        those of a job that has begun are waited for.
    launcher
        What runs them, if not this host.
    options
        Those of the launcher.
    restart
        When a set that has ended is started again.
    poll
        How often (seconds) its batch system is asked how it is.
    """

    hub: HubConfig
    engines: int
    timeout: float = 60.0
    launcher: str = LOCAL_SET
    options: Mapping[str, Any] = field(default_factory=dict)
    restart: RestartSets = RestartSets.FAILED
    poll: float = ASK

    @property
    def is_launched(self) -> bool:
        """Whether a launcher runs the engines, and no nanny of ours."""
        return self.engines > 0 and (self.launcher != LOCAL_SET or bool(self.options))

    @property
    def profile(self) -> Profile:
        """The profile that is supervised."""
        state = self.hub.state_dir
        return Profile.named(self.hub.profile, Path(state) if state else None)

    def to_json(self) -> str:
        """Return the configuration as one line of JSON."""
        return json.dumps(
            {
                "hub": asdict(self.hub),
                "engines": self.engines,
                "timeout": self.timeout,
                "launcher": self.launcher,
                "options": dict(self.options),
                "restart": self.restart.value,
                "poll": self.poll,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> SupervisorConfig:
        """Return the configuration of a line made by `to_json`."""
        values = json.loads(text)
        hub = HubConfig.from_json(json.dumps(values["hub"]))
        return cls(
            hub,
            int(values["engines"]),
            float(values["timeout"]),
            str(values["launcher"]),
            dict(values["options"]),
            RestartSets(values["restart"]),
            float(values["poll"]),
        )


@dataclass(frozen=True, slots=True)
class Ready:
    """What a supervisor reports when all engines are registered, or those that are not wait in a queue."""

    profile: str
    hub_pid: int
    engines: int
    note: str = ""
    http: str = ""


class StopAsked(Exception):
    """A signal to stop came while the cluster was starting."""


class Supervisor:
    """Runs the hub and the engines of a profile until it is told to stop.

    Parameters
    ----------
    config
        What to run.
    """

    def __init__(self, config: SupervisorConfig) -> None:
        self._config = config
        self._profile = config.profile
        self._processes = LocalProcesses(
            self._profile,
            config.hub,
            0 if config.is_launched else config.engines,
            timeout=config.timeout,
            keys=self._profile.engine_keys,
        )
        self._started = time.time()
        self._noted = self._unrecorded = ""
        self._set: SetKeeper | None = None
        self._left: CtrlHubError | None = None

    def run(self, on_ready: Callable[[Ready], None]) -> None:
        """Start everything, report, supervise; return when all has ended.

        Parameters
        ----------
        on_ready
            Called once, when all engines are registered.

        Raises
        ------
        AlreadyRunning
            If the profile has a hub.
        StartFailed
            If the cluster did not become ready, or its hub kept dying and is given up.
        StopFailed
            If all has ended but what a launcher runs; the message says what is left.
        """
        claim = Claim(self._profile)
        claim.take()
        try:
            # In this order: who holds the lock is told to stop by a signal.
            with Signals() as signals, self._profile.supervisor_lock():
                self._run(signals, on_ready)
        finally:
            claim.give_back()
        if self._left is not None:
            raise StopFailed(str(self._left)) from self._left

    def _run(self, signals: Signals, on_ready: Callable[[Ready], None]) -> None:
        def check() -> None:
            if signals.stop_asked:
                raise StopAsked
            self._processes.check()

        try:
            self._record()
            self._processes.start()
            self._record()
            with self._processes.connect(check) as client:
                arrived, note = self._launch(client, check)
                http = serve_http(client, self._config.hub.http)
            assert self._processes.hub is not None
            on_ready(Ready(self._profile.name, self._processes.hub.pid, arrived, note, http))
            self._supervise(signals)
        except StopAsked:
            _log.info("told to stop while starting")
        finally:
            self._end_set()
            self._processes.stop()

    def _launch(self, client: Client, check: Callable[[], None]) -> tuple[int, str]:
        """Start the engines that a launcher runs; return how many have come, and what keeps the others."""
        config = self._config
        if not config.is_launched:
            return config.engines, ""
        from ctrlhub.cluster.launchers.sets import make_set, start_set

        launcher = make_set(
            self._profile, config.launcher, config.engines, config.options, owner=Owner.SUPERVISOR,
            logs=LogOptions.of(config.hub),
        )  # fmt: skip
        start_set(launcher)
        self._set = SetKeeper(launcher, config.restart, config.poll)
        name, n = launcher.spec.name, launcher.spec.n
        parts = PartsCheck([launcher], QUEUED)
        arrival = Arrival(client, n, name, check=check, parts=parts)
        try:
            note = "" if arrival.wait(config.timeout) else f"{n - arrival.there()} to come: {parts.why()}"
        except BornDead as error:
            if not error.there:
                raise
            note = error.message
        self._set.start()
        return arrival.there(), note

    def _end_set(self) -> None:
        if self._set is None:
            return
        try:
            self._set.stop()
        except CtrlHubError as error:
            # It stays recorded: `ctrl-hub stop` tries again, and says so to whoever asked.
            _log.error("%s", error)
            self._left = error

    def _supervise(self, signals: Signals) -> None:
        hub, nanny = self._processes.hub, self._processes.nanny
        assert hub is not None
        supervised_hub = Supervised(
            hub,
            self._processes.start_hub,
            worked=self._processes.hub_worked,
            why=self._why_no_hub,
        )
        supervised = [supervised_hub]
        if nanny is not None:
            # It says of itself no more than that it lives: so it must have done so for longer.
            again = Restarts(steady=NANNY_STEADY)
            supervised.append(Supervised(nanny, self._processes.start_nanny, again))
        while not signals.stop_asked:
            now = time.monotonic()
            changes = [each.turn(now) for each in supervised]
            if any(changes):
                self._try_to_record()
            self._note(supervised_hub)
            if supervised_hub.given_up:
                hub_log = supervised_hub.child.log_tail()
                raise StartFailed(f"{supervised_hub.given_up}; what it has stored is kept", hub_log)
            if supervised_hub.is_over:
                _log.info("the hub has ended on purpose, and with it the cluster")
                return
            due = [at for each in supervised if (at := each.wakes(now)) is not None]
            signals.wait(max(0.0, min(due) - time.monotonic()) if due else None)
        _log.info("told to stop")

    def _why_no_hub(self, hub: Child) -> str:
        """Say why a hub could not start: it has noted that, if there was a place for it."""
        last = hub.log_tail().splitlines()[-1:]
        return noted_trouble(self._profile.directory) or (last[0] if last else hub.how_it_ended())

    def _note(self, hub: Supervised) -> None:
        """Let who asks for the hub know what keeps it from starting, where it could not say so itself."""
        trouble = hub.given_up or hub.waits
        if trouble == self._noted:
            return
        self._noted = trouble
        if trouble and trouble != noted_trouble(self._profile.directory):
            try:
                note_trouble(self._profile.directory, trouble)
            except StateError as error:
                _log.error("that cannot be noted for `ctrl-hub status`: %s", error)

    def _try_to_record(self) -> None:
        try:
            self._record()
        except (OSError, StateError) as error:
            # It only helps to clean up after us: no reason to end what runs.
            if f"{error}" != self._unrecorded:
                _log.error("%s does not name the new processes: %s", self._profile.supervisor, error)
            self._unrecorded = f"{error}"
        else:
            self._unrecorded = ""

    def _record(self) -> None:
        SupervisorRecord(
            os.getpid(),
            started=self._started,
            processes={
                child.name: KnownProcess.find(child.pid) for child in self._processes.children
            },
            engines=self._config.engines,
            launcher=self._config.launcher,
            options=self._config.options,
        ).write(self._profile.supervisor)


__all__ = ["Ready", "StartFailed", "Supervisor", "SupervisorConfig"]
