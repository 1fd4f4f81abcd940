"""The part of `MultiEngine` that tells of commands on record, and gives one again."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter

from ctrlhub.controller.core.commands import CommandRecord, CommandState
from ctrlhub.controller.core.deaths import Death
from ctrlhub.controller.core.effects import Commit, SaveRequests
from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.former import Former
from ctrlhub.controller.core.functions import Function
from ctrlhub.controller.core.saved import Saved, SavedCommand
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.interfaces.base import Context
from ctrlhub.controller.interfaces.command_ends import CommandEnds
from ctrlhub.controller.interfaces.recorded import Particulars
from ctrlhub.controller.service import IControllerBase
from ctrlhub.wire.errors import EngineError, InvalidEngineID
from ctrlhub.wire.ids import text_of


class RecordedCommands(CommandEnds):
    """Commands as what is on record of them.

    Parameters
    ----------
    controller, context
        As for `Interface`.
    """

    def __init__(self, controller: IControllerBase, context: Context) -> None:
        super().__init__(controller, context)
        self._former: dict[int, bytes] = {}  # incarnations, of engines that have not come, by id
        self._replaced: set[int] = set()  # engines in whose place another process has come since

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
        self.submitted += 1
        again = CommandRecord(
            number, caller, request.action, request.payload, request.function,
            request.target, request.label, self.context.now(),
        )  # fmt: skip
        self._commands[number] = again
        self._queue(again)
        self.outbox.add(Commit((SaveRequests([(number, again)]),), ()))

    # ------------------------------------------------------------ of the hub before this one

    def _saved_here(self, saved: Saved) -> Mapping[int, SavedCommand]:
        return saved.commands

    def _made_again(self, saved: SavedCommand, former: Former) -> CommandRecord | None:
        if saved.target < 0 and saved.id not in former.saved.results:
            return None  # a start hook on trial: its client gives it again
        blob = former.saved.functions.get(saved.digest)
        if saved.digest and blob is None:
            return None
        session = former.client_of(saved.id)
        session.last_command = max(session.last_command, saved.id)
        function = None if blob is None else self._functions.take_back(saved.digest, blob)
        return CommandRecord(
            saved.id, session, saved.action, saved.payload, function, saved.target, saved.label,
            min(saved.submitted - former.unix_offset, self.context.now()), saved.stop_on_error,
        )  # fmt: skip

    def _has_ended(self, request: CommandRecord) -> None:
        request.state = CommandState.ENDED

    def _go_on(self, requests: Sequence[CommandRecord], former: Former) -> None:
        """Have commands wait for their engines; those that have run one already know it by its id."""
        self._former = {number: process for number, (_, process) in former.engines.items()}
        self.returned += len(requests)
        for request in in_order(requests):
            if request.target in self._former:
                self._queue(request)
            else:
                self._fail(request, EngineError(
                    f"engine {request.target} ended with the hub before this one: whether this command "
                    "was run is not known", request.target
                ))  # fmt: skip

    def _take_awaited(self, engine: Engine) -> list[CommandRecord]:
        """Return what has waited for an engine to come back.

        If another process has come in the place of the one that was there, nobody knows any more what
        that one has run: no command is to be run twice.
        """
        commands = self._awaiting.arrived(engine.id)
        former = self._former.pop(engine.id, None)
        if former is None or former == engine.session.incarnation:
            return commands
        self._replaced.add(engine.id)
        for command in commands:
            self._fail(command, self._of_unknown_fate(engine.id))
        return []

    def has_killed(self, request: int, death: Death) -> bool:
        """End a command that waits for an engine which is known to have died of it: it is not run again."""
        command = self._commands.get(request)
        if command is not None and self._awaiting.withdraw({request: command}):
            target, action = command.target, command.action
            told = f"engine {target} died while it ran this ({action}): {death.cause}"
            self._fail(command, EngineError(told, target))
        return True

    @staticmethod
    def _of_unknown_fate(target: int) -> EngineError:
        return EngineError(
            f"engine {target} was lost while the hub was restarted, and another one is in its place: "
            "whether this command was run is not known", target
        )  # fmt: skip

    # ------------------------------------------------------------ asked for

    def _functions_of(self, requests: Iterable[CommandRecord]) -> set[Function]:
        return {request.function for request in requests if request.function is not None}

    def numbers_on(self, engine: int) -> list[int]:
        """Return the ids of the commands that an engine has to do, the running one first."""
        queue = self._queues[engine]
        running = [queue.running] if queue.running else []
        return [command.id for command in (*running, *queue.waiting())]


def in_order(requests: Iterable[CommandRecord]) -> list[CommandRecord]:
    """Return commands as they came; those of a client by their ids, whatever the clock has said.

    The hubs that took them in may have had clocks that were set back meanwhile.
    """
    latest: dict[Session, float] = {}
    came: dict[int, float] = {}
    requests = sorted(requests, key=attrgetter("id"))
    for request in requests:
        session, submitted = request.session, request.submitted
        latest[session] = came[request.id] = max(submitted, latest.get(session, submitted))
    return sorted(requests, key=lambda request: (came[request.id], request.id))
