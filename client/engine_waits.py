"""Waiting for engines."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

from ctrlhub.client.connection import Connection
from ctrlhub.client.ipython import running_shell
from ctrlhub.client.roster import Roster
from ctrlhub.wire.errors import EngineError

ASK = 1.0
"""So often (seconds) the cluster is asked whether what it has started may yet bring engines."""

STEP = 0.25
"""How often (seconds) a progress bar is brought up to date."""


class EngineWaits:
    """The part of a client that waits for engines."""

    _connection: Connection
    cluster: Any = None

    @property
    def roster(self) -> Roster:
        """What is known of each engine."""
        return Roster(self._connection)

    def wait_for_engines(
        self,
        n: int | None = None,
        *,
        timeout: float | None = -1,
        block: bool = True,
        interactive: bool | None = None,
        widget: bool | None = None,
    ) -> Future[None] | None:
        """Wait until there are `n` engines.

        Parameters
        ----------
        n
            How many; None is as many as the cluster has that this client belongs to, else one.
        timeout
            The longest wait in seconds; None or a negative number waits as long as it takes.
        block
            Wait here. False returns a future that is done when there are enough.
        interactive
            Show a progress bar; None does in IPython.
        widget
            Show it as a Jupyter widget; None does where that is possible.

        Raises
        ------
        TimeoutError
            There are fewer.
        EngineError
            An engine was lost meanwhile, and no other takes its place: the error says how.
        StartFailed
            Jobs of a launcher have failed that should have brought them, and nothing else will: with the
            end of their log. Only where this client belongs to a cluster.
        HubUnavailable, ControllerStopped, SessionClosed
            There will be none any more.
        """
        if n is None:
            n = getattr(self.cluster, "n", None) or 1
        if isinstance(n, bool) or not isinstance(n, int) or n < 0:
            raise TypeError(f"the number of engines is a whole number, not {n!r}")
        limit = None if timeout is None or timeout < 0 else timeout
        wait = _Wait(self._connection, n, limit, getattr(self.cluster, "check_jobs", None))
        if not block:
            return wait.in_background()
        if running_shell() is not None if interactive is None else interactive:
            wait.show(widget)
        else:
            wait.until_enough()
        return None


class _Wait:
    """A wait for engines, from now on."""

    def __init__(
        self,
        connection: Connection,
        n: int,
        limit: float | None,
        check_jobs: Callable[[int], None] | None = None,
    ) -> None:
        self._connection = connection
        self._check_jobs = check_jobs
        self._due = 0.0
        self._n = n
        self._limit = limit
        self._end = float("inf") if limit is None else time.monotonic() + limit
        self._lost, _ = connection.losses()
        self._is_given_up: Callable[[], bool] = lambda: False

    def until_enough(self) -> None:
        most = float("inf") if self._check_jobs is None else ASK
        while True:
            self._ask_for_jobs()
            left = max(0.0, self._end - time.monotonic())
            step = min(most, left)
            if self._within(None if step == float("inf") else step):
                return
            if left <= most:
                raise self._late()

    def _ask_for_jobs(self) -> None:
        """Ask, if that is due, whether engines may yet come; not where there are enough."""
        now = time.monotonic()
        if self._check_jobs is None or now < self._due or self._are_enough(self._connection.engines()):
            return
        self._due = now + ASK
        self._check_jobs(self._n)

    def show(self, widget: bool | None) -> None:
        from ctrlhub.client.progress import Progress

        __tracebackhide__ = True
        connection = self._connection
        with Progress(self._n, "engines", unit="engine", widget=widget) as bar:
            while not self._within(min(STEP, max(0.0, self._end - time.monotonic()))):
                bar.show(min(self._n, len(connection.engines())))
                self._ask_for_jobs()
                if time.monotonic() >= self._end:
                    raise self._late()
            bar.show(self._n)

    def in_background(self) -> Future[None]:
        future: Future[None] = Future()
        self._is_given_up = future.cancelled

        def run() -> None:
            failure: BaseException | None = None
            try:
                self.until_enough()
            except BaseException as error:  # the future raises it
                failure = error
            if not future.set_running_or_notify_cancel():
                return
            if failure is not None:
                future.set_exception(failure)
            else:
                future.set_result(None)

        threading.Thread(target=run, name="ctrlhub-wait", daemon=True).start()
        return future

    def _within(self, seconds: float | None) -> bool:
        """Wait for at most so long; return whether there are enough.

        Raises
        ------
        EngineError
            One was lost.
        """
        __tracebackhide__ = True
        connection = self._connection

        def is_decided(ids: Iterable[int]) -> bool:
            return (
                self._is_given_up()
                or self._are_enough(ids)
                or connection.losses()[0] != self._lost
            )

        if not connection.wait_for_engines(is_decided, seconds):
            return False
        if self._is_given_up() or self._are_enough(connection.engines()):
            return True
        _, engine = connection.losses()
        number = engine.get("id", -1)
        if number < 0:
            raise EngineError(
                f"while {self._n} engines were waited for, one did not start on {engine.get('host')}: "
                f"{engine.get('cause')}; the end of its log:\n{engine.get('log') or '(it wrote nothing)'}"
            )
        raise EngineError(
            f"while {self._n} engines were waited for, engine {number} was lost: "
            f"{engine.get('cause') or 'it was unregistered'}",
            number,
        )

    def _are_enough(self, ids: Iterable[int]) -> bool:
        return len(list(ids)) >= self._n

    def _late(self) -> TimeoutError:
        have = len(self._connection.engines())
        return TimeoutError(
            f"{have} of {self._n} engines after {self._limit:g} s: start more with `ctrl-hub "
            "engine -n N`, or look into their logs"
        )
