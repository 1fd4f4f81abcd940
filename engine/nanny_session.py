"""The session of a nanny: what it tells the hub, and is told, without I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ctrlhub.engine.lease import LeasedMembership
from ctrlhub.link.patience import Patience
from ctrlhub.link.states import State
from ctrlhub.wire.messages import (
    Beat,
    DeathNoted,
    Drain,
    EngineDied,
    Message,
    Register,
    Registered,
    Restart,
    Retire,
    Shutdown,
    Signal,
    StartEngines,
    Stream,
    UsageRow,
)

MOST_UNNOTED = 256
"""So many deaths are told to the next hub, too, while none has noted them; the oldest are forgotten first."""

ASK_AGAIN = 1.0
"""How often (seconds) the hub is asked to let engines finish, until they have left."""


class NannySession(LeasedMembership):
    """What a nanny tells the hub, and is told.

    Parameters
    ----------
    registration
        What the nanny says of itself.
    vouches
        Gives the keys of the engines whose processes run.
    usage
        Gives what these use of their host, if that is to be told with this beat.
    on_signal
        Called with the key of an engine and the name of a signal to send it.
    on_restart
        Called with the key and incarnation of an engine, the reason, and whether it is to be killed
        without being asked, when another is to take its place.
    on_retire
        Called with the key and incarnation of an engine, the reason, and how long (s) it may take, when
        it is to finish and no other is to take its place.
    on_shutdown
        Called with the reason, when all is to end.
    on_grow
        Called with how many further engines are to be started.
    hub_lease, patience, seed
        As in `EngineSession`.
    """

    def __init__(
        self,
        registration: Register,
        *,
        vouches: Callable[[], Sequence[str]],
        usage: Callable[[], Sequence[UsageRow]] = tuple,
        on_signal: Callable[[str, str], None],
        on_restart: Callable[[str, bytes, str, bool], None],
        on_retire: Callable[[str, bytes, str, float], None],
        on_shutdown: Callable[[str], None],
        on_grow: Callable[[int], None] = lambda count: None,
        hub_lease: float,
        patience: Patience | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(registration, hub_lease, patience or Patience(), seed)
        self._vouches = vouches
        self._usage = usage
        self._on_signal = on_signal
        self._on_restart = on_restart
        self._on_retire = on_retire
        self._on_shutdown = on_shutdown
        self._on_grow = on_grow
        self._drain: tuple[str, float] | None = None
        self._drain_ask_due = 0.0
        self._deaths: dict[str, EngineDied] = {}
        self._unnoted: dict[bytes, EngineDied] = {}

    def report(self, death: EngineDied, now: float) -> None:
        """Tell the hub that an engine has died, now or as soon as there is a hub."""
        self._deaths[death.key] = death
        if death.running > 0:  # what ran is charged, whichever hub hears of it
            self._unnoted[death.incarnation] = death
            if len(self._unnoted) > MOST_UNNOTED:
                del self._unnoted[next(iter(self._unnoted))]
        if self.state is State.JOINED:
            self.send(Stream.HUB, death)

    def started(self, key: str) -> None:
        """Take note that an engine runs with this key: that another one has died is no longer news.

        The hub is told at once whose charge it is: the engine may be wanted before the next beat.
        """
        self._deaths.pop(key, None)
        if self.state is State.JOINED:
            self.send(Stream.HUB, self.beat())

    def drain_all(self, reason: str, until: float, now: float) -> None:
        """Have the hub let our engines finish, now or as soon as there is a hub."""
        self._drain = reason, until
        self._ask_for_drain(now)

    def _ask_for_drain(self, now: float) -> None:
        """Ask again and again: an engine may have been away, or be another one since."""
        if self._drain is not None and self.state is State.JOINED:
            reason, until = self._drain
            self._drain_ask_due = now + ASK_AGAIN
            self.send(Stream.HUB, Drain(tuple(self._vouches()), reason, max(0.0, until - now)))

    def tick(self, now: float) -> None:
        """Do what is due."""
        super().tick(now)
        if now >= self._drain_ask_due:
            self._ask_for_drain(now)

    def beat(self) -> Beat:
        """Vouch for the engines whose processes run."""
        return Beat(tuple(self._vouches()), self._usage())

    def on_joined(self, registered: Registered, now: float) -> None:
        """Tell the deaths of the meantime, and who lives."""
        super().on_joined(registered, now)
        untold = {**self._unnoted, **{each.incarnation: each for each in self._deaths.values()}}
        for death in untold.values():
            self.send(Stream.HUB, death)
        self.send(Stream.HUB, self.beat())
        self._ask_for_drain(now)

    def on_message(self, stream: Stream, message: Message, now: float) -> None:
        """Take control."""
        if isinstance(message, Signal):
            self._on_signal(message.key, message.name)
        elif isinstance(message, Restart):
            self._on_restart(message.key, message.incarnation, message.reason, message.at_once)
        elif isinstance(message, StartEngines):
            self._on_grow(message.count)
        elif isinstance(message, Retire):
            self._on_retire(message.key, message.incarnation, message.reason, message.within)
        elif isinstance(message, DeathNoted):
            self._unnoted.pop(message.incarnation, None)
        elif isinstance(message, Shutdown):
            self._on_shutdown(message.reason)
