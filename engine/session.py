"""The session of an engine: what it owes the hub, without I/O.

Theory of operation
-------------------
A request arrives on the multiengine or the task stream, each a *lane* here, and is taken in, or not
(`admission`). From then on the lane *holds* it: first as work (queued or running, which is the
worker's affair), then as a result that the hub has not acknowledged. What is held is named in every
hello, so that the hub sends again only what was lost; results are sent again after every hello. A
request is known by its id, an attempt at a task besides by its number: a result of an attempt that
the hub has replaced by a later one is dropped here already.

What is to be stopped, also of what has not come yet, is kept in `stops`. A refusal does not say of
what: what it may be about is sent again in halves, until the result is found that the hub does not
take; a failure goes in its place (`refusals`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from ctrlhub.engine.admission import Admission
from ctrlhub.engine.lane import Lane
from ctrlhub.engine.lease import Ending, LeasedMembership
from ctrlhub.engine.live import LiveOutput
from ctrlhub.engine.log_records import LogStream
from ctrlhub.engine.stops import Stops
from ctrlhub.engine.taken import TakenIds, how_it_failed
from ctrlhub.engine.work import Row, Worker
from ctrlhub.link.patience import Patience
from ctrlhub.link.states import KEY_NOT_LIVE, UNKNOWN_SESSION, State
from ctrlhub.wire.errors import ProtocolMismatch
from ctrlhub.wire.ids import Ranges, select
from ctrlhub.wire.messages import (
    Beat,
    ForwardLogs,
    Functions,
    GiveBack,
    Interrupt,
    Message,
    OutputReceived,
    Refused,
    Register,
    Registered,
    RunCommand,
    RunTasks,
    Shutdown,
    Status,
    Stored,
    Stream,
    UsageRow,
)

LAST_WORDS = 1.0
"""How long (seconds) an engine that ends waits for the hub to acknowledge its last results."""

_NEVER = float("inf")
_OK = int(Status.OK)

_ABOUT_US = frozenset({KEY_NOT_LIVE, UNKNOWN_SESSION, ProtocolMismatch.code})
"""Codes by which the hub refuses a speaker, whatever it says: that is for membership to mend."""

_log = logging.getLogger(__name__)


class EngineSession(LeasedMembership):
    """What an engine owes the hub.

    Parameters
    ----------
    registration
        What the engine says of itself.
    worker
        Who runs requests.
    hub_lease
        How long (s) to go on without a hub, as long as the hub has not said.
    drain
        How long (s) what runs may go on once the engine is to finish, unless that is said.
    patience, seed
        As in `Membership`.
    usage
        Gives what the engine uses of its host, if that is to be told with this beat.

    Attributes
    ----------
    hurried : bool
        Set, by any thread or signal's handler, when the engine is to wait for no hub any more.
    """

    def __init__(
        self,
        registration: Register,
        worker: Worker,
        *,
        hub_lease: float,
        drain: float,
        patience: Patience | None = None,
        seed: int | None = None,
        usage: Callable[[], Sequence[UsageRow]] = tuple,
    ) -> None:
        super().__init__(registration, hub_lease, patience or Patience(), seed)
        self._worker = worker
        self._usage = usage
        self._drain = drain
        self._commands = Lane(Stream.MULTIENGINE)
        self._tasks = Lane(Stream.TASK)
        self._lanes = {lane.stream: lane for lane in (self._commands, self._tasks)}
        self._taken = TakenIds()
        self._stops = Stops(self._lanes, worker)
        self._admission = Admission(self._lanes, worker, self._stops, self._taken, self.send)
        self._live = LiveOutput()
        self._logs = LogStream()
        self._finish_due = _NEVER
        self._finished = ""
        self._drains = self._waits_for_hub = False
        self.hurried = False
        self._refusal = ""
        self._handlers: dict[type[Message], Callable[[Stream, Any, float], None]] = {
            RunTasks: self._admission.run_tasks,
            GiveBack: self._admission.give_back,
            RunCommand: self._admission.run_command,
            Stored: self._on_stored,
            Functions: self._admission.functions_came,
            Interrupt: self._on_interrupt,
            Refused: self._on_refusal,
            Shutdown: self._on_shutdown,
            OutputReceived: self._on_output_received,
            ForwardLogs: self._on_forward_logs,
        }

    # ------------------------------------------------------------ what the shell calls

    def task_results(self, rows: Iterable[Row], now: float) -> None:
        """Take the results of tasks."""
        for row in rows:
            self._tasks.finish(row)

    def command_results(self, rows: Iterable[Row], now: float) -> None:
        """Take the results of commands."""
        for row in rows:
            if row[2] != _OK:
                self._taken.failed(row[0], how_it_failed(row))
            self._commands.finish(row)

    def written(self, now: float) -> None:
        """Take note that what runs puts something out."""
        self._live.written(now)

    def begun(self, now: float) -> None:
        """Take note that what runs puts out text without an end of line."""
        self._live.begun(now)

    def logged(self, now: float) -> None:
        """Take note that what is to be forwarded was logged."""
        self._logs.written(now)

    def finish(self, reason: str, now: float, within: float | None = None) -> None:
        """Begin to drain: nothing new begins, what has not begun is given back, then the engine leaves.

        Parameters
        ----------
        reason, now
            Who wants that, and the time.
        within
            How long (s) what runs may go on, and how long a hub is waited for that is away, to hand
            over its result; None is what the engine has of its own, and waits for no hub. The shortest
            that was ever said counts.
        """
        self._finish_due = min(self._finish_due, now + (self._drain if within is None else within))
        self._waits_for_hub = within is not None
        if self._finished:
            return
        self._finished = reason or "it was told to"
        self._drains = True
        self.registration = replace(self.registration, draining=self._finished)
        self._admission.drain(self._finished)

    @property
    def drains(self) -> bool:
        """Whether it is to finish what it runs, and leave."""
        return self._drains

    def make_way(self, reason: str) -> None:
        """Take note that another engine is to come in our place, unless this one is to end anyway."""
        if not self._finished:
            self._finished, self.ending = reason, Ending.MADE_WAY
            self._admission.is_shut = True

    def die(self) -> None:
        """Take note that somebody ends this process: that is for the nanny to tell."""
        if not self._finished:
            self._finished, self.ending = "it was told to", Ending.TERMINATED
            self._admission.is_shut = True

    def idle(self, now: float) -> None:
        """Take note that the worker has ended: what is left is to hand over the last results."""
        self._finished = self._finished or "it was told to"
        self._admission.is_shut = True
        if not self._waits_for_hub:
            self._finish_due = min(self._finish_due, now + LAST_WORDS)
        for lane in self._lanes.values():
            lane.held.clear()

    # ------------------------------------------------------------ as a membership

    def tick(self, now: float) -> None:
        """Do what is due."""
        super().tick(now)
        if self.hurried and self._waits_for_hub:
            self._waits_for_hub, self._finish_due = False, min(self._finish_due, now + LAST_WORDS)
        if now >= self._stops.due:
            self._stops.look(now)
        if now >= self._live.due and self.state is State.JOINED:
            self._show(now)
        if now >= self._logs.due and self.state is State.JOINED:
            for message in self._logs.messages(self._worker.take_logs, now):
                self.send(Stream.MULTIENGINE, message)
        if self._finished and self.state is not State.GONE and self._may_leave(now):
            if self.ending is Ending.TERMINATED:
                self.vanish()
                return
            self.goodbye(now, self._finished, replaced=self.ending is Ending.MADE_WAY)

    def _may_leave(self, now: float) -> bool:
        owes = any(lane.held or lane.results for lane in self._lanes.values())
        return not owes or now >= self._finish_due or self._is_alone()

    def _is_alone(self) -> bool:
        """Tell whether there is nobody to hand results to, and nothing runs any more."""
        runs = any(lane.held for lane in self._lanes.values())
        return self.state is not State.JOINED and not (runs or self._waits_for_hub)

    def next_deadline(self) -> float | None:
        """Tell when `tick` is next due."""
        due = LeasedMembership.next_deadline(self)
        if due is None:
            return None
        if self._finished and self._may_leave(self.last_heard):
            return self.last_heard  # it is over
        if self.hurried and self._waits_for_hub:
            return self.last_heard
        due = min(due, self._stops.due, self._finish_due)
        return min(due, self._live.due, self._logs.due) if self.state is State.JOINED else due

    def beat(self) -> Beat:
        """Make a beat, with what the engine uses."""
        return Beat(usage=self._usage())

    def held(self, stream: Stream) -> Ranges:
        """Tell which requests of a stream we have."""
        return self._lanes[stream].ids()

    def on_joined(self, registered: Registered, now: float) -> None:
        """Say everything again that was not answered."""
        super().on_joined(registered, now)
        self._worker.joined(self.engine_id)
        self._admission.engine_id = self.engine_id
        if not self.same_epoch:
            self.lent.clear()
            self._stops.forget_early()
            self._worker.forward_logs({})  # the hub says what its clients want
            for lane in self._lanes.values():
                lane.stored.clear()
        for lane in self._lanes.values():
            self._resume(lane)
        self._live.lost(now)

    def on_welcome(self, stream: Stream, now: float) -> None:
        """Say again what the broken connection may have lost."""
        self._resume(self._lanes[stream])
        self._live.lost(now)

    def _resume(self, lane: Lane) -> None:
        lane.resume()
        self._admission.ask_again(lane)

    def drain(self) -> list[tuple[Stream, Message]]:
        """Take what is to be sent: what membership has to say, then results."""
        messages = LeasedMembership.drain(self)
        if self.state is State.JOINED:
            for lane in self._lanes.values():
                if lane.unsent or lane.again:
                    messages.extend((lane.stream, message) for message in lane.messages())
        return messages

    def on_message(self, stream: Stream, message: Message, now: float) -> None:
        """Take work and control."""
        handler = self._handlers.get(type(message))
        if handler is not None:
            handler(stream, message, now)

    def no_room(self, stream: Stream, message: Message, now: float) -> None:
        """Let the requests fail that this engine has no memory for."""
        self._admission.no_room(stream, message)

    # ------------------------------------------------------------ acknowledged and refused results

    def _on_stored(self, stream: Stream, message: Stored, now: float) -> None:
        lane = self._lanes[stream]
        lane.acknowledge(message.requests)
        if self.lent and stream is Stream.MULTIENGINE:
            for number in select(message.requests, self.lent):
                del self.lent[number]
        if lane.refusals.count:
            lane.settle(self._refusal, self.engine_id)

    def _on_refusal(self, stream: Stream, message: Refused, now: float) -> None:
        lane = self._lanes.get(stream)
        if lane is None or message.code in _ABOUT_US:
            return
        _log.warning("the hub refused a message (%s): %s", message.code, message.message)
        self._refusal = f"{message.message} ({message.code})"
        lane.refusals.count += 1
        lane.settle(self._refusal, self.engine_id)

    # ------------------------------------------------------------ live output

    def _show(self, now: float) -> None:
        """Send what the request that runs has put out; what is not sent comes with its result."""
        source = self._worker.look()
        attempt = self._tasks.held.get(source.request, 0) if source is not None else 0
        for message in self._live.messages(source, now, attempt):
            stream = Stream.TASK if message.request in self._tasks.held else Stream.MULTIENGINE
            self.send(stream, message)
        if self._live.is_full:
            self._worker.hold(self._live.request)

    def _on_output_received(self, stream: Stream, message: OutputReceived, now: float) -> None:
        heed = self._live.missed if message.missed else self._live.received
        heed(message.request, message.number, now)

    # ------------------------------------------------------------ control

    def _on_interrupt(self, stream: Stream, message: Interrupt, now: float) -> None:
        stop = self._stops.cancel if message.cancels else self._stops.interrupt
        stop(message.requests, self._taken, now)

    def _on_forward_logs(self, stream: Stream, message: ForwardLogs, now: float) -> None:
        levels = {name: level for name, level in message.levels.items() if type(level) is int}
        self._worker.forward_logs(levels)

    def _on_shutdown(self, stream: Stream, message: Shutdown, now: float) -> None:
        self.finish(message.reason, now, message.within if message.within >= 0 else None)
