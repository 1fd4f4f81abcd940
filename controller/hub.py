"""The hub: the process with the only loop, clock and log. It decides nothing.

Each turn of the loop takes what its transports have, hands it to the switchboard, and carries out the
effects: messages to transports, records to the store. Messages that arrive together leave together.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import SystemRandom
from secrets import token_hex
from threading import Thread

from ctrlhub.controller.borrowing import Borrowing
from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.core.effects import (
    Commit,
    Connection,
    Effect,
    EndBulk,
    Publish,
    Send,
    SendStored,
    StartGateway,
    Stop,
)
from ctrlhub.controller.core.keeping import GatewayKeeper
from ctrlhub.controller.descriptors import DescriptorRoom
from ctrlhub.controller.former_ports import BULK
from ctrlhub.controller.gateway_process import GatewayProcess
from ctrlhub.controller.heap import Heap, memory_here
from ctrlhub.controller.interfaces.finding import find_interfaces
from ctrlhub.controller.interfaces.history import HistoryQuery
from ctrlhub.controller.interfaces.query import Query
from ctrlhub.controller.loop import HubLoop
from ctrlhub.controller.memory_bound import SHARE, MemoryBound, memory_of_host
from ctrlhub.controller.own_process import OwnProcess
from ctrlhub.controller.stores.base import Store
from ctrlhub.controller.storing import Storing
from ctrlhub.controller.switchboard import Origin, Switchboard
from ctrlhub.controller.transports.base import Transport
from ctrlhub.controller.transports.bulk import BulkPort
from ctrlhub.wire.addresses import port_of
from ctrlhub.wire.codec import encode
from ctrlhub.wire.errors import SegmentLost
from ctrlhub.wire.messages import Buffer, Message, Part, Refused, Stream
from ctrlhub.wire.parts import whole
from ctrlhub.wire.security import KeyRegistry, new_token
from ctrlhub.wire.segments import nbytes_of
from ctrlhub.wire.transfers import is_large, nbytes_of_chunk
from ctrlhub.wire.versions import versions

log = logging.getLogger(__name__)

BUDGET = 8
"""Messages taken from a stream before what they brought is handed on: fewer if they are large."""

ROUNDS = 16
"""Rounds over all streams before the loop may do something else (timers, signals, other streams)."""

LONG_TURN = 0.02
"""Seconds after which it may do so as well: a client that sends without end delays nobody for longer
than one of its messages takes."""


STANDSTILL = 1.0
"""A tick that is late by this much (seconds) means that this process was held up, not its peers."""

LEAST_SLEEP = 0.01
"""The least time (seconds) between two ticks."""


class Hub:
    """A hub on given transports and store. Make it, and run it, in one thread.

    Parameters
    ----------
    config
        Its options.
    transports
        How peers reach it.
    store
        Where accepted requests and results live.
    keys
        The public keys that CURVE accepts; None without TCP.
    loop
        Its loop; None makes one.
    bulk
        Where it takes bulk connections, of peers that come over TCP; None takes none.

    Attributes
    ----------
    heap : Heap
        Gives back what is not needed of its memory.
    paused : bool
        It ends, and another is to take its place.
    """

    def __init__(
        self,
        config: HubConfig,
        transports: Sequence[Transport],
        store: Store,
        keys: KeyRegistry | None = None,
        loop: HubLoop | None = None,
        bulk: BulkPort | None = None,
    ) -> None:
        self.config = config
        self.epoch = token_hex(8)
        self.started = time.time()
        unix_offset = time.time() - time.monotonic()
        self.switchboard = Switchboard(
            config,
            find_interfaces(config.interfaces),
            epoch=self.epoch,
            new_token=new_token,
            versions=versions(),
            keys=keys,
            borrowing=Borrowing(),
            random=SystemRandom(),
            store=store,
        )
        self.switchboard.joining.why_full = DescriptorRoom().why_full
        query = self.switchboard.interfaces.get("query")
        if isinstance(query, Query):
            query.started, query.pid, query.unix_offset = self.started, os.getpid(), unix_offset
        figures = self.switchboard.figures
        figures.unix_offset, figures.started = unix_offset, self.started
        self._vitals = figures.vitals
        self._own = OwnProcess(self._vitals)
        history = self.switchboard.interfaces.get("history")
        if isinstance(history, HistoryQuery):
            history.unix_offset = unix_offset
        self._transports = tuple(transports)
        self._bulk = bulk
        self._gateway: GatewayProcess | None = None
        self.switchboard.large.offers_bulk = bulk is not None
        self._store = store
        self._loop = loop or HubLoop()
        self._stopping = self._goes_on = self.paused = False
        self._tick_due = 0.0
        self._alarm = self.switchboard.alarm
        storing = Storing(store, self._loop, self._send, self._turn, self._work_again)
        self._gather, self._commit = storing.gather, storing.commit
        self.switchboard.restore(store.load(), unix_offset, time.monotonic())
        memory = memory_here()
        self.heap = Heap(memory, self.switchboard.settle)
        self._bound = MemoryBound(memory, self._most_memory())
        self.switchboard.why_no_memory = lambda: self._bound.trouble

    def _most_memory(self) -> int:
        config = self.config
        return config.max_memory or max(config.least_memory, memory_of_host() // SHARE)

    def run(self) -> None:
        """Serve until `stop`."""
        for number, transport in enumerate(self._transports):
            transport.start(number, self._loop, self._turn)
        if self._bulk is not None:
            large = self.switchboard.large
            self._bulk.start(self._loop, large, self._receive_bulk, self._carry_out_all)
        self._tick_due = time.monotonic()
        self._loop.soon(self._tick)
        log.info("hub %s serves profile %s", self.epoch, self.config.profile)
        try:
            self._loop.run()
        finally:
            for transport in self._transports:
                transport.close()
            if self._bulk is not None:
                self._bulk.close()
            if self._gateway is not None:
                self._gateway.end()
            self._store.close()
            self._loop.close()
        log.info("hub %s has ended", self.epoch)

    def describe(self, tcp: Mapping[Stream, str]) -> None:
        """Tell the query interface, if it is exposed, where the hub listens."""
        query = self.switchboard.interfaces.get("query")
        if isinstance(query, Query):
            query.ports = {s.value: port_of(a) for s, a in tcp.items()}
            if tcp and self._bulk is not None:
                query.ports = {**query.ports, BULK: port_of(self._bulk.address)}

    def keep_gateway(self, process: GatewayProcess, *, at_once: bool) -> None:
        """Start the HTTP gateway when somebody wants it, or `at_once`, and again when it dies."""
        self._gateway = process
        self.switchboard.gateway.why_never = ""
        process.tell(self._gateway_news)
        if at_once:
            self.switchboard.gateway.want(time.monotonic())

    def keep_no_gateway(self, why: str) -> None:
        """Say why there is to be none, to who asks for it."""
        self.switchboard.gateway.why_never = why

    def _gateway_news(self, news: Callable[[GatewayKeeper, float], None]) -> None:
        """Take what the thread of the gateway's process says, in our own."""
        def take() -> None:
            news(self.switchboard.gateway, time.monotonic())
            self._carry_out_all()

        self._loop.soon(take)

    def watch_lifeline(self, descriptor: int) -> None:
        """End when a descriptor reaches its end of file: whoever made this hub has died."""
        if sys.platform == "win32":  # where a pipe can only be waited for
            Thread(target=self._await_end, args=(descriptor,), name="lifeline", daemon=True).start()
            return
        os.set_blocking(descriptor, False)

        def ready() -> None:
            if not os.read(descriptor, 4096):
                self._loop.unwatch(descriptor)
                self._stop("its creator has ended")

        self._loop.watch(descriptor, ready)

    def _await_end(self, descriptor: int) -> None:
        while os.read(descriptor, 4096):
            continue
        self.stop("its creator has ended")

    def stop(self, reason: str) -> None:
        """End cleanly, soon; from any thread, or a signal's handler."""
        self._loop.soon(partial(self._stop, reason))

    def pause(self, reason: str) -> None:
        """End soon, and leave everything to the hub that takes this one's place; as `stop`."""
        self._loop.soon(partial(self._stop, reason, pauses=True))

    def _stop(self, reason: str, *, pauses: bool = False) -> None:
        if self._stopping:
            return
        self._stopping, self.paused = True, pauses
        log.info("stopping: %s", reason)
        try:
            leave = self.switchboard
            self._carry_out(leave.pause() if pauses else leave.shut_down(reason))
            self._commit()
        finally:
            self._loop.stop()

    def _turn(self) -> None:
        """Take what is there and carry out what follows, until there is nothing."""
        if self._stopping:
            return
        until = 0.0
        for _ in range(ROUNDS):
            taken = 0
            for transport in self._transports:
                taken += transport.receive(self._receive, BUDGET)
            if not taken:
                return
            now = time.monotonic()
            self._carry_out_all(now)
            until = until or now + LONG_TURN
            if now > until:
                break
        # Once, however many turns end here: the loop looks at other streams behind all that is due.
        if not self._goes_on:
            self._goes_on = True
            self._loop.soon(self._go_on)

    def _carry_out_all(self, now: float | None = None) -> None:
        """Carry out what follows from what was taken."""
        if self._stopping:
            return
        for effects in self.switchboard.turn(time.monotonic() if now is None else now):
            self._carry_out(effects)
        if self._alarm.due < self._tick_due:
            self._tick_at(self._alarm.due)

    def _go_on(self) -> None:
        self._goes_on = False
        self._turn()

    def _receive(
        self, connection: Connection, user: str | None, header: Buffer, frames: Sequence[Buffer]
    ) -> None:
        self._vitals.came(len(header) + (sum(map(nbytes_of, frames)) if frames else 0))
        self.switchboard.receive(Origin(connection, user), header, frames, time.monotonic())

    def _receive_bulk(self, ticket: bytes, stream: Stream, part: Part) -> None:
        self._vitals.came(sum(map(nbytes_of, part.frames)))
        self.switchboard.receive_bulk(ticket, stream, part, time.monotonic())

    def _tick(self) -> None:
        """Let the switchboard do what is due, and come back in time."""
        now = time.monotonic()
        late = now - self._tick_due
        if late < -LEAST_SLEEP / 2:  # meanwhile another time was set; rounding aside
            return
        due = None
        self._vitals.came_late(late)
        try:
            if late > STANDSTILL:
                self.switchboard.stood_still(late)
            self.switchboard.tick(now)
            if self._bulk is not None:
                self._bulk.tick()
            for effects in self.switchboard.turn(now):
                self._carry_out(effects)
            self.heap.look(now)
            self._bound.look(now)
            self._own.look(now)
            due = self.switchboard.next_deadline()
        finally:  # a bug must not stop the hub's clock
            beat = now + self.config.beat
            self._tick_at(beat if due is None else min(beat, due))
        self._turn()

    def _tick_at(self, due: float) -> None:
        self._alarm.reset()
        now = time.monotonic()
        self._tick_due = max(due, now + LEAST_SLEEP)
        self._loop.later(self._tick_due - now, self._tick)

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        """Send first: others wait for messages, and nobody for the books.

        A refusal keeps its place behind the acceptances of its turn.
        """
        later: list[Effect] = []
        for effect in effects:
            if type(effect) is Send and type(effect.message) is not Refused:
                self._send(effect)
            else:
                later.append(effect)
        for effect in later:
            if type(effect) is Commit:
                self._gather(effect)
            elif type(effect) is Send:
                # What was accepted before is told first: the client fails what it takes for refused.
                self._commit(effect)
            elif type(effect) is SendStored:
                self._commit(effect.send)
            elif type(effect) is Publish:
                self._publish(effect)
            elif type(effect) is EndBulk:
                if self._bulk is not None:
                    self._bulk.end(effect.ticket, effect.why)
            elif type(effect) is StartGateway:
                if self._gateway is not None:
                    self._gateway.start()
            elif type(effect) is Stop:
                self.stop(effect.reason)

    def _send(self, effect: Send) -> None:
        connection, message = effect.connection, effect.message
        if type(message) is Part and message.bulk and message.offset:
            self._send_bulk(connection, message)
            return
        try:
            frames = encode(effect.message, effect.shares)
            if len(frames) > 1 and is_large(frames):
                self._send_large(connection, effect.message, frames)
            elif not self._transmit(connection, frames):
                self.switchboard.disconnected(connection)
        except SegmentLost as error:  # no room to read it: it is said again after the next hello
            log.error("%s: a peer that cannot open it has to wait", error)
            self.switchboard.disconnected(connection)
        except Exception:  # a bug, or no memory: it is said again, and what others wait for goes on
            log.exception("%s could not be sent", effect.message.kind)
            self.switchboard.disconnected(connection)

    def _transmit(self, connection: Connection, frames: Sequence[Buffer]) -> bool:
        only = len(frames) == 1  # mostly, which is quicker to measure
        self._vitals.went(len(frames[0]) if only else sum(map(nbytes_of, frames)))
        return self._transports[connection.transport].send(connection, frames)

    def _publish(self, effect: Publish) -> None:
        connection = effect.connection
        try:
            if not self._transmit(connection, encode(effect.message)):
                self.switchboard.disconnected(connection)
        except Exception:  # as above
            log.exception("%s could not be published", effect.message.kind)
            self.switchboard.disconnected(connection)

    def _send_bulk(self, connection: Connection, part: Part) -> None:
        """Send a part over the bulk connection; where that is gone, its message begins anew."""
        ticket = self.switchboard.large.carrier_of(connection)
        if ticket is not None and self._bulk is not None:
            self._vitals.went(sum(map(nbytes_of_chunk, part.frames)))
            self._bulk.send(ticket, connection.stream, part)

    def _send_large(
        self, connection: Connection, message: Message, frames: Sequence[Buffer]
    ) -> None:
        parts = self.switchboard.large.cut(connection, message, frames)
        if parts is not None:
            for part in parts:
                self._send(Send(connection, part))
        elif not self._transmit(connection, whole(frames)):
            self.switchboard.disconnected(connection)

    def _work_again(self) -> None:
        """Begin what had to wait for the store."""
        if not self._stopping:
            self._tick_at(time.monotonic())
