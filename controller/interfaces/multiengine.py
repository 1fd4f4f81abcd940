"""MultiEngine: commands to explicit engines.

Clients name engines and what they should do; each engine does it in turn. Tasks of the load-balanced
queue wait while an engine has commands (:attr:`Engine.available`), so a `push` is in place before the
tasks that its client submits next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from ctrlhub.controller.core.commands import CommandQueue, CommandRecord, CommandState
from ctrlhub.controller.core.deliveries import Outcome
from ctrlhub.controller.core.effects import Commit, SaveResults
from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.losses import command_story, draining_story
from ctrlhub.controller.core.relays import Relays
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.core.start_hooks import HookRun
from ctrlhub.controller.interfaces.base import Context
from ctrlhub.controller.interfaces.command_submissions import CommandSubmissions
from ctrlhub.controller.interfaces.live import Relay
from ctrlhub.controller.service import IControllerBase
from ctrlhub.wire.codec import resolve
from ctrlhub.wire.errors import (
    EngineError,
    InvalidReply,
    QueueCleared,
)
from ctrlhub.wire.failure import Failure, pack_failure, summary_of
from ctrlhub.wire.ids import Ranges, text_of
from ctrlhub.wire.messages import (
    Command,
    Functions,
    Lent,
    NeedFunctions,
    Received,
    ResultRow,
    Results,
    Status,
    Stream,
)

# Not `UNMET`, which is for tasks.
_ENDS = frozenset(map(int, {*Status} - {Status.UNMET}))
_FAILED = frozenset({int(Status.ERROR), int(Status.PARTLY)})
_NO_END = pack_failure(
    Failure.from_error(InvalidReply("the engine reported no end that a command can have"))
)


class MultiEngine(CommandSubmissions, Relay):
    """The interface for explicit engines; the seed's `MultiEngine`, one queue per engine."""

    name = "multiengine"
    stream = Stream.MULTIENGINE
    streams = frozenset({Stream.MULTIENGINE})
    handlers = {  # noqa: RUF012 - a constant; the base class types it
        Command: "submit",
        Results: "results",
        Received: "received",
        NeedFunctions: "need_functions",
        Lent: "lent",
        Functions: "functions",
        **Relay.relayed,
    }

    def __init__(self, controller: IControllerBase, context: Context) -> None:
        super().__init__(controller, context)
        self.duplicates = 0
        self._relays = Relays(context.outbox, context.sessions)
        self.follow_engines(self._engine_came, self._engine_went)

    # ------------------------------------------------------------ from engines

    def results(self, session: Session, message: Results, stream: Stream, now: float) -> None:
        """Take results; each is acknowledged once stored, also one that comes a second time."""
        engine = session.engine
        queue = self._queues.get(engine.id) if engine else None
        saved: list[tuple[int, Any]] = []
        strange: list[int] = []
        if queue is not None:
            self._ready[queue.engine.id] = queue
        for row in message.rows:
            if self._relays or session.given:
                self._relays.ended(session, row[0])
            command = None
            if queue is not None and queue.engine is engine:
                finish = queue.finish_any if session.returned else queue.finish
                command = finish(row[0])
            if command is not None and row[2] not in _ENDS:
                row = (*row[:2], int(Status.ERROR), _NO_END, *row[4:])
            if type(command) is HookRun:
                self._hook_ended(command, row[2], resolve(row[3], message.frames))
                continue
            if command is None or engine is None:
                self.duplicates += 1
                if row[0] not in self._commands:
                    strange.append(row[0])
                continue
            engine.completed += 1
            outcome = self._complete(command, engine, row, message, now)
            if not command.session.ended:
                saved.append((row[0], outcome))
            if command.stop_on_error and row[2] in _FAILED and queue is not None:
                self._clear_behind(command, queue, outcome)
        then = self.acknowledgement(session, stream, message, strange)
        self.outbox.add(Commit((SaveResults(saved),), then))

    def _complete(
        self, command: CommandRecord, engine: Engine, row: ResultRow, message: Results, now: float
    ) -> Outcome:
        number, _, status, ref, started, elapsed, extras = row
        payload = resolve(ref, message.frames)
        outcome = (number, status, payload, engine.id, started, elapsed, extras)
        self._measure(command, outcome, now)
        self._deliver(command, outcome)
        return outcome

    def client_of(self, engine: Engine, request: int) -> Session | None:
        """Return the client of a command, if it runs on this engine."""
        queue = self._queues.get(engine.id)
        command = queue.running if queue is not None and queue.engine is engine else None
        return command.session if command is not None and command.id == request else None

    def running_of(self, session: Session) -> Iterator[tuple[Engine, int]]:
        """Return the engines that run commands of a client, and which."""
        for queue in self._queues.values():
            command = queue.running
            if command is not None and command.session is session:
                yield queue.engine, command.id

    def _clear_behind(self, failed: CommandRecord, queue: CommandQueue, outcome: Outcome) -> None:
        """Clear what the client of a failed command has queued behind it, and what is on its way."""
        cleared = QueueCleared(
            f"command {text_of(failed.id)} ({failed.label or failed.action}) failed on engine "
            f"{failed.target} and was to stop what follows: {summary_of(*outcome[1:3])}"
        )
        self._halts.begin(failed, cleared)
        queued = (c for c in queue.waiting() if type(c) is not HookRun)
        mine = {c.id for c in queued if c.session is failed.session}
        for command in queue.withdraw(mine):
            self._fail(command, cleared)

    def lent(self, session: Session, message: Lent, stream: Stream, now: float) -> None:
        """Take note of where an engine lends what came with a request."""
        self._relays.lent(session, message)

    def need_functions(
        self, session: Session, message: NeedFunctions, stream: Stream, now: float
    ) -> None:
        """Send an engine the functions it has forgotten."""
        session.send(self.outbox, stream, self._functions.wanted(message.digests))

    def bound(self, session: Session, stream: Stream, held: Ranges, now: float) -> None:
        """Send again what a lost connection may have swallowed."""
        if stream is Stream.IOPUB:
            self.client_connected(session)
        if stream is not Stream.MULTIENGINE:
            return
        self._relays.left(session)
        self._deliveries.send_again(session)
        if session in self._parked:
            self._retry(session, now)
        engine = session.engine
        queue = self._queues.get(engine.id) if engine else None
        if engine is None or queue is None:
            return
        self._ready[engine.id] = queue
        self._stop_strays(engine, held)
        command = queue.running
        if command is None:
            return
        if any(first <= command.id <= last for first, last in held):
            if command.stopping:
                self._interrupt(engine, command)
        elif command.stopping:
            queue.finish(command.id)
            self._end(command, Status.CANCELLED, b"")
        else:
            self._functions.forget_engine(engine.id)
            self._relays.send(engine.session, self._to_run(engine, command))

    # ------------------------------------------------------------ the engines

    def _engine_came(self, number: int) -> None:
        engine = self.engine(number)
        queue = self._queues[number] = CommandQueue(engine)
        self._functions.forget_engine(number)
        for command in self._take_awaited(engine):
            queue.put(command)
            self._ready[number] = queue

    def _engine_went(self, number: int) -> None:
        queue = self._queues.pop(number)
        self._relays.left(queue.engine.session)
        self._ready.pop(number, None)
        self._halts.engine_went(number)
        self._functions.forget_engine(number)
        running = queue.running
        for command in queue.clear():
            why = command_story(queue.engine, command, running)
            self._fail(command, EngineError(why, number))

    def drains(self, engine: Engine) -> None:
        """Fail what an engine has not begun, since it will not."""
        queue = self._queues.get(engine.id)
        if queue is not None and queue.engine is engine:
            for command in queue.withdraw({each.id for each in queue.waiting()}):
                self._fail(command, EngineError(draining_story(engine), engine.id))

    # ------------------------------------------------------------ each turn

    def flush(self, now: float) -> None:
        """Begin what can begin, deliver, acknowledge."""
        if self._ready:
            ready, self._ready = self._ready, {}
            for queue in ready.values():
                if Stream.MULTIENGINE in queue.engine.session.connections:
                    command = queue.next(now)
                    if command is not None:
                        engine = queue.engine
                        self._relays.send(engine.session, self._to_run(engine, command))
        self._deliveries.flush()
        if self._accepted:
            self._acknowledge()
        self._awaiting.begin(now)
        super().flush(now)

    def tick(self, now: float) -> None:
        """Fail the commands whose engines did not come back to this hub."""
        super().tick(now)
        for target, command in self._awaiting.expire(now):
            self._fail(command, self.no_engine(target))

    def next_deadline(self) -> float | None:
        """Say when `tick` is due."""
        times = (super().next_deadline(), self._awaiting.next_deadline())
        return min((due for due in times if due is not None), default=None)

    def check(self) -> None:
        """Assert that queues, counts and records agree."""
        assert set(self._queues) == set(self.engines)
        for queue in self._queues.values():
            queue.check()
            for command in queue.waiting():
                assert type(command) is HookRun or self._commands[command.id] is command
        super().check()
        running = (queue.running for queue in self._queues.values())
        left = {*self._commands.values(), *(c for c in running if c and type(c) is not HookRun)}
        outstanding = sum(c.target >= 0 and c.state is not CommandState.ENDED for c in left)
        ended = self.done + self.failed + self.cancelled
        assert self.submitted + self.returned == ended + outstanding
        assert Counter(self._kept) == Counter(c.session for c in self._commands.values())
        assert not any(session.ended for session in (*self._parked, *self._accepted))
        assert not any(session.ended for session in self._halts.sessions())
