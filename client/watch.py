"""What the I/O thread tells the others about the session."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ctrlhub.client.bells import Bells
from ctrlhub.client.short_traceback import shortened
from ctrlhub.link.guarded_log import GuardedLog
from ctrlhub.wire.errors import CtrlHubError, HubUnavailable
from ctrlhub.wire.messages import LogRecords, WatchedOutput

_log = GuardedLog("ctrlhub.client")


class Watch:
    """The state of the session, for every thread to see and to wait for.

    Parameters
    ----------
    patience
        How long (seconds) a silent hub is waited for before `is_gone` is asked.
    is_gone
        Says whether the hub has ended for good; None where that cannot be told.

    Attributes
    ----------
    bells : Bells
        Rung after every change.
    session : int
        The number of the session; -1 before the hub let us in.
    by_id : mapping
        The engines of the moment. Replaced, never changed in place.
    losses : tuple
        How many engines have ended unasked, and what is known of the last one.
    over : bool
        Whether the session has ended.
    hears_logs : bool
        Whether what engines log reaches us.
    on_end : callable
        Gets the reason of the end, first.
    on_engines : callable or None
        Gets the engines of the moment after every change, in the I/O thread.
    followers : tuple of callable
        Get the same, as long as there is a connection.
    on_output : callable or None
        Gets what requests of all clients have put out, in the I/O thread.
    on_unprepared : callable
        Gets what is known of an engine on which a start hook failed.
    """

    def __init__(
        self, patience: float = math.inf, is_gone: Callable[[], bool] | None = None
    ) -> None:
        self.bells = Bells()
        self.session = -1
        self.by_id: Mapping[int, Mapping[str, Any]] = {}
        self.losses: tuple[int, Mapping[str, Any]] = 0, {}
        self.over = False
        self.hears_logs = False
        self.on_end: Callable[[CtrlHubError], None] | None = None
        self.on_engines: Callable[[Mapping[int, Mapping[str, Any]]], None] | None = None
        self.followers: tuple[Callable[[Mapping[int, Mapping[str, Any]]], None], ...] = ()
        self.on_output: Callable[[WatchedOutput], None] | None = None
        self.on_unprepared: Callable[[Mapping[str, Any]], None] | None = None
        self._patience = patience
        self._is_gone = is_gone
        self._is_silent = False

    def wait_for(self, ready: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until `ready`, or the session is over; False after the timeout (seconds)."""
        try:
            return self.bells.wait_for(lambda: self.over or ready(), timeout)
        except KeyboardInterrupt as stop:
            raise shortened(stop)  # noqa: B904 - it is the same

    # ------------------------------------------------------------ told by the I/O thread

    def joined(self, session: int) -> None:
        """Take note that the hub let us in, or that it is back."""
        if self._is_silent:
            self._is_silent = False
            _log.warning("the hub answers again")
        self.session = session
        self.bells.ring()

    def silent(self, seconds: float) -> None:
        """Take note that the hub has not answered for so long; say so once."""
        if not self._is_silent:
            self._is_silent = True
            _log.warning(
                "the hub has not answered for %.0f s; still trying (what was submitted is kept; "
                "`ctrl-hub status` tells whether it runs; get(timeout=...) waits no longer than that)",
                seconds,
            )

    def despair(self, seconds: float) -> CtrlHubError | None:
        """Say why a hub that has been silent for so long will not answer any more, if so."""
        if self._is_gone is None or seconds <= self._patience or not self._is_gone():
            return None
        return HubUnavailable(
            f"the hub has ended: it has not answered for {seconds:.0f} s, and nothing is there "
            "that would start it again; start one with `ctrl-hub start -n 4`"
        )

    def engines(self, engines: Mapping[int, Mapping[str, Any]]) -> None:
        """Take the engines of the moment."""
        self.by_id = engines
        self.bells.ring()
        if self.on_engines is not None:
            self.on_engines(engines)
        for follow in self.followers:
            follow(engines)

    def lost(self, engine: Mapping[str, Any]) -> None:
        """Take note that an engine ended unasked, and that no other takes its place."""
        self.losses = self.losses[0] + 1, engine

    def unprepared(self, engine: Mapping[str, Any]) -> None:
        """Say that a start hook failed on an engine, which gets no tasks."""
        _log.warning(
            "engine %s (process %s on %s) gets no tasks: %s; look at it with commands, then restart it "
            "with client.restart(), or remove the hook with client.remove_start_hook()",
            engine.get("id"), engine.get("pid"), engine.get("host"), engine.get("cause"),
        )  # fmt: skip
        if self.on_unprepared is not None:
            self.on_unprepared(engine)

    def logged(self, message: LogRecords) -> None:
        """Hand on what engines have logged, or take note that it will come."""
        from ctrlhub.client.log_forwarding import handle

        handle(message)
        if not message.records:
            self.hears_logs = True
            self.bells.ring()

    def put_out(self, message: WatchedOutput) -> None:
        """Hand on what requests of all clients have put out."""
        if self.on_output is not None:
            self.on_output(message)

    def room(self) -> None:
        """Have those look again who wait for room for their requests."""
        self.bells.ring()

    def ended(self, error: CtrlHubError) -> None:
        """Take no more requests, and let nobody wait: the session is over."""
        if self.on_end is not None:
            self.on_end(error)
        self.over = True
        self.bells.ring()
