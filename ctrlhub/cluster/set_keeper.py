"""The set of engines that a supervisor owns: started with its cluster, again by policy, ended with it.

Batch systems are asked by commands, which may take seconds to answer or fail to: so this has a thread
of its own, and the hub is looked after meanwhile.

The records say what there is to look after: others stop and restart engines, and add parts to a set
and take them away, without asking whose it is.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from enum import StrEnum

from ctrlhub.cluster.errors import StopFailed
from ctrlhub.cluster.launchers.base import Launcher, Phase, SetState
from ctrlhub.cluster.launchers.records import load_record
from ctrlhub.cluster.launchers.sets import known_sets, restart_part, stop_sets
from ctrlhub.cluster.launchers.spec import Owner
from ctrlhub.cluster.restarts import Restarts
from ctrlhub.wire.errors import CtrlHubError
from ctrlhub.wire.private import StateError

ASK = 5.0
"""So often (seconds) the batch system is asked how the set is."""
STEADY = 60.0
"""A set that ran for so long (seconds) was well."""
LONGEST = 120.0
"""The longest pause (seconds) between two starts of a set that keeps failing."""
ATTEMPTS = 6
"""After so many failures in a row it is given up."""
END_PATIENCE = 8.0
"""Seconds that it has to end in good order when its cluster ends."""
SUBMITS = 60.0
"""For so long (seconds) somebody may be submitting what has no handle yet."""

_log = logging.getLogger(__name__)


class RestartSets(StrEnum):
    """When a set that has ended is started again."""

    NEVER = "never"
    FAILED = "failed"
    """It has failed: a node was lost, say, or the wall time was over."""
    ALWAYS = "always"
    """Also when its engines have left in good order, before the wall time was over."""

    def applies(self, state: SetState) -> bool:
        """Say whether to start again what has ended so; never what somebody has cancelled."""
        if state.cancelled:
            return False
        if self is RestartSets.FAILED:
            return state.phase is Phase.FAILED
        return self is RestartSets.ALWAYS


def _restarts() -> Restarts:
    return Restarts(first=1.0, longest=LONGEST, steady=STEADY, steadier=STEADY, attempts=ATTEMPTS)


@dataclass(slots=True)
class _Part:
    """What is known of a part of the set.

    Parameters
    ----------
    launcher
        The part, as it was recorded last.

    Attributes
    ----------
    restarts : Restarts
        How often it has failed.
    began : float
        When it was started, or first seen (monotonic, seconds).
    said : SetState
        How it was, when asked last.
    due : float or None
        When it is to be started again.
    is_left : bool
        It has ended, and is not started again.
    is_ours_to_start : bool
        It could not be started again, and nothing of it is recorded.
    missed : bool
        It was not there when looked for: somebody has stopped it, or is just restarting it.
    """

    launcher: Launcher
    restarts: Restarts = field(default_factory=_restarts)
    began: float = field(default_factory=time.monotonic)
    said: SetState = field(default_factory=lambda: SetState(Phase.PENDING))
    due: float | None = None
    is_left: bool = False
    is_ours_to_start: bool = False
    missed: bool = False


class SetKeeper:
    """Looks after one set of engines, which has been started, and whatever is added to it.

    Parameters
    ----------
    launcher
        The set.
    policy
        When it is started again.
    ask
        As `ASK`.
    """

    def __init__(self, launcher: Launcher, policy: RestartSets, ask: float = ASK) -> None:
        self._profile = launcher.profile
        self._name = launcher.spec.name
        self._policy = policy
        self._ask = ask
        self._parts = {launcher.spec.key: _Part(launcher)}
        self._over = threading.Event()
        self._restarting = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="ctrlhub-set", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End the set, and do not start it again.

        Raises
        ------
        StopFailed
            Some of it cannot be ended from here; its record stays.
        """
        self._over.set()
        with self._restarting:  # what it is just submitting is to be ended, too
            there = {each.spec.key: each for each in self._recorded()}
            known = dict(self._parts)
        launchers = {key: part.launcher for key, part in known.items() if not part.missed} | there
        # Asked again they would say the same, and whoever ends this cluster waits.
        silent = {
            key: part.said.reason
            for key, part in known.items()
            if key in launchers and part.said.phase is Phase.UNKNOWN
        }
        failed = [f"engines {key!r} cannot be ended now: {reason}" for key, reason in silent.items()]
        try:
            stop_sets([each for key, each in launchers.items() if key not in silent], END_PATIENCE)
        except StopFailed as error:
            failed.append(str(error))
        if failed:
            raise StopFailed("; ".join(failed))

    def _recorded(self) -> list[Launcher]:
        """Return the parts of the set that there are, whoever has started them."""
        found = known_sets(self._profile).named(self._name)
        return [each for each in found if each.spec.owner is Owner.SUPERVISOR]

    def _run(self) -> None:
        while not self._over.wait(self._pause()):
            with self._restarting:
                self._look()
                parts = list(self._parts.values())
            for part in parts:
                if self._over.is_set():
                    return
                self._turn(part)

    def _pause(self) -> float:
        now = time.monotonic()
        return min([self._ask, *(max(0.0, part.due - now) for part in self._parts.values() if part.due is not None)])

    def _look(self) -> None:
        """Take up what is recorded now, and let go of what was stopped."""
        found = {each.spec.key: each for each in self._recorded()}
        for key, launcher in found.items():
            known = self._parts.get(key)
            if known is not None and known.launcher.spec.cookie == launcher.spec.cookie:
                known.launcher, known.missed = launcher, False
            else:
                self._parts[key] = _Part(launcher)
        for key, part in list(self._parts.items()):
            if key in found or part.is_ours_to_start or not _is_gone(part.launcher):
                continue
            if part.missed:  # twice: it is not just being started again by somebody else
                _log.info("engines %r were stopped", key)
                del self._parts[key]
            part.missed = True

    def _turn(self, part: _Part) -> None:
        if part.missed or part.is_left:
            return
        if part.due is None:
            if not part.launcher.handle and time.time() - part.launcher.spec.created < SUBMITS:
                return
            try:
                state = part.launcher.state()
            except CtrlHubError as error:
                state = SetState(Phase.UNKNOWN, str(error))
            self._tell(part, state)
            if not state.phase.is_over or _is_anothers(part.launcher):
                return
            if not self._policy.applies(state):
                _log.info("engines %r are not started again (%s)", part.launcher.spec.key, self._policy.value)
                part.is_left = True
                return
            self._plan_start(part, failed=state.phase is Phase.FAILED)
        if part.due is not None and time.monotonic() >= part.due:
            with self._restarting:
                if not self._over.is_set():
                    self._start_again(part)

    def _tell(self, part: _Part, state: SetState) -> None:
        """Log what has changed."""
        if state.phase is part.said.phase and state.reason == part.said.reason:
            return
        part.said = state
        level = logging.INFO if state.phase in (Phase.PENDING, Phase.RUNNING) else logging.WARNING
        tail = f"; its last lines:\n{state.log}" if state.log else ""
        reason = f": {state.reason}" if state.reason else ""
        _log.log(level, "engines %r: %s%s%s", part.launcher.spec.key, state.phase.value, reason, tail)

    def _plan_start(self, part: _Part, *, failed: bool) -> None:
        """Say when it is started again, or give it up."""
        now = time.monotonic()
        part.due = part.restarts.died(now - part.began, now, failed=failed)
        if part.due is None:
            part.is_left, part.is_ours_to_start = True, False
            _log.error(
                "engines %r are given up: they failed %d times in a row", part.launcher.spec.key, ATTEMPTS
            )

    def _start_again(self, part: _Part) -> None:
        """Start another part in the place of one that has ended."""
        key = part.launcher.spec.key
        part.due = None
        if not part.is_ours_to_start and _is_anothers(part.launcher):
            return
        part.began = time.monotonic()
        try:
            again = restart_part(part.launcher)
        except CtrlHubError as error:
            _log.error("engines %r cannot be started again now: %s", key, error)
            # If it is not known whether one was submitted, its record is there, and leads to it.
            part.is_ours_to_start = _is_gone(part.launcher)
            self._plan_start(part, failed=True)
            return
        if again is None:
            _log.info("engines %r are not started again: the others are as many as are wanted", key)
            del self._parts[key]
            return
        part.launcher, part.is_ours_to_start, part.said = again, False, SetState(Phase.PENDING)
        _log.warning("engines %r have been started again: %s", key, again.described())


def _is_gone(launcher: Launcher) -> bool:
    """Say whether nothing of it is recorded; what cannot be read may be it."""
    try:
        return not launcher.is_recorded()
    except StateError:
        return False


def _is_anothers(launcher: Launcher) -> bool:
    """Say whether somebody else ends it, or has, who may start another in its place."""
    try:
        found = load_record(launcher.record_file)
    except StateError:
        return True  # until it can be read it is not touched
    return found is None or found.stopping or found.spec.cookie != launcher.spec.cookie


def end_left_sets(launchers: list[Launcher]) -> None:
    """End the sets of a supervisor that was killed; what cannot be ended now stays recorded."""
    try:
        stop_sets(launchers, END_PATIENCE)
    except StopFailed as error:
        _log.warning("of a cluster that was killed something is left: %s", error)
