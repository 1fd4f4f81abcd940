"""Commands: a first-in-first-out queue per engine, at most one command in flight.

Seed: IPython.kernel 0.10 queued every call per engine in the controller, so that engines, which block,
look asynchronous from outside. Two of its faults are gone: a command that fails does not clear those
queued behind it, unless its client has asked for that and then only its own (`Halts`); and a hung
engine can be interrupted past its queue.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container
from dataclasses import dataclass
from enum import Enum

from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.functions import Function
from ctrlhub.controller.core.history import worth_keeping
from ctrlhub.controller.core.sessions import Session
from ctrlhub.wire.errors import QueueCleared
from ctrlhub.wire.messages import Payload


class CommandState(Enum):
    """The life of a command."""

    QUEUED = "queued"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(slots=True, eq=False)
class CommandRecord:
    """One action on one engine.

    Attributes
    ----------
    target
        The engine's id.
    submitted
        When it came, on the hub's clock (seconds).
    stop_on_error
        Whether its failure clears what its client has queued behind it.
    stopping
        Whether its client wants it ended.
    resent
        Whether the hub before this one may have had it run.
    """

    id: int
    session: Session
    action: str
    payload: Payload
    function: Function | None
    target: int = -1
    label: str = ""
    submitted: float = 0.0
    stop_on_error: bool = False
    state: CommandState = CommandState.QUEUED
    stopping: bool = False
    resent: bool = False

    def end(self) -> None:
        """End it; its arguments stay, unless they are bulk data, for a resubmission."""
        self.state = CommandState.ENDED
        if type(self.payload) is not bytes:
            self.payload = worth_keeping(self.payload)


class CommandQueue:
    """What one engine has to do for clients that named it.

    Attributes
    ----------
    running
        The command in flight, or None.
    since
        When that was begun, on the hub's clock (seconds).
    """

    __slots__ = ("_queue", "engine", "running", "since")

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.running: CommandRecord | None = None
        self.since = 0.0
        self._queue: deque[CommandRecord] = deque()

    def __len__(self) -> int:
        return len(self._queue) + (self.running is not None)

    def put(self, command: CommandRecord) -> None:
        """Queue a command behind the others."""
        self._queue.append(command)
        self.engine.commands += 1

    def put_first(self, command: CommandRecord) -> None:
        """Queue a command before the others."""
        self._queue.appendleft(command)
        self.engine.commands += 1

    def next(self, now: float = 0.0) -> CommandRecord | None:
        """Begin the next command, unless one is in flight or none waits."""
        if self.running is not None or not self._queue:
            return None
        self.since = now
        self.running = self._queue.popleft()
        self.running.state = CommandState.RUNNING
        return self.running

    def finish(self, number: int) -> CommandRecord | None:
        """End the command in flight; None when it is not this one."""
        command = self.running
        if command is None or command.id != number:
            return None
        self.running = None
        self._ended(command)
        return command

    def finish_any(self, number: int) -> CommandRecord | None:
        """End the command in flight, or one that waits, since the hub before this one had given it."""
        return self.finish(number) or next(iter(self.withdraw({number})), None)

    def withdraw(self, numbers: Container[int]) -> list[CommandRecord]:
        """End queued commands without running them; return those that were queued here."""
        withdrawn = [command for command in self._queue if command.id in numbers]
        if withdrawn:
            self._queue = deque(command for command in self._queue if command.id not in numbers)
        for command in withdrawn:
            self._ended(command)
        return withdrawn

    def clear(self) -> list[CommandRecord]:
        """End everything: the engine is gone."""
        ended = [*([self.running] if self.running else []), *self._queue]
        self.running = None
        self._queue.clear()
        for command in ended:
            self._ended(command)
        return ended

    def waiting(self) -> list[CommandRecord]:
        """Return the queued commands, first first."""
        return list(self._queue)

    def _ended(self, command: CommandRecord) -> None:
        command.end()
        self.engine.commands -= 1
        self.engine.became_available()

    def check(self) -> None:
        """Assert that counts and states agree."""
        assert self.engine.commands == len(self)
        assert all(command.state is CommandState.QUEUED for command in self._queue)
        assert self.running is None or self.running.state is CommandState.RUNNING


class Halts:
    """Clients whose commands an engine does not take for now: one that should stop them has failed.

    What a client sent before it could know of the failure must not run, also where it comes after
    the failure. Once the client has acknowledged the result it knows, and what it sends then runs.
    """

    __slots__ = ("_halts",)

    def __init__(self) -> None:
        self._halts: dict[tuple[int, Session], tuple[int, QueueCleared]] = {}

    def __bool__(self) -> bool:
        return bool(self._halts)

    def begin(self, failed: CommandRecord, why: QueueCleared) -> None:
        """Take no more of a client's commands behind one that has failed."""
        self._halts[failed.target, failed.session] = failed.id, why

    def of(self, command: CommandRecord) -> QueueCleared | None:
        """Return why a command that has come is not taken, if so."""
        halt = self._halts.get((command.target, command.session))
        return halt[1] if halt is not None and command.id > halt[0] else None

    def known(self, session: Session, unacknowledged: Container[int]) -> None:
        """Take again the commands of a client that knows of the failures."""
        self._end(lambda target, whose, number: whose is session and number not in unacknowledged)

    def session_ended(self, session: Session) -> None:
        """Forget a client."""
        self._end(lambda target, whose, number: whose is session)

    def engine_went(self, target: int) -> None:
        """Forget an engine."""
        self._end(lambda engine, whose, number: engine == target)

    def _end(self, over: Callable[[int, Session, int], bool]) -> None:
        self._halts = {
            (target, session): halt
            for (target, session), halt in self._halts.items()
            if not over(target, session, halt[0])
        }

    def sessions(self) -> set[Session]:
        """Return the clients that are halted somewhere."""
        return {session for _, session in self._halts}
