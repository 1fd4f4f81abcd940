"""The switchboard: a hub put together, as far as it decides. No I/O of its own.

Everything a hub decides passes through here: bytes come in with their origin, effects go out. The hub
process (:mod:`ctrlhub.controller.hub`) feeds it from sockets; tests feed it by hand. Memory that a
peer lends is opened while its message is taken in, by the `Borrower` that the hub hands over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random

from ctrlhub.controller.attachments import Attachments
from ctrlhub.controller.calls import Calls
from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.core.alarm import Alarm
from ctrlhub.controller.core.borrower import Borrower
from ctrlhub.controller.core.clock import Clock
from ctrlhub.controller.core.effects import Connection, Effect, Outbox
from ctrlhub.controller.core.keeping import GatewayKeeper
from ctrlhub.controller.core.saved import Health, NoStore, Saved
from ctrlhub.controller.core.telemetry import Figures
from ctrlhub.controller.exposed import Exposed
from ctrlhub.controller.hearing import Hearing, Routes
from ctrlhub.controller.interfaces.base import Context, Interface
from ctrlhub.controller.joining import Joining
from ctrlhub.controller.large import LargeMessages
from ctrlhub.controller.peers import Peers
from ctrlhub.controller.permissions import PERMITTED as PERMITTED
from ctrlhub.controller.permissions import Origin as Origin
from ctrlhub.controller.refusals import Refusals
from ctrlhub.controller.service import ControllerService
from ctrlhub.wire import messages as m
from ctrlhub.wire.parts import Memory
from ctrlhub.wire.security import KeyRegistry


class Switchboard:
    """The composition of a hub: registry, sessions, heartbeats and interfaces.

    Parameters
    ----------
    config
        The hub's options.
    interfaces
        The classes of the interfaces to expose.
    epoch
        Identity of this life of the hub.
    new_token
        Makes unguessable tokens.
    versions
        What this side runs: ``ctrlhub``, ``python`` ... (compared with a peer's).
    keys
        The public keys that CURVE accepts; None without TCP.
    borrowing
        How to open the segments of peers; None shares no memory.
    random
        Source of the session numbers' beginning.
    store
        Whom to ask how the store is doing; None where nothing is stored.

    Attributes
    ----------
    receive, receive_bulk
        Take a message as it came from a transport, or a part of one: see `Hearing`.
    """

    def __init__(
        self,
        config: HubConfig,
        interfaces: Sequence[type[Interface]],
        *,
        epoch: str,
        new_token: Callable[[], bytes],
        versions: Mapping[str, str],
        keys: KeyRegistry | None = None,
        borrowing: Borrower | None = None,
        random: Random,
        store: Health | None = None,
    ) -> None:
        self.config = config
        self.epoch = epoch
        self.keys = keys
        self.versions = versions
        self.outbox = Outbox()
        self.controller = ControllerService(config.max_engines, save_ids=True)
        self._exposed = Exposed()
        self.interfaces = self._exposed.by_name
        self.why_no_memory: Callable[[], str] = str
        self.alarm = Alarm()
        self.gateway = GatewayKeeper(self.outbox, self.alarm)
        self._peers = Peers(
            config,
            self.controller,
            self.outbox,
            self._exposed,
            keys=keys,
            new_token=new_token,
            random=random,
            epoch=epoch,
            alarm=self.alarm,
        )
        self.gateway.process_ended = self._peers.process_ended
        self.sessions = self._peers.sessions
        clock = self._clock = Clock()
        self._begin = clock.begin
        self._refusals = Refusals(self.sessions.of_connection, lambda: clock.now)
        gather = borrowing.gather if borrowing is not None else Memory
        self.large = LargeMessages(self.sessions, self.outbox, new_token, gather)
        attachments = Attachments(config, self._peers, self._exposed, lambda: clock.now)
        self.joining = Joining(
            config,
            self._peers,
            self.outbox,
            self._exposed,
            attachments,
            epoch=epoch,
            versions=versions,
            keys=keys,
            borrowing=borrowing,
            large=self.large,
        )
        hearing = Hearing(
            self._peers,
            self.joining,
            self.large,
            Calls(self.interfaces, self.outbox),
            self._refusals,
            outbox=self.outbox,
            clock=clock,
            borrowing=borrowing,
        )
        self.receive, self.receive_bulk = hearing.receive, hearing.receive_bulk
        self.figures = Figures()
        context = Context(
            config,
            self.sessions,
            self.outbox,
            self.interfaces,
            revoke=self.revoke,
            events=lambda: self._peers.events.count,
            announce=self._peers.events.tell,
            now=lambda: clock.now,
            alarm=self.alarm,
            is_settling=lambda: clock.now < clock.settled,
            absent=self._peers.places.absent,
            refuse=hearing.refuse_later,
            refused=lambda: self.refused,
            why_full=lambda: self.joining.why_full(),
            why_no_memory=lambda: self.why_no_memory(),
            perished=lambda: self._peers.deaths.perished,
            store=store or NoStore(),
            leases=attachments,
            gateway=self.gateway,
            stillborn=lambda: self._peers.deaths.stillborn.described(),
            drain=lambda engine, drain: self._peers.draining.begin(engine, drain, clock.now),
            keep=borrowing.keep if borrowing is not None else None,
            figures=self.figures,
            engines_lost=lambda: self._peers.engines_lost,
        )
        for cls in interfaces:
            self._exposed.add(cls(self.controller, context))
        hearing.routes = self._make_routes()
        self._peers.events.begin()

    def _make_routes(self) -> Routes:
        """Say which interface hears which message on which stream."""
        routes: dict[tuple[type[m.Message], m.Stream], Callable[..., None]] = {}
        for interface in self._exposed:
            if interface.handlers and not interface.streams:
                raise ValueError(f"interface {interface.name!r} has handlers and no streams")
            for kind, method in interface.handlers.items():
                for stream in interface.streams:
                    if (kind, stream) in routes:
                        raise ValueError(
                            f"interface {interface.name!r} hears {kind.kind!r} on stream "
                            f"{stream.value!r}, which another one hears already"
                        )
                    routes[kind, stream] = getattr(interface, method)
        return routes

    # ------------------------------------------------------------ what the hub calls

    def restore(self, saved: Saved, unix_offset: float, now: float) -> None:
        """Take back what the hub before this one has stored, before anybody says anything.

        Parameters
        ----------
        saved
            What it has stored.
        unix_offset
            What our clock lacks to Unix time (seconds).
        now
            Our clock.
        """
        self._peers.set_clock(unix_offset)
        if not saved:
            return
        self._begin(now)
        former = self._peers.restore(saved, unix_offset, now)
        for interface in self._exposed:
            interface.restore(former)
        for interface in self._exposed:
            interface.resume(former)

    def turn(self, now: float) -> Iterator[list[Effect]]:
        """End a turn of the loop: let every interface send what became ready.

        What one has to say is carried out before the next is asked: somebody waits for it.
        """
        self._begin(now)
        for interface in self._exposed.flushed:
            self._exposed.flush(interface, now)
            if self.outbox.effects:
                yield self.outbox.take()
        last = [*self.outbox.take(), *self._refusals.take()]
        if last:
            yield last

    def tick(self, now: float) -> None:
        """Do what is due."""
        self._begin(now)
        self.large.tick(now)
        self.joining.tick(now)
        self._peers.tick(now)
        self._exposed.tick(now)
        self.gateway.tick(now)

    def stood_still(self, seconds: float) -> None:
        """Take note that this process did not run for a while."""
        self._peers.stood_still(seconds)

    def settle(self) -> None:
        """Keep what is kept in less memory: there is some to give back, and little to do."""
        self._exposed.settle()

    def next_deadline(self) -> float | None:
        """Say when `tick` should be called."""
        times = (
            self.joining.next_deadline(), self._peers.next_deadline(), self._exposed.next_deadline(),
            self.gateway.next_deadline(),
        )  # fmt: skip
        return min((due for due in times if due is not None), default=None)

    def disconnected(self, connection: Connection) -> None:
        """Forget a connection that its transport could not send to."""
        self.large.drop(connection)
        self.joining.disconnected(connection)
        self._peers.disconnected(connection)

    def shut_down(self, reason: str) -> list[Effect]:
        """Say goodbye to everyone: the engines are to end.

        What clients have left is kept, as far as anything is stored, for the hub after this one.
        """
        self.controller.stop()
        self._peers.clients.hub_stops(self._clock.now)
        self._peers.places.expect_nobody()
        for session in self.sessions:
            if session.role.is_client:
                session.send(self.outbox, m.Stream.HUB, m.Goodbye(reason))
            else:
                session.send(self.outbox, m.Stream.HUB, m.Shutdown(reason))
        return self.outbox.take()

    def pause(self) -> list[Effect]:
        """Leave everything to the hub after this one, and tell nobody: peers wait for that."""
        self._peers.clients.hub_stops(self._clock.now)
        return self.outbox.take()

    # ------------------------------------------------------------ what interfaces may ask

    def revoke(self, key: str) -> bool:
        """Shut a peer out for good; False when there is none with this key."""
        return self._peers.revoke(key, self._clock.now)

    @property
    def refused(self) -> int:
        """How much the hub has refused."""
        return self._refusals.count + self.large.refused

    @property
    def failures(self) -> int:
        """How often an interface has failed."""
        return self._exposed.failures

    def check(self) -> None:
        """Assert every invariant of every machine."""
        self._peers.check()
        self._exposed.check()
