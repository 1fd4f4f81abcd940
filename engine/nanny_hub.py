"""A nanny's way to its hub: how it finds it, gets in, and talks to it in a thread of its own."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from ctrlhub.engine.config import NannyConfig
from ctrlhub.engine.lease import Ending
from ctrlhub.engine.nanny_session import NannySession
from ctrlhub.engine.process import registration
from ctrlhub.engine.rendezvous import POLL, Way, find_connection, load
from ctrlhub.link.runner import Runner
from ctrlhub.link.states import State
from ctrlhub.link.zeromq import ZeroMQLink
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.errors import CtrlHubError
from ctrlhub.wire.messages import EngineDied, Role, UsageRow
from ctrlhub.wire.security import KeyPair

LOOK_AT_DOOR = 0.5
"""How often (seconds) to look whether the hub has let us in."""
LAST_MOMENT = 1.0
"""How long (seconds) the I/O thread may take to say goodbye."""

NO_WAY = "there is no way to the hub"

_log = logging.getLogger(__name__)


class NannyHub:
    """The hub, as a nanny's main thread sees it.

    Parameters
    ----------
    config
        What the nanny was told.
    vouches, usage, on_signal, on_restart, on_retire, on_grow, on_shutdown
        As in `NannySession`: called in the I/O thread.
    on_end
        Called with the reason when there is no hub any more, or never will be; in either thread.
    obstacle
        Says why the way to the hub is not open; None if it is, as far as is known.
    """

    def __init__(
        self,
        config: NannyConfig,
        *,
        vouches: Callable[[], Sequence[str]],
        on_signal: Callable[[str, str], None],
        on_restart: Callable[[str, bytes, str, bool], None],
        on_grow: Callable[[int], None],
        on_retire: Callable[[str, bytes, str, float], None],
        on_shutdown: Callable[[str], None],
        on_end: Callable[[str, Ending], None],
        obstacle: Callable[[], str | None] = lambda: None,
        usage: Callable[[], Sequence[UsageRow]] = tuple,
    ) -> None:
        self._config = config
        self._way = Way(config.connection, config.token)
        self._handlers = {
            "vouches": vouches,
            "usage": usage,
            "on_signal": on_signal,
            "on_restart": on_restart,
            "on_grow": on_grow,
            "on_retire": on_retire,
            "on_shutdown": on_shutdown,
        }
        self._on_end = on_end
        self._obstacle = obstacle
        self._session: NannySession | None = None
        self._runner: Runner | None = None
        self._thread: threading.Thread | None = None
        self._complaint: str | None = None
        self._untold: list[EngineDied] = []
        self._wait_until = time.monotonic() + config.wait

    # ------------------------------------------------------------ what the main thread says

    def attend(self, now: float) -> None:
        """Look for the hub, or whether it has let us in; at the latest at `next_deadline`."""
        if self._runner is None:
            self._look(now)
        elif self._is_outside():
            self._wait_at_door(now, self._runner)

    def next_deadline(self, now: float) -> float | None:
        """Say when `attend` is due."""
        if self._runner is None:
            return now + POLL
        return min(now + LOOK_AT_DOOR, self._wait_until) if self._is_outside() else None

    def report(self, death: EngineDied) -> None:
        """Tell the hub that an engine has died."""
        session = self._session
        if session is not None and self._runner is not None:
            self._runner.post(lambda now: session.report(death, now))
        else:  # the hub is still to be found
            self._untold.append(death)

    def started(self, key: str) -> None:
        """Tell the hub that an engine with this key has been started."""
        session = self._session
        if session is not None and self._runner is not None:
            self._runner.post(lambda now: session.started(key))

    @property
    def is_there(self) -> bool:
        """Whether there is a hub that hears us, as far as we know."""
        return self._session is not None and self._session.state is State.JOINED

    def drain(self, reason: str, until: float) -> None:
        """Have the hub let our engines finish, now or when it is back."""
        session = self._session
        if session is not None and self._runner is not None:
            self._runner.post(lambda now: session.drain_all(reason, until, now))

    def leave(self) -> None:
        """Say goodbye, in a moment or not at all."""
        runner = self._runner
        if runner is not None and self._thread is not None:
            runner.post(lambda now: runner.machine.goodbye(now, "its engines have ended"))
            self._thread.join(LAST_MOMENT)

    # ------------------------------------------------------------ the way in

    def _look(self, now: float) -> None:
        way = self._way
        try:
            info = find_connection(way)
            if info is None and now >= self._wait_until:
                info = load(way)
            if info is not None:
                self._connect(info)
        except CtrlHubError as error:
            _log.error("%s", error)
            self._on_end(NO_WAY, Ending.MISCONFIGURED)

    def _is_outside(self) -> bool:
        """Tell whether no hub has let us in yet."""
        return self._session is not None and self._session.registered is None

    def _wait_at_door(self, now: float, runner: Runner) -> None:
        """Say why the hub does not let us in, and in the end give up: a key does not get better."""
        complaint = self._obstacle() or runner.link.failure()
        if complaint is not None and complaint != self._complaint:
            self._complaint = complaint
            _log.warning("%s; still trying for %.0f s", complaint, self._wait_until - now)
        if now >= self._wait_until:
            _log.error(
                "the hub has not let this nanny in: %s (does the connection file belong to it?)",
                complaint or "it does not answer",
            )
            self._on_end(NO_WAY, Ending.REFUSED)

    def _connect(self, info: ConnectionInfo) -> None:
        keys = KeyPair.generate()
        link = ZeroMQLink(info, keys, self._config.prefer)
        session = NannySession(
            replace(
                registration(Role.NANNY, keys.public, os.urandom(16)),
                engine_set=self._config.engine_set,
                elastic=self._config.elastic,
            ),
            hub_lease=self._config.hub_lease,
            **self._handlers,  # type: ignore[arg-type]
        )
        self._session, self._runner = session, Runner(session, link)
        self._thread = threading.Thread(
            target=self._communicate, args=(self._runner, session), name="ctrlhub-io", daemon=True
        )
        self._thread.start()
        while self._untold:
            self.report(self._untold.pop(0))

    def _communicate(self, runner: Runner, session: NannySession) -> None:
        try:
            runner.run()
        except Exception:  # nothing is left to report it to but the log
            _log.exception("the connection to the hub ended")
            session.ending = Ending.FAILED
        if session.refused is not None:
            _log.error("the hub refused this nanny: %s", session.refused.message)
        self._on_end("its connection to the hub ended", session.ending)
