"""The real sessions of engines and clients as peers of a `World`: machines without sockets or threads."""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence

from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.requests import About, CommandRequest, Function, Template
from ctrlhub.client.session import ClientSession
from ctrlhub.engine.live import Source
from ctrlhub.engine.session import EngineSession
from ctrlhub.engine.work import CommandWork, Row, TaskWork
from ctrlhub.wire.ids import request_id
from ctrlhub.wire.messages import Role, Status, Stream
from ctrlhub.wire.serialize import dumps, loads
from tests.support.peers import registration
from tests.unit.client.support import Home, Watched

LEASE = 100_000.0
ABOUT = About("command", Stream.MULTIENGINE, None)


class ScriptedWorker:
    """Runs nothing until it is told to; then the value is twice the argument."""

    def __init__(self) -> None:
        self.tasks: deque[TaskWork] = deque()
        self.commands: deque[CommandWork] = deque()

    def joined(self, engine_id: int) -> None:
        """Do not care."""

    def run_command(self, work: CommandWork) -> None:
        """Take it."""
        self.commands.append(work)

    def run_tasks(self, work: list[TaskWork]) -> None:
        """Take them."""
        self.tasks.extend(work)

    def stop_requests(self, requests: Sequence[int]) -> tuple[list[int], list[int]]:
        """Withdraw what has not begun: nothing ever runs for long."""
        wanted, withdrawn = set(requests), []
        for queue in (self.tasks, self.commands):
            withdrawn += [work.id for work in queue if work.id in wanted]
        self.tasks = deque(work for work in self.tasks if work.id not in wanted)
        self.commands = deque(work for work in self.commands if work.id not in wanted)
        return withdrawn, sorted(wanted.difference(withdrawn))

    def give_back(self, most: int) -> list[int]:
        """Withdraw the last ones."""
        return [self.tasks.pop().id for _ in range(min(most, len(self.tasks)))]

    def interrupt(self, requests: Sequence[int]) -> list[int]:
        """Nothing runs."""
        return []

    def interrupt_running(self) -> list[int]:
        """Nothing runs."""
        return []

    def insist(self, requests: Iterable[int]) -> None:
        """Nothing runs."""

    def look(self) -> Source | None:
        """Nothing is put out."""
        return None

    def hold(self, request: int) -> None:
        """Nothing is put out."""

    def forward_logs(self, levels: Mapping[str, int]) -> None:
        """Nothing is logged."""

    def take_logs(self, most: int) -> list[object]:
        """Nothing is logged."""
        return []

    def finish(self) -> tuple[list[int], list[int]]:
        """Begin nothing more."""
        tasks, commands = [w.id for w in self.tasks], [w.id for w in self.commands]
        self.tasks.clear()
        self.commands.clear()
        return tasks, commands


class WorkingEngine(EngineSession):
    """An engine's session; `work` runs its next request, and `ran` remembers (id, attempt)."""

    def __init__(self, key: str, ran: list[tuple[int, int]]) -> None:
        self.worker = ScriptedWorker()
        self.ran = ran
        said = registration(Role.ENGINE, key)
        super().__init__(said, self.worker, hub_lease=LEASE, drain=1.0, seed=1)

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing, and owes nothing."""
        return not any(lane.held or lane.results for lane in self._lanes.values())

    @property
    def running(self) -> int:
        """What its nanny would say that it runs."""
        return self.worker.tasks[0].id if self.worker.tasks else -1

    def work(self, now: float) -> bool:
        """Run a command, or else a task."""
        if self.worker.commands:
            command = self.worker.commands.popleft()
            self.ran.append((command.id, 0))
            self.command_results([_row(command.id, 0, command.payload)], now)
        elif self.worker.tasks:
            task = self.worker.tasks.popleft()
            self.ran.append((task.id, task.attempt))
            self.task_results([_row(task.id, task.attempt, task.payload)], now)
        else:
            return False
        return True


def _row(number: int, attempt: int, payload: object) -> Row:
    return number, attempt, int(Status.OK), dumps(2 * loads(payload)), 0.0, 0.001, None  # type: ignore[arg-type]


class SubmittingClient(ClientSession):
    """A client's session; `ends` counts how often each of its results was told to be there."""

    def __init__(self, key: str) -> None:
        super().__init__(registration(Role.ADMIN, key), Watched(), seed=1)
        self.results: dict[int, AsyncResult] = {}
        self.ends: Counter[int] = Counter()
        self._home = Home()
        self._counter = itertools.count(1)
        self._template = Template("f", None, Function(b"d" * 16, b"blob"), engine_retries=30)

    def task(self, value: int) -> int:
        """Submit a task; return its id."""
        number = request_id(self.session, next(self._counter))
        result = AsyncResult(self._home, number, dumps(value), self._template)
        self._keep(number, result)
        self.submissions.append(result)
        return number

    def command(self, engine: int, value: int) -> int:
        """Submit a command; return its id."""
        number = request_id(self.session, next(self._counter))
        result = AsyncResult(self._home, number, b"", ABOUT)
        self._keep(number, result)
        self.submissions.append(
            CommandRequest(number, (engine,), "execute", [dumps(value)], None, result)
        )
        return number

    def _keep(self, number: int, result: AsyncResult) -> None:
        self.results[number] = result
        result.add_done_callback(lambda _: self.ends.update((number,)))
