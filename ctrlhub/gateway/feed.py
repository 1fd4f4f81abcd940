"""The hub's figures, asked for once for everybody: the dashboard of many, and scrapes.

One question a second while somebody looks, none otherwise. What has ended since the last answer comes
in the next one alone: who wants to know of all that ends listens from the beginning.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

from ctrlhub.wire.errors import CtrlHubError
from ctrlhub.wire.telemetry import Telemetry

PERIOD = 1.0
"""How often (seconds) the hub is asked while somebody looks; an answer that is younger is as good."""

Ask: TypeAlias = Callable[[int], Awaitable[Telemetry]]
Listener: TypeAlias = Callable[[Telemetry], None]

log = logging.getLogger(__name__)


class TelemetryFeed:
    """Asks the hub, and tells all who look.

    Parameters
    ----------
    ask
        Asks the hub what there is since a cursor.
    clock
        Gives the time in seconds.

    Attributes
    ----------
    latest : Telemetry or None
        The last answer.
    trouble : str
        Why there is no new answer; empty if there is one.
    """

    def __init__(self, ask: Ask, clock: Callable[[], float] = time.monotonic) -> None:
        self.latest: Telemetry | None = None
        self.trouble = ""
        self._ask = ask
        self._clock = clock
        self._asked = float("-inf")
        self._failed = 0
        self._error: Exception | None = None
        self._lock = asyncio.Lock()
        self._listeners: dict[object, Listener] = {}
        self._task: asyncio.Task[None] | None = None

    async def now(self) -> Telemetry:
        """Return figures that are not older than a second.

        Raises
        ------
        CtrlHubError
            The hub does not answer.
        """
        before = self._failed
        async with self._lock:
            if self._error is not None and self._failed != before:
                raise self._error  # somebody has asked while we waited: once is enough
            if self.latest is None or self._clock() >= self._asked + PERIOD:
                await self._look()
            assert self.latest is not None
            return self.latest

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each new answer, the first one soon; return what ends that.

        It is called in the gateway's loop. `latest` has what there was before.
        """
        key = object()
        self._listeners[key] = listener
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._follow())

        def leave() -> None:
            self._listeners.pop(key, None)
            if not self._listeners and self._task is not None:
                self._task.cancel()
                self._task = None

        return leave

    @property
    def listeners(self) -> int:
        """How many look."""
        return len(self._listeners)

    def close(self) -> None:
        """Ask no more."""
        self._listeners.clear()
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _follow(self) -> None:
        while True:
            begun = self._clock()
            with suppress(Exception):  # `trouble` has it, and the log
                await self.now()
            await asyncio.sleep(max(PERIOD / 4, max(begun, self._asked) + PERIOD - self._clock()))

    async def _look(self) -> None:
        before, begun = self.latest, self._clock()
        try:
            found = await self._ask(0 if before is None else before.cursor)
            if before is not None and found.started != before.started:
                found = await self._ask(0)  # another hub, which counts anew
        except Exception as error:
            if not self.trouble:
                bug = None if isinstance(error, CtrlHubError) else error
                log.warning("the hub does not tell its figures: %s", error, exc_info=bug)
            self.trouble = f"{error}" or type(error).__name__
            self._error, self._failed = error, self._failed + 1
            raise
        self.latest, self.trouble, self._asked, self._error = found, "", begun, None
        for listener in tuple(self._listeners.values()):
            try:
                listener(found)
            except Exception:  # one's bug is not to keep the others in the dark
                log.exception("who looks at the hub's figures has failed")
