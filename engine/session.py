"""The sessions of engine and nanny: what they owe the hub, without I/O.

Theory of operation (engine)
----------------------------
A request arrives on the multiengine or the task stream, each a *lane* here. From then on the lane
*holds* it: first as work (queued or running, which is the worker's affair), then as a result that
the hub has not acknowledged. What is held is named in every hello, so that the hub sends again
only what was lost; results are sent again after every hello. A request is known by its id, an
attempt at a task besides by its number: a result of an attempt that the hub has replaced by a later
one is dropped here already.

Commands are run once. The ids of the last `REMEMBERED` are known: one that comes again, and is not
held any more, has been run before, and its result is gone.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ctrlhub.engine.functions import FunctionStore
from ctrlhub.engine.lane import Lane
from ctrlhub.engine.lease import LeasedMembership
from ctrlhub.engine.work import CommandWork, Function, Row, TaskWork, Worker
from ctrlhub.link.patience import Patience
from ctrlhub.link.states import State
from ctrlhub.wire.codec import resolve
from ctrlhub.wire.errors import CtrlHubError, Failure, ResultLost, SerializationError, pack_failure
from ctrlhub.wire.ids import Ranges
from ctrlhub.wire.messages import (
    Beat,
    EngineDied,
    Functions,
    Interrupt,
    Message,
    NeedFunctions,
    Register,
    Registered,
    RunCommand,
    RunTasks,
    Shutdown,
    Signal,
    Status,
    Stored,
    Stream,
)

RETRY_STOP = 0.02
"""How soon (seconds) to look again for a request to be stopped that was just about to begin."""

LAST_WORDS = 1.0
"""How long (seconds) an engine that ends waits for the hub to acknowledge its last results."""

_NEVER = float("inf")

REMEMBERED = 65_536
"""So many commands are recognised when they come again. A hub that forgot them sends those again that
were outstanding, which are among the last."""


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
        How long (s) what runs may go on once the engine is to finish.
    patience, seed
        As in `Membership`.
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
    ) -> None:
        super().__init__(registration, hub_lease, patience or Patience(), seed)
        self._worker = worker
        self._drain = drain
        self._functions = FunctionStore()
        self._commands = Lane(Stream.MULTIENGINE)
        self._tasks = Lane(Stream.TASK)
        self._lanes = {lane.stream: lane for lane in (self._commands, self._tasks)}
        self._taken: OrderedDict[int, None] = OrderedDict()
        self._stopping: list[int] = []
        self._stop_due = _NEVER
        self._finish_due = _NEVER
        self._finished = ""
        self._handlers: dict[type[Message], Callable[[Stream, Any, float], None]] = {
            RunTasks: self._on_run_tasks,
            RunCommand: self._on_run_command,
            Stored: self._on_stored,
            Functions: self._on_functions,
            Interrupt: self._on_interrupt,
            Shutdown: self._on_shutdown,
        }

    # ------------------------------------------------------------ what the shell calls

    def task_results(self, rows: Iterable[Row], now: float) -> None:
        """Take the results of tasks."""
        for row in rows:
            self._tasks.finish(row)

    def command_results(self, rows: Iterable[Row], now: float) -> None:
        """Take the results of commands."""
        for row in rows:
            self._commands.finish(row)

    def finish(self, reason: str, now: float) -> None:
        """Begin to end: nothing new begins, what runs may end, then the engine leaves."""
        if self._finished:
            return
        self._finished = reason or "it was told to"
        self._finish_due = now + self._drain
        self._worker.finish()

    def idle(self, now: float) -> None:
        """Take note that the worker has ended: what is left is to hand over the last results."""
        self._finished = self._finished or "it was told to"
        self._finish_due = min(self._finish_due, now + LAST_WORDS)
        for lane in self._lanes.values():
            lane.held.clear()

    # ------------------------------------------------------------ as a membership

    def tick(self, now: float) -> None:
        """Do what is due."""
        super().tick(now)
        if now >= self._stop_due:
            self._stop(now)
        if self._finished and self.state is not State.GONE:
            owes = any(lane.held or lane.results for lane in self._lanes.values())
            if now >= self._finish_due or not owes or self._is_alone():
                self.goodbye(now, self._finished)

    def _is_alone(self) -> bool:
        """Tell whether there is nobody to hand results to, and nothing runs any more."""
        return self.state is not State.JOINED and not any(x.held for x in self._lanes.values())

    def next_deadline(self) -> float | None:
        """Tell when `tick` is next due."""
        due = super().next_deadline()
        return None if due is None else min(due, self._stop_due, self._finish_due)

    def held(self, stream: Stream) -> Ranges:
        """Tell which requests of a stream we have."""
        return self._lanes[stream].ids()

    def on_joined(self, registered: Registered, now: float) -> None:
        """Say everything again that was not answered."""
        super().on_joined(registered, now)
        self._worker.joined(self.engine_id)
        for lane in self._lanes.values():
            self._resume(lane)

    def on_welcome(self, stream: Stream, now: float) -> None:
        """Say again what the broken connection may have lost."""
        self._resume(self._lanes[stream])

    def _resume(self, lane: Lane) -> None:
        lane.unsent = deque(lane.results.values())
        lane.asked.clear()
        self._request(lane, dict.fromkeys(w.function.digest for w in lane.parked if _waits(w)))  # type: ignore[union-attr]

    def drain(self) -> list[tuple[Stream, Message]]:
        """Take what is to be sent: what membership has to say, then results."""
        messages = super().drain()
        if self.state is State.JOINED:
            for lane in self._lanes.values():
                if lane.unsent:
                    messages.extend((lane.stream, message) for message in lane.messages())
        return messages

    def on_message(self, stream: Stream, message: Message, now: float) -> None:
        """Take work and control."""
        handler = self._handlers.get(type(message))
        if handler is not None:
            handler(stream, message, now)

    # ------------------------------------------------------------ work

    def _on_run_tasks(self, stream: Stream, message: RunTasks, now: float) -> None:
        if self._finished:
            return
        frames = message.frames
        self._functions.learn((d, resolve(ref, frames)) for d, ref in message.functions)
        functions = [self._functions.get(row[0]) for row in message.templates]
        missing = {f.digest: None for f in functions if f.blob is None}
        lane, held, work = self._tasks, self._tasks.held, []
        for number, attempt, index, ref in message.rows:
            if (number in held or number in lane.results) and lane.known(number, attempt):
                continue
            payload = ref if type(ref) is bytes else resolve(ref, frames)
            held[number] = attempt
            lane.results.pop(number, None)
            work.append(TaskWork(number, attempt, functions[index], payload))
        if missing:
            lane.parked.extend(each for each in work if _waits(each))
            work = [each for each in work if not _waits(each)]
            self._request(lane, missing)
        if work:
            self._worker.run_tasks(work)

    def _on_run_command(self, stream: Stream, message: RunCommand, now: float) -> None:
        lane, number = self._commands, message.id
        if self._finished or lane.known(number, 0):
            return
        lane.held[number] = 0
        if number in self._taken:
            self._fail(lane, number, 0, ResultLost(
                "this command was run before, and its result was lost with the hub that had it"
            ))  # fmt: skip
            return
        self._taken[number] = None
        if len(self._taken) > REMEMBERED:
            self._taken.popitem(last=False)
        frames = message.frames
        self._functions.learn((d, resolve(ref, frames)) for d, ref in message.functions)
        function = self._functions.get(message.function) if message.function else None
        work = CommandWork(number, message.action, function, resolve(message.payload, frames))
        if function is not None and function.blob is None:
            self._request(lane, (function.digest,))
        if lane.parked or _waits(work):
            lane.parked.append(work)  # commands keep their order
        else:
            self._worker.run_command(work)

    def _on_stored(self, stream: Stream, message: Stored, now: float) -> None:
        self._lanes[stream].acknowledge(message.requests)

    def _fail(self, lane: Lane, number: int, attempt: int, error: CtrlHubError) -> None:
        failure = pack_failure(Failure.from_error(error, engine_id=self.engine_id))
        lane.finish((number, attempt, int(Status.ERROR), failure, 0.0, 0.0, None))

    # ------------------------------------------------------------ functions

    def _request(self, lane: Lane, digests: Iterable[bytes]) -> None:
        wanted = tuple(digests)
        if wanted:
            lane.asked.append(wanted)
            self.send(lane.stream, NeedFunctions(wanted))

    def _on_functions(self, stream: Stream, message: Functions, now: float) -> None:
        lane = self._lanes[stream]
        self._functions.learn((d, resolve(ref, message.frames)) for d, ref in message.functions)
        asked = frozenset(lane.asked.popleft()) if lane.asked else frozenset()
        parked, lane.parked = lane.parked, deque()
        for work in parked:
            attempt = work.attempt if isinstance(work, TaskWork) else 0
            if _waits(work) and _digest(work) in asked:
                self._fail(lane, work.id, attempt, SerializationError(
                    "the hub no longer has the function of this request; call it again"
                ))  # fmt: skip
            elif _waits(work) or (lane.parked and isinstance(work, CommandWork)):
                lane.parked.append(work)
            elif isinstance(work, TaskWork):
                self._worker.run_tasks([work])
            else:
                self._worker.run_command(work)

    # ------------------------------------------------------------ control

    def _on_interrupt(self, stream: Stream, message: Interrupt, now: float) -> None:
        for lane in self._lanes.values():
            for number in lane.held:
                if any(first <= number <= last for first, last in message.requests):
                    self._stopping.append(number)
        self._stop(now)

    def _stop(self, now: float) -> None:
        """Stop what is to be stopped. What is just between queued and running is tried again."""
        wanted = [n for n in self._stopping if n in self._tasks.held or n in self._commands.held]
        self._stopping, self._stop_due = [], _NEVER
        if not wanted:
            return
        for lane in self._lanes.values():
            parked = [work.id for work in lane.parked if work.id in wanted]
            lane.parked = deque(work for work in lane.parked if work.id not in parked)
            self._cancelled(parked)
        withdrawn, elsewhere = self._worker.stop_requests(wanted)
        self._cancelled(withdrawn)
        if elsewhere:
            self._stopping, self._stop_due = elsewhere, now + RETRY_STOP

    def _cancelled(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            for lane in self._lanes.values():
                attempt = lane.held.get(number)
                if attempt is not None:
                    lane.finish((number, attempt, int(Status.CANCELLED), b"", 0.0, 0.0, None))

    def _on_shutdown(self, stream: Stream, message: Shutdown, now: float) -> None:
        self.finish(message.reason, now)


def _digest(work: TaskWork | CommandWork) -> bytes:
    return work.function.digest if work.function is not None else b""


def _waits(work: TaskWork | CommandWork) -> bool:
    function: Function | None = work.function
    return function is not None and function.blob is None


class NannySession(LeasedMembership):
    """What a nanny tells the hub, and is told.

    Parameters
    ----------
    registration
        What the nanny says of itself.
    vouches
        Gives the keys of the engines whose processes run.
    on_signal
        Called with the key of an engine and the name of a signal to send it.
    on_shutdown
        Called with the reason, when all is to end.
    hub_lease, patience, seed
        As in `EngineSession`.
    """

    def __init__(
        self,
        registration: Register,
        *,
        vouches: Callable[[], Sequence[str]],
        on_signal: Callable[[str, str], None],
        on_shutdown: Callable[[str], None],
        hub_lease: float,
        patience: Patience | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(registration, hub_lease, patience or Patience(), seed)
        self._vouches = vouches
        self._on_signal = on_signal
        self._on_shutdown = on_shutdown
        self._deaths: dict[str, EngineDied] = {}

    def report(self, death: EngineDied, now: float) -> None:
        """Tell the hub that an engine has died, now or as soon as there is a hub."""
        self._deaths[death.key] = death
        if self.state is State.JOINED:
            self.send(Stream.HUB, death)

    def replaced(self, key: str) -> None:
        """Take note that another engine runs with this key: the death is no longer news."""
        self._deaths.pop(key, None)

    def beat(self) -> Beat:
        """Vouch for the engines whose processes run."""
        return Beat(tuple(self._vouches()))

    def on_joined(self, registered: Registered, now: float) -> None:
        """Tell the deaths of the meantime, and who lives."""
        super().on_joined(registered, now)
        for death in self._deaths.values():
            self.send(Stream.HUB, death)
        self.send(Stream.HUB, self.beat())

    def on_message(self, stream: Stream, message: Message, now: float) -> None:
        """Take control."""
        if isinstance(message, Signal):
            self._on_signal(message.key, message.name)
        elif isinstance(message, Shutdown):
            self._on_shutdown(message.reason)
