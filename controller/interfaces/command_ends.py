"""The part of `MultiEngine` that ends commands without a word from an engine, or asks one to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any

from ctrlhub.controller.core.awaiting import Awaiting
from ctrlhub.controller.core.commands import CommandQueue, CommandRecord, CommandState
from ctrlhub.controller.core.deliveries import Outcome
from ctrlhub.controller.core.effects import Commit, SaveResults
from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.held_back import MOST_CLAIMS
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.core.start_hooks import HookRun
from ctrlhub.controller.interfaces.arguments import checked_ranges
from ctrlhub.controller.interfaces.base import Context, exposed
from ctrlhub.controller.interfaces.hook_queues import HookQueues
from ctrlhub.controller.service import IControllerBase
from ctrlhub.wire.errors import CtrlHubError
from ctrlhub.wire.failure import Failure, pack_failure
from ctrlhub.wire.ids import Ranges, from_ranges, select, to_ranges
from ctrlhub.wire.messages import Interrupt, Payload, Role, Status, Stream

# As plain numbers: comparing with an enumeration's member costs ten times as much.
_OK, _CANCELLED = int(Status.OK), int(Status.CANCELLED)


class CommandEnds(HookQueues):
    """Ends commands that wait, and interrupts those that run.

    Parameters
    ----------
    controller, context
        As for `Interface`.
    """

    def __init__(self, controller: IControllerBase, context: Context) -> None:
        super().__init__(controller, context)
        self._queues: dict[int, CommandQueue] = {}
        self._commands = self._records
        self._awaiting = Awaiting()
        self.done = self.failed = self.cancelled = 0

    # ------------------------------------------------------------ with an outcome of the hub's own

    def _fail(self, command: CommandRecord, error: CtrlHubError) -> None:
        command.end()
        failure = Failure.from_error(error, method=command.action)
        self._end(command, Status.ERROR, pack_failure(failure))

    def _end(
        self, command: CommandRecord, status: Status, payload: Payload, engine: int = -1
    ) -> None:
        if type(command) is HookRun:
            self._hook_ended(command, status, payload)
            return
        outcome = (command.id, int(status), payload, engine, 0.0, 0.0, None)
        self._count(command, outcome)
        self.context.figures.ends_here()
        self._deliver(command, outcome)
        if not command.session.ended:
            self.outbox.add(Commit((SaveResults([(command.id, outcome)]),), ()))

    def _count(self, command: CommandRecord, outcome: Outcome) -> None:
        """Count a command that ends."""
        if outcome[1] == _OK:
            self.done += 1
        elif outcome[1] == _CANCELLED:
            self.cancelled += 1
        else:
            self.failed += 1
            self.context.figures.failed(outcome, _name_of(command), self.context.now())

    def _measure(self, command: CommandRecord, outcome: Outcome, now: float) -> None:
        """Count a command that an engine has ended, and how long it took."""
        figures = self.context.figures
        self._count(command, outcome)
        figures.command.add(outcome[5])
        if figures.ends(1, now):
            figures.sample(outcome, _name_of(command), "command", now)

    def figures(self) -> dict[str, int]:
        """Return what is counted of commands, since this hub has begun."""
        return {
            "commands_submitted": self.submitted,
            "commands_returned": self.returned,
            "commands_done": self.done,
            "commands_failed": self.failed,
            "commands_cancelled": self.cancelled,
        }

    def running_on(self, number: int) -> tuple[int, str, float] | None:
        """Return what an engine was given and has not answered: its id, label, and since when."""
        queue = self._queues.get(number)
        if queue is None or queue.running is None:
            return None
        return queue.running.id, _name_of(queue.running), queue.since

    # ------------------------------------------------------------ calls

    @exposed(Role.SUBMIT)
    def abort(self, caller: Session, requests: Sequence[Sequence[int]]) -> dict[str, Any]:
        """Stop one's own commands: queued ones at once, running ones by interrupt."""
        ranges = checked_ranges(requests)
        self._early.expect(ranges, caller.number, self._commands)
        chosen = select(ranges, self._commands)
        commands = {number: self._commands[number] for number in chosen}
        return self._stop({n: c for n, c in commands.items() if c.session is caller})

    def stop_anyones(self, numbers: Collection[int], grace: float | None) -> dict[str, Any]:
        """Stop commands, whoever's they are, as `abort` does; they have no grace."""
        return self._stop({n: self._commands[n] for n in numbers if n in self._commands})

    def _stop(self, commands: Mapping[int, CommandRecord]) -> dict[str, Any]:
        finished = [n for n, command in commands.items() if command.state is CommandState.ENDED]
        cancelled, interrupted = [], []
        commands = {n: c for n, c in commands.items() if c.state is not CommandState.ENDED}
        for number in [n for n in commands if self._hooks is not None and self._hooks.stop(n)]:
            self.conclude(commands[number], Status.CANCELLED, b"")
            cancelled.append(number)
        for command in self._awaiting.withdraw(dict(commands)):
            command.end()
            self._end(command, Status.CANCELLED, b"")
            cancelled.append(command.id)
        for queue in self._queues.values() if commands else ():
            for command in queue.withdraw(commands):
                self._end(command, Status.CANCELLED, b"")
                cancelled.append(command.id)
            running = queue.running
            if running is not None and commands.get(running.id) is running:
                running.stopping = True
                self._interrupt(queue.engine, running)
                interrupted.append(running.id)
        return {
            "cancelled": to_ranges(sorted(cancelled)),
            "interrupted": to_ranges(sorted(interrupted)),
            "finished": to_ranges(sorted(finished)),
        }

    def _interrupt(self, engine: Engine, command: CommandRecord) -> None:
        engine.session.send(self.outbox, Stream.HUB, Interrupt(((command.id, command.id),)))

    def _stop_strays(self, engine: Engine, held: Ranges) -> None:
        """Stop what an engine has of commands that have ended: it was out of reach when they did.

        What they had begun would hold up all that follows, perhaps for ever.
        """
        running = self.in_flight(engine.id)
        for number in islice(from_ranges(held), MOST_CLAIMS):
            command = self._commands.get(number)
            has_ended = (
                self.has_ended(number) is not None
                if command is None
                else command.state is CommandState.ENDED
            )
            is_hook = self._hooks is not None and self._hooks.has_hook(number)
            if has_ended and number != running and not is_hook:
                engine.session.send(self.outbox, Stream.HUB, Interrupt(((number, number),)))

    def in_flight(self, number: int) -> int:
        """Return the command that an engine was given and has not answered; 0 for none."""
        queue = self._queues.get(number)
        return queue.running.id if queue is not None and queue.running is not None else 0


def _name_of(command: CommandRecord) -> str:
    return command.label or command.action
