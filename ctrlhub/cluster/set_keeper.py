"""The set of engines that a supervisor owns: started with its cluster, again by policy, ended with it.

Batch systems are asked by commands, which may take seconds to answer or fail to: so this has a thread
of its own, and the hub is looked after meanwhile.
"""

from __future__ import annotations

import logging
import threading
import time
from enum import StrEnum

from ctrlhub.cluster.errors import StopFailed
from ctrlhub.cluster.launchers.base import Launcher, Phase, SetState
from ctrlhub.cluster.launchers.records import load_record
from ctrlhub.cluster.launchers.sets import restart_set
from ctrlhub.cluster.restarts import Restarts
from ctrlhub.wire.errors import CtrlHubError

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


class SetKeeper:
    """Looks after one set of engines, which has been started.

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
        self.launcher = launcher
        self._policy = policy
        self._ask = ask
        self._restarts = Restarts(
            first=1.0, longest=LONGEST, steady=STEADY, steadier=STEADY, attempts=ATTEMPTS
        )
        self._began = time.monotonic()
        self._said = SetState(Phase.PENDING)
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
            It cannot be ended from here; its record stays.
        """
        self._over.set()
        with self._restarting:  # what it is just submitting is to be ended, too
            self._is_ours()  # and what somebody has just put in its place
            launcher = self.launcher
        if self._thread.is_alive() and self._said.phase is Phase.UNKNOWN:
            # Asked again it would say the same, and whoever ends this cluster waits.
            raise StopFailed(f"engines {launcher.spec.key!r} cannot be ended now: {self._said.reason}")
        launcher.stop(END_PATIENCE)

    def _run(self) -> None:
        missed = False
        while not self._over.wait(self._ask):
            try:
                if not self._is_ours():
                    if missed:  # twice: it is not just being started again by somebody else
                        _log.info("engines %r were stopped", self.launcher.spec.key)
                        return
                    missed = True
                    continue
                missed = False
                state = self.launcher.state()
            except CtrlHubError as error:
                state = SetState(Phase.UNKNOWN, str(error))
            self._tell(state)
            if state.phase.is_over and not self._is_being_stopped() and not self._again(state):
                return

    def _is_ours(self) -> bool:
        """Take up the set that somebody has put in the place of ours; say whether there is one."""
        found = load_record(self.launcher.record_file)
        if found is None:
            return False
        if found.spec.cookie != self.launcher.spec.cookie:
            self.launcher = type(self.launcher)(self.launcher.profile, found.spec, found.handle)
        return True

    def _is_being_stopped(self) -> bool:
        """Say whether somebody else ends it, who may start another in its place."""
        found = load_record(self.launcher.record_file)
        return found is None or found.stopping

    def _tell(self, state: SetState) -> None:
        """Log what has changed."""
        if state.phase is self._said.phase and state.reason == self._said.reason:
            return
        self._said = state
        level = logging.INFO if state.phase in (Phase.PENDING, Phase.RUNNING) else logging.WARNING
        tail = f"; its last lines:\n{state.log}" if state.log else ""
        reason = f": {state.reason}" if state.reason else ""
        _log.log(level, "engines %r: %s%s%s", self.launcher.spec.key, state.phase.value, reason, tail)

    def _again(self, state: SetState) -> bool:
        """Start the set again if the policy says so; say whether there is more to look after."""
        if not self._policy.applies(state):
            _log.info("engines %r are not started again (%s)", self.launcher.spec.key, self._policy.value)
            return False
        failed = state.phase is Phase.FAILED
        while True:
            now = time.monotonic()
            due = self._restarts.died(now - self._began, now, failed=failed)
            if due is None:
                _log.error(
                    "engines %r are given up: they failed %d times in a row", self.launcher.spec.key, ATTEMPTS
                )
                return False
            if self._over.wait(max(0.0, due - now)):
                return False
            with self._restarting:
                if self._over.is_set():
                    return False
                if self._is_being_stopped():
                    return True
                self._began = time.monotonic()
                if self._start_again():
                    return True
            failed = True

    def _start_again(self) -> bool:
        """Start another set in the place of one that has ended; say whether there is one."""
        key = self.launcher.spec.key
        try:
            self.launcher = restart_set(self.launcher)
        except CtrlHubError as error:
            _log.error("engines %r cannot be started again now: %s", key, error)
            # If it is not known whether one was submitted, its record is there, and leads to it.
            return self._is_ours()
        _log.warning("engines %r have been started again: %s", key, self.launcher.described())
        return True


def end_left_sets(launchers: list[Launcher]) -> None:
    """End the sets of a supervisor that was killed; what cannot be ended now stays recorded."""
    from ctrlhub.cluster.launchers.sets import stop_sets

    try:
        stop_sets(launchers, END_PATIENCE)
    except StopFailed as error:
        _log.warning("of a cluster that was killed something is left: %s", error)
