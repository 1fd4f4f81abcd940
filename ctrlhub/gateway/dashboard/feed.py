"""The stream of figures: asked for once, encoded once, and sent to each browser that shows the page.

Nobody is asked for anything while no browser is there. One that takes too long to read is let go of, with
the reason, and comes again by itself.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ctrlhub.gateway.access.roles import Role
from ctrlhub.gateway.context import Gateway
from ctrlhub.gateway.dashboard.figures import Figures
from ctrlhub.gateway.dashboard.logs import LogEnds
from ctrlhub.wire.closing import FAILED, TOO_SLOW
from ctrlhub.wire.errors import CtrlHubError
from ctrlhub.wire.telemetry import Telemetry

log = logging.getLogger(__name__)

PATIENCE = 4.0
"""So long (seconds) the hub may say nothing before browsers are told so: it is asked each second."""

REFUSED_FOR = 300.0
"""So long (seconds) messages that the hub has refused are shown."""

TROUBLE_EVERY = 10.0
"""So often (seconds) the hub is asked what is wrong with it."""

MOST_UNSENT = 8
"""So many messages may wait for a browser to read them."""


class Browser(Protocol):
    """A browser that shows the page."""

    def tell(self, text: str) -> int:
        """Send it something; return how many messages it has not taken yet."""

    def let_go(self, code: int, reason: str) -> None:
        """Close its connection, and say why."""


class Lately:
    """How much of what only grows came in the last minutes, from looks at it."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int]] = deque([(float("-inf"), 0)])

    def of(self, total: int, now: float) -> int:
        """Return how much came in the last `REFUSED_FOR` seconds; what was there before the first look comes with it."""
        if total < self._looks[-1][1]:  # another hub counts anew
            self._looks = deque([(float("-inf"), 0)])
        self._looks.append((now, total))
        while self._looks[1][0] <= now - REFUSED_FOR:
            self._looks.popleft()
        return total - self._looks[0][1]


@dataclass(slots=True)
class _Wish:
    logs: bool = False


class Feed:
    """What all browsers are told.

    Parameters
    ----------
    gateway
        Whose hub and logs are shown.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._figures = Figures()
        self._logs = LogEnds(gateway.profile)
        self._from_the_ends = False
        self._browsers: dict[Browser, _Wish] = {}
        self._running: asyncio.Task[None] | None = None
        self._came: asyncio.Queue[Telemetry] = asyncio.Queue()
        self._trouble: list[str] = []
        self._refused = Lately()
        self._asked = float("-inf")
        self._heard = float("-inf")

    # ------------------------------------------------------------ browsers

    def join(self, browser: Browser) -> None:
        """Take in a browser, and tell it all that is known."""
        self._browsers[browser] = _Wish()
        self._tell(self._figures.whole() | {"trouble": self._trouble}, [browser])
        if self._gateway.telemetry.trouble:
            self._tell(_gone(self._gateway.telemetry.trouble), [browser])
        if self._running is None:
            self._running = asyncio.create_task(self._run())

    def leave(self, browser: Browser) -> None:
        """Forget a browser."""
        self._browsers.pop(browser, None)

    def want_logs(self, browser: Browser, wanted: bool) -> None:
        """Tell a browser of the logs from now on, or no more."""
        if browser in self._browsers:
            if wanted and not self._browsers[browser].logs:
                self._from_the_ends = True  # for everybody; not at once, since a thread may be reading
            self._browsers[browser].logs = wanted

    def _tell(self, said: Mapping[str, Any], browsers: list[Browser]) -> None:
        if not browsers:
            return
        text = json.dumps(said, separators=(",", ":"), allow_nan=False)
        for each in browsers:
            if each.tell(text) > MOST_UNSENT:
                self.leave(each)
                each.let_go(TOO_SLOW, "this browser reads too slowly")

    # ------------------------------------------------------------ looking

    async def _run(self) -> None:
        """Tell what comes, as long as there are browsers."""
        self._heard = asyncio.get_running_loop().time()
        leave = self._gateway.telemetry.subscribe(self._came.put_nowait)
        try:
            while self._browsers:
                await self._look()
                await self._look_at_logs()
        except Exception:
            log.exception("the dashboard failed")
            for each in list(self._browsers):  # they come again
                self.leave(each)
                each.let_go(FAILED, "the dashboard failed: see the gateway's log")
        finally:
            leave()
            self._running = None
            self._logs.close()

    async def _look(self) -> None:
        """Wait for figures, and tell them; if there are none, tell why."""
        try:
            async with asyncio.timeout(PATIENCE):
                telemetry = await self._came.get()
        except TimeoutError:
            silent = asyncio.get_running_loop().time() - self._heard
            why = self._gateway.telemetry.trouble or f"nothing has come for {silent:.0f} s, and it is asked again each second"
            self._tell(_gone(why), list(self._browsers))
            return
        self._heard = asyncio.get_running_loop().time()
        await self._look_for_trouble()
        self._tell(self._figures.take(telemetry) | {"trouble": self._trouble}, list(self._browsers))

    async def _look_for_trouble(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._asked + TROUBLE_EVERY:
            return
        self._asked = now
        try:
            client = await self._gateway.clients.of(Role.VIEW)
            status = await client.status()
            self._trouble = trouble_of(status, self._refused.of(status["hub"].get("refused", 0), now))
        except CtrlHubError as error:
            log.warning("the hub does not say how it is: %s", error)

    async def _look_at_logs(self) -> None:
        wanted = [browser for browser, wish in self._browsers.items() if wish.logs]
        if self._from_the_ends or not wanted:
            self._from_the_ends = False
            self._logs.close()
        if not wanted:
            return
        found = await asyncio.to_thread(self._logs.read)
        if found["lines"] or found["whole"]:
            self._tell(found, [each for each in wanted if each in self._browsers])


def _gone(why: str) -> dict[str, Any]:
    return {"kind": "hub", "is_here": False, "why": why}


def trouble_of(status: Mapping[str, Any], refused: int = 0) -> list[str]:
    """Return what is wrong, in words, from what the hub says of itself, and how much it refused of late."""
    hub, store = status["hub"], status.get("store", {})
    lines = list(hub.get("trouble", []))
    if store.get("trouble"):
        lines.append(f"nothing can be stored: {store['trouble']}")
    if refused:
        what = "message was" if refused == 1 else "messages were"
        lines.append(f"{refused} {what} refused in the last {REFUSED_FOR / 60:.0f} minutes: see the hub's log")
    for hook in status.get("start_hooks", []):
        lines += [f"engine {n} gets no tasks: start hook {hook['name']!r} failed: {why}" for n, why in hook["failed"].items()]
    return lines


def feed_of(gateway: Gateway) -> Feed:
    """Return the feed of a gateway, which is made when the first browser comes."""
    return gateway.parts.one(Feed, gateway)
