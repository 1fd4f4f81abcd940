"""A crowd of engines in one process: real sessions and sockets, one loop, and nothing to run.

What registers, beats and is told to end is `EngineSession` as ever; what it speaks through are a real
link's ports. Only the loop is shared, so that thousands fit into a process, and no user code is there.

As a program: ``python -m tests.support.crowd CONNECTION COUNT``, told "stay" or nothing on standard
input; it says one line of JSON for each change of how many have joined.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import zmq

from ctrlhub.engine.process import registration
from ctrlhub.engine.session import EngineSession
from ctrlhub.engine.work import CommandWork, TaskWork
from ctrlhub.link.base import Arrival
from ctrlhub.link.port import NEVER, Curve, Port
from ctrlhub.link.states import LinkAction, State
from ctrlhub.link.zeromq import ORDER
from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.messages import Beat, Refused, Role, Stream
from ctrlhub.wire.security import KeyPair

MAX_SOCKETS = 65_536
LOOK = 0.02
"""Seconds between two looks at what is due, and at how all fare."""


class Nothing:
    """Runs nothing: what an engine's session needs of a worker."""

    def __init__(self) -> None:
        self.joinings = 0

    def joined(self, engine_id: int) -> None:
        """Count."""
        self.joinings += 1

    def run_command(self, work: CommandWork) -> None:
        """Refuse."""
        raise AssertionError(f"the crowd was given {work!r}")

    def run_tasks(self, work: list[TaskWork]) -> None:
        """Refuse."""
        raise AssertionError(f"the crowd was given {work!r}")

    def stop_requests(self, requests: Sequence[int]) -> tuple[list[int], list[int]]:
        """Have none."""
        return [], []

    def give_back(self, most: int) -> list[int]:
        """Have none."""
        return []

    def interrupt(self, requests: Sequence[int]) -> list[int]:
        """Have none."""
        return []

    def interrupt_running(self) -> list[int]:
        """Have none."""
        return []

    def insist(self, requests: Iterable[int]) -> None:
        """Have none."""

    def look(self) -> None:
        """Have no output."""

    def hold(self, request: int) -> None:
        """Have none."""

    def forward_logs(self, levels: Mapping[str, int]) -> None:
        """Log nothing."""

    def take_logs(self) -> tuple[list[dict[str, Any]], bool]:
        """Log nothing."""
        return [], False

    def finish(self) -> None:
        """Have nothing to finish."""


class Member:
    """One engine of the crowd."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self.keys = KeyPair.generate()
        self.worker = Nothing()
        said = registration(Role.ENGINE, self.keys.public, os.urandom(16))
        self.session = EngineSession(said, self.worker, hub_lease=600.0, drain=1.0)
        self.ports: dict[Stream, Port] = {}
        self.silences = self.beats = 0
        self.due = NEVER
        silent = self.session.on_silent

        def on_silent(now: float) -> None:
            self.silences += 1
            silent(now)

        self.session.on_silent = on_silent  # type: ignore[method-assign]

    def start(self) -> None:
        """Begin to join."""
        enrols = self._crowd.enrolment is not None
        self._open(enrolling=enrols)
        self.session.start(time.monotonic(), enrols)
        self.speak()

    def _open(self, *, enrolling: bool) -> None:
        self.close()
        info, curve = self._crowd.info, self._crowd.enrolment
        if curve is not None and not enrolling:
            curve = Curve(info.server_key, self.keys)
        addresses = info.ipc if curve is None else info.tcp
        streams = [Stream.HUB] if enrolling else [s for s in ORDER if s is not Stream.IOPUB]
        for stream in streams:
            self._crowd.open(self, Port(stream, addresses[stream], curve))

    def close(self) -> None:
        """Close all sockets."""
        for port in self.ports.values():
            self._crowd.close(port)
        self.ports.clear()

    def hear(self, arrivals: Sequence[Arrival]) -> None:
        """Take messages."""
        now = time.monotonic()
        for stream, header, frames in arrivals:
            message = decode(header, frames)
            self.beats += isinstance(message, Beat)
            self.session.receive(stream, message, now)
        self.speak()

    def tick(self, now: float) -> None:
        """Do what is due."""
        self.session.tick(now)
        for port in list(self.ports.values()):
            if port.reopen_due <= now:
                self._crowd.open(self, port)
        self.speak()

    def speak(self) -> None:
        """Say what the session has to say."""
        for action in self.session.take_link_actions():
            self._open(enrolling=action is LinkAction.ENROL_AGAIN)
        for stream, message in self.session.drain():
            port = self.ports.get(stream)
            if port is not None:  # else it is said again, as by a link
                port.send(encode(message))
                self._crowd.unsure[port] = self
        due = self.session.next_deadline()
        reopen = min((port.reopen_due for port in self.ports.values()), default=NEVER)
        self.due = min(NEVER if due is None else due, reopen)


@dataclass(frozen=True, slots=True)
class Tally:
    """How a crowd fares.

    Parameters
    ----------
    joined
        How many are registered.
    joinings
        How often one was told that it is; more than the crowd has members where some came again.
    silences
        How often one thought the hub gone.
    beats
        How many beats have been answered to each, at least.
    refused
        Why those that were not let in were not.
    """

    joined: int
    joinings: int
    silences: int
    beats: int
    refused: tuple[str, ...]


class Crowd:
    """Many engines for one hub, in this thread.

    Parameters
    ----------
    info
        The connection file for engines.
    count
        How many.
    prefer
        How to reach the hub.
    """

    def __init__(self, info: ConnectionInfo, count: int, prefer: Literal["ipc", "tcp"]) -> None:
        self.info = info
        self.enrolment = None
        if prefer == "tcp":
            assert info.enrolment is not None
            self.enrolment = Curve(info.server_key, info.enrolment)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, MAX_SOCKETS)
        self._poll = select.epoll()
        self._readers: dict[int, tuple[Member, Port]] = {}
        self._watchers: dict[int, tuple[Member, Port]] = {}
        self.unsure: dict[Port, Member] = {}
        """The ports whose descriptors may not tell of messages that are there."""
        self._members = [Member(self) for _ in range(count)]

    def open(self, member: Member, port: Port) -> None:
        """Connect one stream of a member."""
        member.ports[port.stream] = port
        try:
            descriptors = port.open(self._context)
        except zmq.ZMQError as error:
            port.put_off(error, time.monotonic())
            return
        for descriptor, table in zip(descriptors, (self._readers, self._watchers), strict=True):
            table[descriptor] = member, port
            self._poll.register(descriptor, select.EPOLLIN)
        self.unsure[port] = member
        self._attend(member, port)  # a monitor that was never asked does not signal

    def close(self, port: Port) -> None:
        """Close it."""
        if port.socket is None:
            return
        for descriptor, table in ((port.fd, self._readers), (port.monitor_fd, self._watchers)):
            self._poll.unregister(descriptor)
            del table[descriptor]
        port.close(0)

    def start(self) -> None:
        """Have all of them begin to join, at once."""
        for member in self._members:
            member.start()

    def turn(self) -> None:
        """Take what there is."""
        unsure, self.unsure = self.unsure, {}
        for descriptor, _ in self._poll.poll(0.0 if unsure else LOOK, maxevents=1024):
            if found := self._readers.get(descriptor):
                unsure[found[1]] = found[0]
            elif found := self._watchers.get(descriptor):
                self._attend(*found)
        for port, member in unsure.items():
            if member.ports.get(port.stream) is port and port.has_messages():
                arrivals: list[Arrival] = []
                port.backlog = True
                port.take(arrivals)
                self.unsure[port] = member
                member.hear(arrivals)

    def tick(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        for member in self._members:
            if member.due <= now:
                member.tick(now)

    def _attend(self, member: Member, port: Port) -> None:
        for event in port.news():
            port.learn(event, time.monotonic())
        if port.reopen_due != NEVER:
            self.close(port)
            member.due = min(member.due, port.reopen_due)

    def tally(self) -> Tally:
        """Return how it fares."""
        refused = [each.session.refused for each in self._members]
        return Tally(
            joined=sum(each.session.state is State.JOINED for each in self._members),
            joinings=sum(each.worker.joinings for each in self._members),
            silences=sum(each.silences for each in self._members),
            beats=min(each.beats for each in self._members),
            refused=tuple(f"{why.code}: {why.message}" for why in refused if isinstance(why, Refused)),
        )

    def leave(self) -> None:
        """Say goodbye, and close everything."""
        now = time.monotonic()
        for member in self._members:
            member.session.goodbye(now, "the crowd disperses")
            for stream, message in member.session.drain():
                if stream in member.ports:
                    member.ports[stream].send(encode(message))
            for port in member.ports.values():
                port.close(1000)
        self._context.term()


def run(info: ConnectionInfo, count: int, prefer: Literal["ipc", "tcp"], stays: Callable[[], bool]) -> None:
    """Be a crowd, and say how it fares, as long as it is to stay."""
    crowd = Crowd(info, count, prefer)
    print(json.dumps({"ready": count}), flush=True)
    sys.stdin.readline()  # all crowds begin at once
    began = time.monotonic()
    crowd.start()
    last: Tally | None = None
    looked = 0.0
    while stays():
        crowd.turn()
        if time.monotonic() < looked + LOOK:
            continue
        looked = time.monotonic()
        crowd.tick()
        tally = crowd.tally()
        if tally != last:
            said = {"at": time.monotonic() - began, "joined": tally.joined, "joinings": tally.joinings}
            more = {"silences": tally.silences, "beats": tally.beats, "refused": sorted(set(tally.refused))}
            print(json.dumps(said | more), flush=True)
            last = tally
    crowd.leave()


def main() -> None:
    """Run as a program."""
    file, count, prefer = sys.argv[1:]
    assert prefer in ("ipc", "tcp")
    told = select.poll()
    told.register(0, select.POLLIN)
    run(ConnectionInfo.load(Path(file)), int(count), prefer, lambda: not told.poll(0))


if __name__ == "__main__":
    main()
