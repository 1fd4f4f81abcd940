"""MultiEngine: commands to explicit engines.

Clients name engines and what they should do; each engine does it in turn. Tasks of the load-balanced
queue wait while an engine has commands (:attr:`Engine.available`), so a `push` is in place before the
tasks that its client submits next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from ctrlhub.controller.core.commands import CommandQueue, CommandRecord, CommandState, Halts
from ctrlhub.controller.core.deliveries import Outcome
from ctrlhub.controller.core.effects import Acknowledge, Commit, Forget, SaveRequests, SaveResults
from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.functions import Function, FunctionTable
from ctrlhub.controller.core.losses import command_story, draining_story
from ctrlhub.controller.core.relays import Relays
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.core.start_hooks import HookRun
from ctrlhub.controller.interfaces.base import Context
from ctrlhub.controller.interfaces.command_messages import CommandMessages
from ctrlhub.controller.interfaces.live import Relay
from ctrlhub.controller.interfaces.recorded_commands import RecordedCommands
from ctrlhub.controller.service import IControllerBase
from ctrlhub.wire.codec import resolve
from ctrlhub.wire.errors import (
    CtrlHubError,
    EngineError,
    InvalidReply,
    InvalidRequest,
    LimitExceeded,
    QueueCleared,
)
from ctrlhub.wire.failure import Failure, pack_failure, summary_of
from ctrlhub.wire.ids import Ranges, session_of, text_of, to_ranges
from ctrlhub.wire.messages import (
    Accepted,
    Action,
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

MOST_PARKED = 65_536
"""The most messages of a client that may wait for a function."""

_ACTIONS = frozenset(action.value for action in Action)

# Not `UNMET`, which is for tasks.
_ENDS = frozenset(map(int, {*Status} - {Status.UNMET}))
_FAILED = frozenset({int(Status.ERROR), int(Status.PARTLY)})
_NO_END = pack_failure(
    Failure.from_error(InvalidReply("the engine reported no end that a command can have"))
)


class MultiEngine(RecordedCommands, Relay):
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
        self._functions = FunctionTable()
        messages = CommandMessages(self._functions, self.engines, self.engine, context.keep)
        self._payloads_of, self._to_run = messages.payloads_of, messages.to_run
        self._parked: dict[Session, list[Command]] = {}
        self._accepted: dict[Session, list[tuple[int, CommandRecord]]] = {}
        self.duplicates = 0
        self._ready: dict[int, CommandQueue] = {}
        self._halts = Halts()
        self._relays = Relays(context.outbox, context.sessions)
        self.follow_engines(self._engine_came, self._engine_went)

    # ------------------------------------------------------------ from clients

    def submit(self, session: Session, message: Command, stream: Stream, now: float) -> None:
        """Queue a command on each of its targets; a target that is not there fails by itself."""
        count = len(message.targets)
        if message.action not in _ACTIONS:
            raise InvalidRequest(f"unknown action {message.action[:40]!r}")
        if not count or len(message.payloads) not in (1, count):
            raise InvalidRequest("a command needs targets, and one payload or as many as targets")
        if not session_of(message.first) == session_of(message.last) == session.number:
            raise InvalidRequest("request ids of another session")
        self._functions.learn(message.functions, message.frames)
        parked = self._parked.get(session)
        if parked is not None:
            if len(parked) >= MOST_PARKED:
                raise LimitExceeded(
                    f"{MOST_PARKED} commands wait for a function that does not come"
                )
            parked.append(message)
            return
        function = self._functions.get(message.function) if message.function else None
        if message.function and function is None:
            self._parked[session] = [message]
            session.send(self.outbox, stream, NeedFunctions((message.function,)))
            return
        self._submit(session, message, function, now)

    def _submit(
        self, session: Session, message: Command, function: Function | None, now: float
    ) -> None:
        numbers = range(message.first, message.first + len(message.targets))
        fresh = [k for k, number in enumerate(numbers) if number not in self._commands]
        payloads = self._payloads_of(message, fresh)
        kept = self._kept.get(session, 0) + len(fresh)
        refusal = self.context.refusal(kept)
        self._kept[session] = kept
        if self._spoilt:
            self._given_again(numbers[k] for k in fresh)
        accepted = self._accepted.setdefault(session, [])
        self.submitted += len(fresh)
        for k, target in enumerate(message.targets):
            number = numbers[k]
            known = self._commands.get(number)
            if known is None:
                known = CommandRecord(
                    number, session, message.action, payloads[k], function,
                    target, message.label, now, message.stop_on_error, resent=message.resent,
                )  # fmt: skip
                self._commands[number] = known
                if refusal is not None:
                    self._fail(known, refusal)
                elif self._early and self._early.take((number,)):
                    known.end()
                    self._end(known, Status.CANCELLED, b"")
                else:
                    self._queue(known)
            accepted.append((number, known))
        session.last_command = max(session.last_command, numbers[-1])

    def _queue(self, command: CommandRecord) -> None:
        target = command.target
        queue = self._queues.get(target)
        if queue is None:
            if not self._awaiting.hold(target, command):
                self._fail(command, self.no_engine(target))
        elif command.resent and target in self._replaced:
            self._fail(command, self._of_unknown_fate(target))
        elif self._halts and (cleared := self._halts.of(command)) is not None:
            self._fail(command, cleared)
        elif queue.engine.drains and not command.resent:  # else the engine may have it
            self._fail(command, EngineError(draining_story(queue.engine), target))
        else:
            queue.put(command)
            self._ready[target] = queue

    def functions(self, session: Session, message: Functions, stream: Stream, now: float) -> None:
        """Take in functions that were asked for, and the commands that waited for them."""
        self._functions.learn(message.functions, message.frames)
        self._retry(session, now)

    def _retry(self, session: Session, now: float) -> None:
        """Submit again what was parked, in order, until something has to wait again."""
        for command in self._parked.pop(session, ()):
            try:
                self.submit(session, command, Stream.MULTIENGINE, now)
            except CtrlHubError as error:
                self.context.refuse(session, Stream.MULTIENGINE, command, error)
                session.last_command = max(session.last_command, command.last)

    def received(self, session: Session, message: Received, stream: Stream, now: float) -> None:
        """Let go of results that their client has."""
        super().received(session, message, stream, now)
        if self._halts:
            self._halts.known(session, self._commands)

    def handed_over(self, session: Session, now: float) -> None:
        """Drop what was not accepted, and heed no failures of which the former process knew nothing."""
        super().handed_over(session, now)
        self._parked.pop(session, None)
        self._halts.session_ended(session)

    def session_ended(self, session: Session, now: float) -> None:
        """Drop what a client left behind: queued commands, and results nobody will fetch.

        A command that runs stays in its engine's queue until the engine has answered.
        """
        self._parked.pop(session, None)
        self._accepted.pop(session, None)
        self._halts.session_ended(session)
        self._leave_results(session)
        if not self._kept.pop(session, 0):
            return  # nothing of its own, which need not be looked for among everybody's
        mine = {n: c for n, c in self._commands.items() if c.session is session}
        self._stop(mine)
        for number in mine:
            self._commands.pop(number, None)
        if mine:
            self.outbox.add(Commit((Forget(to_ranges(sorted(mine))),), ()))

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

    def _acknowledge(self) -> None:
        accepted, self._accepted = self._accepted, {}
        for session, records in accepted.items():
            connection = session.connections.get(Stream.MULTIENGINE)
            numbers = [number for number, _ in records]
            then = (Acknowledge(connection, Accepted, numbers),) if connection else ()
            self.outbox.add(Commit((SaveRequests(records),), then, session.hurries))

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
