"""The gateway: whether one is wanted, and what became of the last. No I/O.

The hub has at most one, a process of its own. Somebody wants it, from then on it is kept: one that dies is
started again, at once, or if it keeps dying ever later. One that cannot start says why, to whoever waits
for it and in the hub's status; it is tried again when the next one asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum

from ctrlhub.controller.core.alarm import Alarm
from ctrlhub.controller.core.effects import Outbox, StartGateway
from ctrlhub.controller.core.later import Later
from ctrlhub.wire.errors import GatewayError, LimitExceeded
from ctrlhub.wire.limits import MAX_TEXT

FIRST, LONGEST = 0.1, 15.0
"""The first pause (seconds) before another is started, and the one that doubling ends at."""

STEADY = 5.0
"""One that served for so long (seconds) was well: its death is a first one."""

ATTEMPTS = 12
"""After so many deaths in a row none is started any more, until somebody asks for it: unless it is known that what
they die of passes."""

PATIENCE = 60.0
"""The longest (seconds) that a client may wait for it."""


MOST_WAITING = 1_000
"""So many questions for it may wait at a time."""


class Outlook(Enum):
    """How another one would fare."""

    UNKNOWN = "unknown"
    HOPELESS = "hopeless"
    """No better, as the last one says itself: its port is taken, say."""
    PASSES = "passes"
    """Well, once what is in the way has passed by itself: the disk is full, say."""


class GatewayState(StrEnum):
    """What the gateway is doing."""

    OFF = "off"
    STARTING = "starting"
    SERVING = "serving"
    WAITING = "waiting"
    """It has died, and another is started soon."""
    FAILED = "failed"
    """It cannot start: another one is tried when somebody asks for it."""


LEGAL: Mapping[GatewayState, frozenset[GatewayState]] = {
    GatewayState.OFF: frozenset({GatewayState.STARTING}),
    GatewayState.STARTING: frozenset({GatewayState.SERVING, GatewayState.WAITING, GatewayState.FAILED}),
    GatewayState.SERVING: frozenset({GatewayState.WAITING, GatewayState.FAILED}),
    GatewayState.WAITING: frozenset({GatewayState.STARTING}),
    GatewayState.FAILED: frozenset({GatewayState.STARTING}),
}
"""From each state, where the gateway may go."""


@dataclass(frozen=True, slots=True)
class Waiter:
    """A client that waits for the gateway."""

    answer: Later
    until: float


class GatewayKeeper:
    """Keeps one gateway.

    Parameters
    ----------
    outbox
        Where the wish to start one goes.
    alarm
        Has `tick` called in time.
    """

    def __init__(self, outbox: Outbox, alarm: Alarm) -> None:
        self._outbox = outbox
        self._alarm = alarm
        self.state = GatewayState.OFF
        self.url = ""
        """Where it serves; empty while it does not."""
        self.pid = 0
        self.trouble = ""
        """Why it does not serve, if it should; the last one's end."""
        self.deaths = 0
        """How often one has died."""
        self._in_a_row = 0
        self._due: float | None = None
        self._since = 0.0
        self._waiting: list[Waiter] = []
        self.process_ended: Callable[[int, float], None] = lambda pid, now: None
        """Told of each process that has ended, and when."""
        self.why_never = "this hub runs within another program, and starts no processes"
        """Why there is to be none; the hub makes it empty where it can start one."""

    # ------------------------------------------------------------ what is wished

    def want(self, now: float) -> None:
        """Have one, from now on."""
        if self.state in (GatewayState.OFF, GatewayState.FAILED):
            self._in_a_row = 0
            self._start(now)

    def ask(self, within: float, now: float) -> str | Later:
        """Return where it serves, or once it does.

        Raises
        ------
        GatewayError
            There is to be none.
        LimitExceeded
            Too many wait for it.
        """
        if self.why_never:
            raise GatewayError(self.why_never)
        self.want(now)
        if self.state is GatewayState.SERVING:
            return self.url
        if len(self._waiting) >= MOST_WAITING:
            raise LimitExceeded(f"{MOST_WAITING} questions wait for the gateway, and no more may: ask again later")
        later = Later()
        self._waiting.append(Waiter(later, now + min(within, PATIENCE)))
        self._alarm.at(self._waiting[-1].until)
        return later

    # ------------------------------------------------------------ what has happened

    def started(self, pid: int) -> None:
        """Take note that a process is there."""
        self.pid = pid

    def serves(self, url: str, now: float) -> None:
        """Take note that it serves."""
        if self.state is not GatewayState.STARTING:
            return
        self._enter(GatewayState.SERVING)
        self.url, self.trouble = url, ""
        self._since, self._due = now, None
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.answer.give(url)

    def ended(self, how: str, now: float, outlook: Outlook = Outlook.UNKNOWN) -> None:
        """Take note that it has ended, or could not be started.

        Parameters
        ----------
        how
            Why, in words.
        now
            The hub's clock.
        outlook
            How another one would fare.
        """
        served = self.state is GatewayState.SERVING
        if self.pid:
            self.process_ended(self.pid, now)
        self.url, self.pid, self.trouble = "", 0, how[:MAX_TEXT]
        self.deaths += 1
        if served and now - self._since >= STEADY:
            self._in_a_row = 0
        self._in_a_row += 1
        if outlook is Outlook.PASSES:
            self._in_a_row = min(self._in_a_row, ATTEMPTS)
        given_up = outlook is Outlook.HOPELESS or self._in_a_row > ATTEMPTS
        if given_up or self._in_a_row > 1:
            self._refuse_all()
        if given_up:
            self._enter(GatewayState.FAILED)
            self._due = None
            return
        pause = 0.0
        if self._in_a_row > 1:
            pause = min(LONGEST, FIRST * 2.0 ** (self._in_a_row - 2))
        self._enter(GatewayState.WAITING)
        self._due = now + pause
        self._alarm.at(self._due)

    # ------------------------------------------------------------ time

    def tick(self, now: float) -> None:
        """Start one that is due, and let go who has waited for too long."""
        if self.state is GatewayState.WAITING and self._due is not None and now >= self._due:
            self._start(now)
        late = [each for each in self._waiting if now >= each.until]
        if late:
            self._waiting = [each for each in self._waiting if now < each.until]
            for each in late:
                each.answer.refuse(GatewayError(f"the gateway does not serve yet ({self.state})"))

    def next_deadline(self) -> float | None:
        """Say when `tick` is due."""
        times = [each.until for each in self._waiting]
        if self._due is not None:
            times.append(self._due)
        return min(times, default=None)

    def why_not(self) -> str:
        """Say why it does not serve although it should; empty while it does, or was only just begun."""
        if self.state is GatewayState.SERVING or not self.trouble:
            return ""
        return f"the HTTP gateway does not serve: {self.trouble}"

    def described(self) -> Mapping[str, object] | None:
        """Return what the hub's status says of it; None where none is wanted."""
        if self.state is GatewayState.OFF:
            return None
        return {
            "state": self.state.value,
            "url": self.url,
            "pid": self.pid,
            "deaths": self.deaths,
            "trouble": self.trouble,
        }

    def _start(self, now: float) -> None:
        self._enter(GatewayState.STARTING)
        self._due, self._since = None, now
        self._outbox.add(StartGateway())

    def _enter(self, state: GatewayState) -> None:
        if state not in LEGAL[self.state]:
            raise RuntimeError(f"the gateway: {self.state} -> {state}")
        self.state = state

    def _refuse_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.answer.refuse(GatewayError(f"the gateway cannot start: {self.trouble}"))
