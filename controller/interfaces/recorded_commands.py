"""The part of `MultiEngine` that tells of commands on record, and gives one again."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable

from ctrlhub.controller.core.commands import CommandRecord, CommandState
from ctrlhub.controller.core.effects import Commit, SaveRequests
from ctrlhub.controller.core.functions import Function
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.interfaces.command_ends import CommandEnds
from ctrlhub.controller.interfaces.recorded import Particulars
from ctrlhub.wire.errors import InvalidEngineID
from ctrlhub.wire.ids import text_of


class RecordedCommands(CommandEnds):
    """Commands as what is on record of them."""

    @abstractmethod
    def _queue(self, command: CommandRecord) -> None:
        """Queue a command on its engine."""

    def particulars(self, request: CommandRecord) -> Particulars:
        """Return what a record says of a command."""
        running = request.state is CommandState.RUNNING
        return Particulars(
            request.action, request.label, request.submitted, request.target, running
        )

    def check_again(self, request: CommandRecord) -> None:
        """Refuse to do again what cannot be."""
        super().check_again(request)
        if request.target not in self._queues:
            raise InvalidEngineID(
                f"request {text_of(request.id)} was a command to engine {request.target}, which is "
                "not there (any more)"
            )

    def resubmit(self, caller: Session, request: CommandRecord, number: int) -> None:
        """Give a command again, to the same engine."""
        self._count_new(caller)
        again = CommandRecord(
            number, caller, request.action, request.payload, request.function,
            request.target, request.label, self.context.now(),
        )  # fmt: skip
        self._commands[number] = again
        self._queue(again)
        self.outbox.add(Commit((SaveRequests([(number, again)]),), ()))

    def _functions_of(self, requests: Iterable[CommandRecord]) -> set[Function]:
        return {request.function for request in requests if request.function is not None}

    def numbers_on(self, engine: int) -> list[int]:
        """Return the ids of the commands that an engine has to do, the running one first."""
        queue = self._queues[engine]
        running = [queue.running] if queue.running else []
        return [command.id for command in (*running, *queue.waiting())]
