"""A world without sockets or clock: a switchboard, its peers, and links that can fail.

Whatever has the methods of :class:`ctrlhub.link.membership.Membership` can be a peer: the scripted
ones of :mod:`tests.support.peers`, and the real sessions of engines and clients. Messages travel as
encoded frames. Each stream of each peer is a connection of its own, in order in itself and not with the
others; time passes when it is told to; `check` holds after every step. The hub can die between any two
effects of a turn, around any commit of its store, and another with what was stored takes its place.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, Protocol, TypeVar

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.core.commits import Commits
from ctrlhub.controller.core.effects import (
    Commit,
    Connection,
    Effect,
    Publish,
    Send,
    SendStored,
    Stop,
)
from ctrlhub.controller.interfaces.finding import find_interfaces
from ctrlhub.controller.interfaces.multiengine import MultiEngine
from ctrlhub.controller.interfaces.taskqueue import TaskQueue
from ctrlhub.controller.switchboard import Origin, Switchboard
from ctrlhub.link.states import State
from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.messages import Buffer, Message, Refused, RunCommand, RunTasks, StartHook, Stream
from tests.support.stores import Disk, DiskStore

VERSIONS = {"ctrlhub": "0", "python": "3.11.0", "protocol": "1"}

UPWARDS = tuple(Stream)
"""The streams on which peers speak."""


class Peer(Protocol):
    """What a session without I/O looks like to its shell."""

    @property
    def state(self) -> State:
        """Where it stands."""

    def start(self, now: float, enrolling: bool) -> None:
        """Begin to join."""

    def receive(self, stream: Stream, message: Message, now: float) -> None:
        """Take a message from the hub."""

    def tick(self, now: float) -> None:
        """Do what is due."""

    def next_deadline(self) -> float | None:
        """Say when."""

    def drain(self) -> list[tuple[Stream, Message]]:
        """Give what is to be sent."""

    def take_link_actions(self) -> list[Any]:
        """Give what is to be done with the link."""


P = TypeVar("P", bound=Peer)

NEVER = -1


class HubDied(Exception):
    """The hub's process has ended in the midst of something."""


Frames = Sequence[Buffer]


class Wire:
    """The connections of one peer, and what is on its way over each."""

    def __init__(self, addresses: Iterator[bytes]) -> None:
        self._addresses = addresses
        self.address = {stream: next(addresses) for stream in UPWARDS}
        self.up: dict[Stream, deque[Frames]] = {stream: deque() for stream in UPWARDS}
        self.down: dict[Stream, deque[Frames]] = {stream: deque() for stream in Stream}

    def cut(self, stream: Stream, lost: int) -> None:
        """Break a connection, with the first `lost` messages to the hub and all from it; another
        is made at once, and neither end is told.
        """
        self.address[stream] = next(self._addresses)
        self.down[stream].clear()
        for _ in range(min(lost, len(self.up[stream]))):
            self.up[stream].popleft()

    def busy(self) -> Iterator[tuple[str, Stream]]:
        """Yield where messages are on their way."""
        for way, queues in (("up", self.up), ("down", self.down)):
            for stream, queue in queues.items():
                if queue:
                    yield way, stream


class World:
    """One hub and its peers.

    Parameters
    ----------
    config
        The hub's options.
    seed
        Of everything that is random.
    """

    def __init__(self, config: HubConfig | None = None, seed: int = 0) -> None:
        self.config = config or HubConfig()
        self.now = 1000.0
        self.seed = seed
        self.wires: dict[Peer, Wire] = {}
        self.stopped: list[str] = []
        self.unreachable = 0
        self.unix_offset = 0.0
        self.lives = 0
        """How many hubs there were."""
        self.crashes = 0
        """How many of them died in the midst of a turn."""
        self.ended: set[int] = set()
        """Requests whose results are, or were, on the disk."""
        self.hooks: set[int] = set()
        """Start hooks, which each engine runs that comes."""
        self._steps_left = NEVER
        self._addresses = (b"%d" % n for n in itertools.count(1))
        self._begin()

    def _begin(self, disk: Disk | None = None) -> None:
        self.lives += 1
        life = self.lives
        tokens = itertools.count(1)
        self.store = DiskStore(disk)
        saved = self.store.load()
        self.commits = Commits()
        self.switchboard = Switchboard(
            self.config,
            find_interfaces(self.config.interfaces),
            epoch=f"life {life}",
            new_token=lambda: b"%d of life %d" % (next(tokens), life),
            versions=VERSIONS,
            random=Random(self.seed + life),
            store=self.store,
        )
        self.switchboard.restore(saved, self.unix_offset, self.now)
        self.check()

    @property
    def tasks(self) -> TaskQueue:
        """The hub's task queue."""
        interface = self.switchboard.interfaces["tasks"]
        assert isinstance(interface, TaskQueue)
        return interface

    @property
    def commands(self) -> MultiEngine:
        """The hub's command queues."""
        interface = self.switchboard.interfaces["multiengine"]
        assert isinstance(interface, MultiEngine)
        return interface

    # ------------------------------------------------------------ peers

    def add(self, peer: P) -> P:
        """Let a peer begin to join."""
        self.wires[peer] = Wire(self._addresses)
        peer.start(self.now, False)
        self._speak(peer)
        return peer

    def joined(self, peer: P) -> P:
        """Let a peer join, and everything settle that follows at once."""
        self.add(peer)
        self.run()
        assert peer.state is State.JOINED
        return peer

    def kill(self, peer: Peer) -> None:
        """Let a peer's process vanish, with what it had sent and nobody received."""
        del self.wires[peer]

    def restart_hub(self, *, remembers: bool = False) -> None:
        """Put another hub in the place of this one, which knows what is in the store, or nothing.

        What is on its way, and what was not stored yet, is lost.
        """
        self._steps_left = NEVER
        if not remembers:
            self.ended.clear()
        self._begin(self.store.disk if remembers else None)
        for wire in self.wires.values():
            for stream in UPWARDS:
                wire.cut(stream, len(wire.up[stream]))

    def crash_after(self, steps: int) -> None:
        """Let the hub die, and another with its store take its place, after so many effects.

        It dies between two messages of a turn, before or after something is stored, or after it is
        stored and before that is acknowledged.
        """
        self._steps_left = steps

    @contextmanager
    def _mortal(self) -> Iterator[None]:
        try:
            yield
        except HubDied:
            self.crashes += 1
            self.restart_hub(remembers=True)

    def _step(self) -> None:
        """Come to the next moment at which the hub may die."""
        if self._steps_left == 0:
            raise HubDied
        if self._steps_left > 0:
            self._steps_left -= 1

    # ------------------------------------------------------------ single steps

    def deliver(self, peer: Peer, way: str, stream: Stream) -> None:
        """Deliver the first message of a queue, if there is one, and let its receiver react."""
        wire = self.wires[peer]
        queue = (wire.up if way == "up" else wire.down)[stream]
        if not queue:
            return
        frames = queue.popleft()
        if way == "down":
            peer.receive(stream, decode(frames[0], frames[1:]), self.now)
            self._speak(peer)
        else:
            origin = Origin(Connection(0, stream, wire.address[stream]))
            with self._mortal():
                self.switchboard.receive(origin, frames[0], frames[1:], self.now)
                self._turn()

    def repeat(self, peer: Peer, way: str, stream: Stream) -> None:
        """Let the first message of a queue arrive twice."""
        wire = self.wires[peer]
        queue = (wire.up if way == "up" else wire.down)[stream]
        if queue:
            queue.appendleft(queue[0])

    def cut(self, peer: Peer, stream: Stream, lost: int) -> None:
        """Break a connection."""
        self.wires[peer].cut(stream, lost)

    def advance(self, seconds: float) -> None:
        """Let time pass, and everyone do what is due."""
        self.now += seconds
        with self._mortal():
            self.switchboard.tick(self.now)
            self._commit()
            self._turn()
        for peer in tuple(self.wires):
            self.tick(peer)

    def tick(self, peer: Peer) -> None:
        """Let one peer do what is due, and say what it has to say."""
        peer.tick(self.now)
        self._speak(peer)

    def turn(self) -> None:
        """End a turn of the hub's loop."""
        with self._mortal():
            self._turn()

    def _turn(self) -> None:
        for effects in self.switchboard.turn(self.now):
            self._carry_out(effects)
        self.check()

    def commit(self) -> None:
        """Let the store have, and finish, what has gathered."""
        with self._mortal():
            self._commit()
            self.store.commit()
            self._turn()

    def _speak(self, peer: Peer) -> None:
        wire = self.wires[peer]
        peer.take_link_actions()
        for stream, message in peer.drain():
            if isinstance(message, StartHook):
                self.hooks.add(message.id)
            wire.up[stream].append([bytes(frame) for frame in encode(message)])

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        """Do it in the hub's order: what is sent first, refusals in their place."""
        later = []
        for effect in effects:
            if isinstance(effect, Send) and not isinstance(effect.message, Refused):
                self._send(effect)
            else:
                later.append(effect)
        for effect in later:
            if isinstance(effect, Send):
                self._commit(effect)
            elif isinstance(effect, SendStored):
                self._commit(effect.send)
            elif isinstance(effect, Commit):
                self.commits.add(effect, self.now)
            elif isinstance(effect, Publish):
                self._send(effect)
            elif isinstance(effect, Stop):
                self.stopped.append(effect.reason)

    def _commit(self, *then: Send) -> None:
        """Give the store what has gathered."""
        commit = self.commits.take()
        sends = (*(each.send() for each in commit.then), *then)
        self._step()
        self.store.write(commit.operations, lambda: [self._send(send) for send in sends])

    def _send(self, effect: Send | Publish) -> None:
        self._step()
        self._check_sent(effect.message)
        connection = effect.connection
        for wire in self.wires.values():
            if wire.address[connection.stream] == connection.address:
                frames = [bytes(frame) for frame in encode(effect.message)]
                wire.down[connection.stream].append(frames)
                return
        self.unreachable += 1
        self.switchboard.disconnected(connection)

    def _check_sent(self, message: Message) -> None:
        """Assert that nothing is given to an engine whose result is stored."""
        self.ended |= self.store.ended()
        if isinstance(message, RunTasks):
            again = self.ended.intersection(row[0] for row in message.rows)
            assert not again, f"tasks {again} are run after their results were accepted"
        elif isinstance(message, RunCommand):
            assert message.id not in self.ended - self.hooks, "a command is run after its result was accepted"

    def check(self) -> None:
        """Assert every invariant of the hub."""
        self.switchboard.check()
        assert not self.switchboard.failures

    # ------------------------------------------------------------ until it is quiet

    def run(self, most: int = 100_000) -> None:
        """Deliver everything, in a fair order, until nothing is on its way; no time passes."""
        for _ in range(most):
            busy = [(peer, *at) for peer, wire in self.wires.items() for at in wire.busy()]
            if not busy:
                return
            for peer, way, stream in busy:
                self.deliver(peer, way, stream)
        raise AssertionError("the world does not come to rest")

    def pass_time(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass in steps, with everything delivered in each."""
        until = self.now + seconds
        while self.now < until:
            self.advance(step)
            self.run()
