"""Which of the requests that come to an engine are taken in, and when they begin. No I/O.

What comes a second time is recognised. Commands are run once: the ids of the last are known (`taken`),
and one that comes again, and is not held any more, has been run before, and its result is gone. What
calls a function that is not here is parked until it has come. Once the engine is to finish, tasks are
given back, and commands fail that have not begun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ctrlhub.engine.functions import FunctionStore
from ctrlhub.engine.lane import Lane
from ctrlhub.engine.stops import Stops
from ctrlhub.engine.taken import TakenIds
from ctrlhub.engine.work import Callee, CommandWork, TaskWork, Traced, Worker, is_traced, waits
from ctrlhub.wire.codec import resolve
from ctrlhub.wire.errors import (
    CtrlHubError,
    EngineError,
    Failure,
    OutOfMemory,
    SerializationError,
    pack_failure,
)
from ctrlhub.wire.ids import to_ranges
from ctrlhub.wire.messages import (
    Functions,
    GaveBack,
    GiveBack,
    Message,
    NeedFunctions,
    RunCommand,
    RunTasks,
    Status,
    Stream,
)


class Admission:
    """Takes in what is to be run.

    Parameters
    ----------
    lanes
        Where it is held from then on.
    worker
        Who runs it.
    stops
        What of it is to be stopped, also before it has come.
    taken
        The ids of the last commands that were taken in.
    send
        Sends a message on a stream.

    Attributes
    ----------
    engine_id : int
        Whose requests they are, for what is said of those that fail.
    is_shut : bool
        Nothing more is taken in.
    """

    def __init__(
        self,
        lanes: Mapping[Stream, Lane],
        worker: Worker,
        stops: Stops,
        taken: TakenIds,
        send: Callable[[Stream, Message], None],
    ) -> None:
        self._lanes = lanes
        self._commands, self._tasks = lanes[Stream.MULTIENGINE], lanes[Stream.TASK]
        self._worker = worker
        self._stops = stops
        self._taken = taken
        self._send = send
        self._functions = FunctionStore()
        self._draining = ""
        self.engine_id = -1
        self.is_shut = False

    def run_tasks(self, stream: Stream, message: RunTasks, now: float) -> None:
        """Take in tasks."""
        if self.is_shut:
            if self._draining:  # the hub did not know when it gave them
                known = self._tasks
                rows = message.rows
                self._give_back([n for n, attempt, *_ in rows if not known.known(n, attempt)])
            return
        frames = message.frames
        self._functions.learn((d, resolve(ref, frames)) for d, ref in message.functions)
        functions = [self._functions.called_by(row, message) for row in message.templates]
        missing = {f.digest: None for f in functions if f.blob is None}
        traces = {n: (row[3], row[4]) for n, row in enumerate(message.templates) if len(row) > 4 and is_traced(row[4])}
        lane, held, work = self._tasks, self._tasks.held, []
        for number, attempt, index, ref in message.rows:
            if number in held or number in lane.results:
                if lane.known(number, attempt):
                    continue
                held.pop(number, None)  # another attempt runs after what is there
                lane.results.pop(number, None)
            payload = ref if type(ref) is bytes else resolve(ref, frames)
            held[number] = attempt
            if self._stops.drops(number, attempt):
                continue
            called = functions[index]
            function: Callee = called
            if traces and index in traces:
                label, told = traces[index]
                function = Traced(called, number, attempt, label, told)
            work.append(TaskWork(number, attempt, function, payload))
        if missing:
            lane.parked.extend(each for each in work if waits(each))
            work = [each for each in work if not waits(each)]
            self._request(lane, missing)
        if work:
            self._worker.run_tasks(work)

    def give_back(self, stream: Stream, message: GiveBack, now: float) -> None:
        """Give back tasks that have not begun: another engine would run them sooner."""
        self._give_back(self._worker.give_back(message.most))

    def _give_back(self, tasks: Sequence[int]) -> None:
        for number in tasks:
            self._tasks.held.pop(number, None)
        self._send(Stream.TASK, GaveBack(to_ranges(sorted(tasks))))

    def run_command(self, stream: Stream, message: RunCommand, now: float) -> None:
        """Take in a command."""
        lane, number = self._commands, message.id
        if lane.known(number, 0):
            return
        if self.is_shut:
            if self._draining:
                self._refuse(number)
            return
        lane.held[number] = 0
        if number in self._taken:
            self._fail(lane, number, 0, self._taken.loss(number))
            return
        self._taken.add(number)
        frames = message.frames
        self._functions.learn((d, resolve(ref, frames)) for d, ref in message.functions)
        function = self._functions.get(message.function) if message.function else None
        if self._stops.drops(number, 0):
            return
        self._stops.awaits(number, now)
        work = CommandWork(number, message.action, function, resolve(message.payload, frames))
        if function is not None and function.blob is None:
            self._request(lane, (function.digest,))
        if lane.parked or waits(work):
            lane.parked.append(work)  # commands keep their order
        else:
            self._worker.run_command(work)

    def _refuse(self, command: int) -> None:
        """Fail a command that this engine will not begin any more."""
        lane = self._commands
        lane.held[command] = 0
        self._fail(lane, command, 0, EngineError(
            f"engine {self.engine_id} is draining ({self._draining}), and had not begun this", self.engine_id
        ))  # fmt: skip

    def drain(self, why: str) -> None:
        """Take in nothing more; give back the tasks that have not begun, and fail such commands."""
        self._draining, self.is_shut = why, True
        tasks, commands = self._worker.finish()
        parked = [work.id for work in self._tasks.parked]
        self._give_back((*tasks, *parked))
        commands = [*commands, *(work.id for work in self._commands.parked)]
        for lane in self._lanes.values():
            lane.parked.clear()
        for number in commands:
            self._refuse(number)

    def no_room(self, stream: Stream, message: Message) -> None:
        """Let the requests fail that this engine has no memory for."""
        if type(message) is RunCommand:
            attempts = [(message.id, 0)]
        elif type(message) is RunTasks:
            attempts = [(row[0], row[1]) for row in message.rows]
        else:
            return
        error = OutOfMemory(
            f"engine {self.engine_id} has no memory for what came with this: send less at a time, or "
            "let the engine run where there is more"
        )
        lane = self._lanes[stream]
        for number, attempt in attempts:
            if lane.known(number, attempt):
                continue  # said once more: it runs, or its result is there
            lane.held[number] = attempt
            if lane is self._commands and number in self._taken:
                self._fail(lane, number, attempt, self._taken.loss(number))
                continue
            if lane is self._commands:
                self._taken.add(number)
            lane.results.pop(number, None)
            self._fail(lane, number, attempt, error)

    def _fail(self, lane: Lane, number: int, attempt: int, error: CtrlHubError) -> None:
        failure = pack_failure(Failure.from_error(error, engine_id=self.engine_id))
        lane.finish((number, attempt, int(Status.ERROR), failure, 0.0, 0.0, None))

    # ------------------------------------------------------------ functions

    def ask_again(self, lane: Lane) -> None:
        """Ask for the functions of all that is parked in a lane."""
        self._request(lane, dict.fromkeys(w.function.digest for w in lane.parked if waits(w)))  # type: ignore[union-attr]

    def _request(self, lane: Lane, digests: Iterable[bytes]) -> None:
        wanted = tuple(digests)
        if wanted:
            lane.questions.ask(wanted)
            self._send(lane.stream, NeedFunctions(wanted))

    def functions_came(self, stream: Stream, message: Functions, now: float) -> None:
        """Begin what was parked for functions that have come; fail what calls those that are lost."""
        lane = self._lanes[stream]
        self._functions.learn((d, resolve(ref, message.frames)) for d, ref in message.functions)
        lost, unsure = lane.questions.answered(frozenset(d for d, _ in message.functions))
        ready, hopeless = lane.unpark(lost)
        for work in hopeless:
            attempt = work.attempt if isinstance(work, TaskWork) else 0
            self._fail(lane, work.id, attempt, SerializationError(
                "the hub no longer has the function of this request; call it again"
            ))  # fmt: skip
        for work in ready:
            if isinstance(work, TaskWork):
                self._worker.run_tasks([work])
            else:
                self._worker.run_command(work)
        if unsure:
            lane.questions.doubt()
            self.ask_again(lane)
