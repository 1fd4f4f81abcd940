"""The part of `MultiEngine` that takes commands from clients, and queues each on its engine."""

from __future__ import annotations

from ctrlhub.controller.core.commands import CommandQueue, CommandRecord, Halts
from ctrlhub.controller.core.effects import Acknowledge, Commit, Forget, SaveRequests
from ctrlhub.controller.core.functions import Function, FunctionTable
from ctrlhub.controller.core.losses import draining_story
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.interfaces.base import Context
from ctrlhub.controller.interfaces.command_messages import CommandMessages
from ctrlhub.controller.interfaces.recorded_commands import RecordedCommands
from ctrlhub.controller.service import IControllerBase
from ctrlhub.wire.errors import CtrlHubError, EngineError, InvalidRequest, LimitExceeded
from ctrlhub.wire.ids import session_of, to_ranges
from ctrlhub.wire.messages import (
    Accepted,
    Action,
    Command,
    Functions,
    NeedFunctions,
    Received,
    Status,
    Stream,
)

MOST_PARKED = 65_536
"""The most messages of a client that may wait for a function."""

_ACTIONS = frozenset(action.value for action in Action)


class CommandSubmissions(RecordedCommands):
    """Takes commands in, and ends what a client leaves behind.

    Parameters
    ----------
    controller, context
        As for `Interface`.
    """

    def __init__(self, controller: IControllerBase, context: Context) -> None:
        super().__init__(controller, context)
        self._functions = FunctionTable()
        messages = CommandMessages(self._functions, self.engines, self.engine, context.keep)
        self._payloads_of, self._to_run = messages.payloads_of, messages.to_run
        self._parked: dict[Session, list[Command]] = {}
        self._accepted: dict[Session, list[tuple[int, CommandRecord]]] = {}
        self._ready: dict[int, CommandQueue] = {}
        self._halts = Halts()

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

    def _acknowledge(self) -> None:
        accepted, self._accepted = self._accepted, {}
        for session, records in accepted.items():
            connection = session.connections.get(Stream.MULTIENGINE)
            numbers = [number for number, _ in records]
            then = (Acknowledge(connection, Accepted, numbers),) if connection else ()
            self.outbox.add(Commit((SaveRequests(records),), then, session.hurries))
