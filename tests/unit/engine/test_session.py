"""What an engine and a nanny owe the hub, with a clock that stands where the test puts it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest

from ctrlhub.engine.lane import MOST_RANGES
from ctrlhub.engine.lease import Ending
from ctrlhub.engine.live import Source
from ctrlhub.engine.nanny_session import NannySession
from ctrlhub.engine.session import LAST_WORDS, EngineSession
from ctrlhub.engine.stops import INSIST, RETRY_STOP
from ctrlhub.engine.work import CommandWork, Row, TaskWork
from ctrlhub.link.states import State
from ctrlhub.wire.errors import Failure, pack_failure, unpack_failure
from ctrlhub.wire.ids import request_id
from ctrlhub.wire.limits import BATCH_ROWS, INLINE_BYTES
from ctrlhub.wire.messages import (
    Beat,
    Drain,
    EngineDied,
    ForwardLogs,
    Functions,
    GaveBack,
    Goodbye,
    Hello,
    Interrupt,
    Message,
    NeedFunctions,
    Refused,
    Register,
    Registered,
    Restart,
    Results,
    Retire,
    RunCommand,
    RunTasks,
    SayHello,
    Shutdown,
    Signal,
    Status,
    Stored,
    Stream,
    Welcome,
)

DIGEST, OTHER, THIRD = b"digest", b"other", b"third"
DRAIN = 5.0


class FakeWorker:
    """Takes work, and does none."""

    def __init__(self) -> None:
        self.tasks: list[TaskWork] = []
        self.commands: list[CommandWork] = []
        self.running: set[int] = set()
        self.elsewhere: set[int] = set()
        self.interrupted: list[int] = []
        self.insisted: list[list[int]] = []
        self.engine_id = -1
        self.finishing = False
        self.source: Source | None = None
        self.on_hold = 0
        self.levels: dict[str, int] = {}

    def joined(self, engine_id: int) -> None:
        """Remember the id."""
        self.engine_id = engine_id

    def run_command(self, work: CommandWork) -> None:
        """Take it."""
        self.commands.append(work)

    def run_tasks(self, work: list[TaskWork]) -> None:
        """Take them."""
        self.tasks.extend(work)

    def stop_requests(self, requests: Sequence[int]) -> tuple[list[int], list[int]]:
        """Interrupt what runs, withdraw what is not elsewhere."""
        self.interrupted += [n for n in requests if n in self.running]
        elsewhere = [n for n in requests if n in self.elsewhere]
        return [n for n in requests if n not in self.running | self.elsewhere], elsewhere

    def interrupt(self, requests: Sequence[int]) -> list[int]:
        """Interrupt that which runs."""
        struck = [n for n in requests if n in self.running]
        self.interrupted += struck
        return struck

    def interrupt_running(self) -> list[int]:
        """Interrupt what runs."""
        return self.interrupt(sorted(self.running))

    def insist(self, requests: Iterable[int]) -> None:
        """Remember."""
        self.insisted.append(list(requests))

    def look(self) -> Source | None:
        """Return what is put out."""
        return self.source

    def hold(self, request: int) -> None:
        """Remember."""
        self.on_hold = request

    def forward_logs(self, levels: Mapping[str, int]) -> None:
        """Remember."""
        self.levels = dict(levels)

    def finish(self) -> tuple[list[int], list[int]]:
        """Remember; what does not run has not begun."""
        self.finishing = True
        waiting = [w.id for w in self.tasks if w.id not in self.running]
        self.tasks = [w for w in self.tasks if w.id in self.running]
        commands = [w.id for w in self.commands if w.id not in self.running]
        return waiting, commands


class Engine:
    """An engine's session, the hub at its other end, and the time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.worker = FakeWorker()
        registration = Register("engine", "key", b"life", 1, "host", {})
        self.session = EngineSession(
            registration, self.worker, hub_lease=100.0, drain=DRAIN, seed=1
        )
        self.session.start(self.now, enrolling=False)
        self.join()

    def join(self, epoch: str = "epoch", lease: float = 100.0, resumed: bool = False) -> None:
        """Let the engine in, and welcome its streams."""
        self.session.drain()
        token = b"token of " + epoch.encode()
        self.hear(Stream.HUB, Registered(7, token, 3, epoch, resumed, 1.0, 3.0, lease))
        for stream in (Stream.MULTIENGINE, Stream.TASK):
            self.hear(stream, Welcome(epoch))

    def hear(self, stream: Stream, message: Message) -> None:
        """Send the engine a message."""
        self.session.receive(stream, message, self.now)

    def wait(self, seconds: float) -> None:
        """Let time pass, as the runner would."""
        end = self.now + seconds
        while self.now < end and self.session.state is not State.GONE:
            due = self.session.next_deadline()
            self.now = end if due is None else min(end, max(self.now + 1e-6, due))
            self.session.tick(self.now)

    def said(self, kind: type[Message]) -> list[Any]:
        """Take what is to be sent, and return the messages of a kind."""
        return [message for _, message in self.session.drain() if isinstance(message, kind)]

    def tasks(self, *numbers: int, attempt: int = 0, digest: bytes = DIGEST) -> None:
        """Send tasks; the usual function comes with them, another does not."""
        functions = [(digest, b"blob")] if digest == DIGEST else []
        rows = [(number, attempt, 0, b"arguments") for number in numbers]
        self.hear(Stream.TASK, RunTasks([(digest, 0, 3, "")], rows, functions))

    def command(self, number: int, function: bytes = b"") -> None:
        """Send a command."""
        self.hear(Stream.MULTIENGINE, RunCommand(number, "apply", b"payload", function))

    def done(self, *numbers: int, attempt: int = 0, payload: Any = b"value") -> None:
        """Have the worker finish tasks."""
        self.session.task_results([row(n, attempt, payload) for n in numbers], self.now)


def row(number: int, attempt: int = 0, payload: Any = b"value") -> Row:
    """A result."""
    return (number, attempt, int(Status.OK), payload, 0.0, 0.0, None)


def ids(messages: Sequence[Any]) -> list[int]:
    """The requests that results are about."""
    return [each[0] for message in messages for each in message.rows]


@pytest.fixture
def engine() -> Engine:
    """An engine that has joined."""
    return Engine()


# ---------------------------------------------------------------- work and results


def test_the_worker_learns_the_engines_id(engine: Engine) -> None:
    """As soon as the hub has given it."""
    assert engine.worker.engine_id == 3


def test_tasks_go_to_the_worker_with_their_function(engine: Engine) -> None:
    """In the order in which they came."""
    engine.tasks(1, 2)

    assert [(w.id, w.attempt, w.function.blob, w.payload) for w in engine.worker.tasks] == [
        (1, 0, b"blob", b"arguments"),
        (2, 0, b"blob", b"arguments"),
    ]


def test_results_leave_together_and_are_kept_until_stored(engine: Engine) -> None:
    """One message for what is there, none twice."""
    engine.tasks(1, 2)
    engine.done(1, 2)

    assert [m.rows for m in engine.said(Results)] == [[row(1), row(2)]]
    assert engine.said(Results) == []
    assert engine.session.held(Stream.TASK) == ((1, 2),)

    engine.hear(Stream.TASK, Stored(((1, 2),)))
    assert engine.session.held(Stream.TASK) == ()


def test_what_is_lent_is_let_go_once_stored(engine: Engine) -> None:
    """With the results of the commands that it came with."""
    engine.session.lent = {1: (object(),), 2: (object(),), 3: (object(),)}
    engine.hear(Stream.MULTIENGINE, Stored(((1, 2),)))
    assert list(engine.session.lent) == [3]


def test_batches_have_limits(engine: Engine) -> None:
    """Many results are several messages; large ones travel in frames of their own."""
    numbers = range(1, BATCH_ROWS + 3)
    engine.tasks(*numbers)
    engine.done(*numbers)
    messages = engine.said(Results)
    assert [len(m.rows) for m in messages] == [BATCH_ROWS, 2]

    large = b"x" * (INLINE_BYTES + 1)
    engine.tasks(9000, 9001)
    engine.done(9000, payload=large)
    engine.done(9001, payload=(b"pickle", b"buffer"))
    (message,) = engine.said(Results)
    assert [each[3] for each in message.rows] == [(0, 1), (1, 2)]
    assert message.frames == [large, b"pickle", b"buffer"]


def test_what_is_held_is_not_taken_twice(engine: Engine) -> None:
    """The hub repeats itself after a broken connection."""
    engine.tasks(1)
    engine.tasks(1, 2)

    assert [w.id for w in engine.worker.tasks] == [1, 2]


def test_what_is_held_is_named_in_the_order_in_which_it_runs(engine: Engine) -> None:
    """What has ended first; a hub that follows another one knows from it what runs."""
    engine.tasks(7, 3, 4, 1)
    engine.done(3)
    assert engine.session.held(Stream.TASK) == ((3, 3), (7, 7), (4, 4), (1, 1))
    engine.tasks(7, attempt=1)
    assert engine.session.held(Stream.TASK) == ((3, 4), (1, 1), (7, 7))


def test_a_great_many_are_named_by_id(engine: Engine) -> None:
    """In as few ranges as there can be: a hello is no place for more."""
    numbers = range(1, 2 * MOST_RANGES)
    engine.tasks(*reversed(numbers))
    assert engine.session.held(Stream.TASK) == ((numbers[0], numbers[-1]),)


def test_a_finished_task_that_is_sent_again_has_its_result_sent_again(engine: Engine) -> None:
    """It does not run again."""
    engine.tasks(1)
    engine.done(1)
    engine.said(Results)

    engine.tasks(1)

    assert ids(engine.said(Results)) == [1]
    assert len(engine.worker.tasks) == 1


def test_a_later_attempt_replaces_an_earlier_one(engine: Engine) -> None:
    """Both may run, and only the later one's result is sent."""
    engine.tasks(1)
    engine.tasks(1, attempt=1)
    engine.done(1)
    assert engine.said(Results) == []

    engine.done(1, attempt=1)

    assert [m.rows for m in engine.said(Results)] == [[row(1, attempt=1)]]


# ---------------------------------------------------------------- commands


@pytest.mark.parametrize("stream", [Stream.MULTIENGINE, Stream.TASK])
def test_what_there_is_no_memory_for_fails(engine: Engine, stream: Stream) -> None:
    """It is not run, and the hub is told; what comes behind it runs."""
    large: RunCommand | RunTasks = RunCommand(7, "push", (0, 1), frames=[b""])
    if stream is Stream.TASK:
        large = RunTasks([(b"f", 0, 0, "")], [(7, 2, 0, (0, 1))], frames=[b""])
    engine.session.no_room(stream, large, engine.now)

    said = [message for _, message in engine.session.drain() if isinstance(message, Results)]
    [row] = [row for message in said for row in message.rows]
    assert row[:3] == (7, 2 if stream is Stream.TASK else 0, int(Status.ERROR))
    failure = unpack_failure(row[3])
    assert failure.ename == "OutOfMemory"
    assert not engine.worker.commands
    assert not engine.worker.tasks
    engine.session.receive(Stream.MULTIENGINE, RunCommand(8, "execute", b""), engine.now)
    assert [work.id for work in engine.worker.commands] == [8]


@pytest.mark.parametrize("stream", [Stream.MULTIENGINE, Stream.TASK])
@pytest.mark.parametrize("ended", [False, True])
def test_what_there_is_no_memory_for_the_second_time_goes_on(
    engine: Engine, stream: Stream, ended: bool
) -> None:
    """It is said once more after a reconnection: what runs, or has ended well, does not fail by that."""
    number, of_command = request_id(4, 1), stream is Stream.MULTIENGINE

    def end() -> None:
        if of_command:
            engine.session.command_results([row(number)], 0.0)
        else:
            engine.done(number)

    if of_command:
        engine.command(number)
    else:
        engine.tasks(number)
    if ended:
        end()
        engine.said(Results)
    again: RunCommand | RunTasks = RunCommand(number, "push", (0, 1), frames=[b""])
    if not of_command:
        again = RunTasks([(b"f", 0, 0, "")], [(number, 0, 0, (0, 1))], frames=[b""])
    engine.session.no_room(stream, again, engine.now)
    if not ended:
        end()
    [results] = engine.said(Results)
    assert [list(results.rows)] == [[row(number)]]


def test_a_command_there_was_no_memory_for_is_not_run_later(engine: Engine) -> None:
    """Its client was told that it failed."""
    number = request_id(4, 1)
    large = RunCommand(number, "push", (0, 1), frames=[b""])
    engine.session.no_room(Stream.MULTIENGINE, large, engine.now)
    engine.hear(Stream.MULTIENGINE, Stored(((number, number),)))
    engine.command(number)
    assert engine.worker.commands == []


def test_a_command_runs_once(engine: Engine) -> None:
    """One that was acknowledged and comes again has lost its result, and is not run again."""
    number = request_id(4, 1)
    engine.command(number)
    engine.session.command_results([row(number)], 0.0)
    engine.said(Results)
    engine.hear(Stream.MULTIENGINE, Stored(((number, number),)))

    engine.command(number)

    assert len(engine.worker.commands) == 1
    ((found,),) = [message.rows for message in engine.said(Results)]
    assert found[2] == Status.ERROR
    assert unpack_failure(found[3]).code == "result_lost"


@pytest.mark.parametrize(
    ("status", "payload", "text"),
    [
        (Status.ERROR, pack_failure(Failure("remote", "ValueError", "no good")), "ValueError: no good"),
        (Status.CANCELLED, b"", "it was cancelled"),
    ],
)
def test_how_a_command_failed_outlives_its_hub(
    engine: Engine, status: Status, payload: bytes, text: str
) -> None:
    """One that comes again is not run, and ends with what is left of its failure."""
    engine.command(50)
    engine.session.command_results([(50, 0, int(status), payload, 0.0, 0.0, None)], 0.0)
    engine.said(Results)
    engine.hear(Stream.MULTIENGINE, Stored(((50, 50),)))

    engine.command(50)

    assert len(engine.worker.commands) == 1
    ((found,),) = [message.rows for message in engine.said(Results)]
    failure = unpack_failure(found[3])
    assert (found[2], failure.code, failure.evalue) == (Status.ERROR, "failed_before", text)


def test_each_client_has_its_own_order(engine: Engine) -> None:
    """A lower id of another client is not an old command."""
    engine.command(request_id(9, 1))
    engine.command(request_id(4, 1))
    engine.command(request_id(4, 2))

    assert len(engine.worker.commands) == 3


# ---------------------------------------------------------------- functions


def test_work_without_its_function_waits_for_it(engine: Engine) -> None:
    """Other tasks do not; the function is asked for, and then what waited runs."""
    engine.tasks(1, digest=OTHER)
    engine.tasks(2)

    assert [m.digests for m in engine.said(NeedFunctions)] == [(OTHER,)]
    assert [w.id for w in engine.worker.tasks] == [2]
    assert engine.session.held(Stream.TASK) == ((1, 2),)

    engine.hear(Stream.TASK, Functions([(OTHER, b"blob")]))
    assert [w.id for w in engine.worker.tasks] == [2, 1]


def test_commands_keep_their_order_around_a_missing_function(engine: Engine) -> None:
    """One that could run waits behind one that cannot."""
    engine.command(1, OTHER)
    engine.command(2)
    assert engine.worker.commands == []

    engine.hear(Stream.MULTIENGINE, Functions([(OTHER, b"blob")]))

    assert [w.id for w in engine.worker.commands] == [1, 2]


def test_a_function_that_the_hub_has_lost_fails_what_needs_it(engine: Engine) -> None:
    """With a message, instead of waiting for ever."""
    engine.tasks(1, digest=OTHER)
    engine.hear(Stream.TASK, Functions([]))

    ((found,),) = [message.rows for message in engine.said(Results)]
    assert found[:3] == (1, 0, Status.ERROR)
    assert "call it again" in unpack_failure(found[3]).evalue


def test_functions_are_asked_for_again_after_a_reconnection(engine: Engine) -> None:
    """The question, or its answer, may be lost."""
    engine.tasks(1, digest=OTHER)
    engine.said(NeedFunctions)

    engine.hear(Stream.HUB, SayHello())
    engine.join("another")

    assert [m.digests for m in engine.said(NeedFunctions)] == [(OTHER,)]


def test_an_old_answer_fails_nothing(engine: Engine) -> None:
    """It was under way, on a connection that did not break, when all was asked for again."""
    engine.tasks(1, digest=OTHER)
    engine.wait(1.5)
    engine.hear(Stream.TASK, SayHello())
    engine.tasks(2, digest=THIRD)
    engine.hear(Stream.TASK, Welcome("epoch"))
    assert [m.digests for m in engine.said(NeedFunctions)][-1] == (OTHER, THIRD)

    engine.hear(Stream.TASK, Functions([(OTHER, b"blob")]))

    assert [w.id for w in engine.worker.tasks] == [1]
    assert engine.said(Results) == []
    engine.hear(Stream.TASK, Functions([(THIRD, b"blob")]))
    assert [w.id for w in engine.worker.tasks] == [1, 2]


def test_a_lost_function_comes_to_light_after_a_reconnection(engine: Engine) -> None:
    """Where the old answer was lost, too: what is not decided is asked for again."""
    engine.tasks(1, digest=OTHER)
    engine.hear(Stream.TASK, SayHello())
    engine.tasks(2, digest=THIRD)
    engine.hear(Stream.TASK, Welcome("epoch"))
    engine.said(NeedFunctions)

    failed = []
    for _ in range(4):
        engine.hear(Stream.TASK, Functions([]))
        failed += ids(engine.said(Results))

    assert sorted(failed) == [1, 2]


# ---------------------------------------------------------------- refused results


REFUSED = Refused("internal", "the hub failed on results")


def answer(engine: Engine, refused: Callable[[Row], bool]) -> list[Results]:
    """Be a hub that does not take some results; return what was sent until all is quiet."""
    sent: list[Results] = []
    while messages := engine.said(Results):
        sent += messages
        for message in messages:
            if any(map(refused, message.rows)):
                engine.hear(Stream.TASK, REFUSED)
            else:
                engine.hear(Stream.TASK, Stored(tuple((r[0], r[0]) for r in message.rows)))
        assert len(sent) < 100, "without end"
    return sent


def test_a_result_that_the_hub_refuses_fails_its_request(engine: Engine) -> None:
    """With the hub's words; those that travelled with it arrive as they are."""
    engine.tasks(*range(1, 21))
    engine.done(*range(1, 21))

    sent = answer(engine, lambda each: each[0] in {4, 15} and each[2] == Status.OK)

    taken = {each[0]: each for message in sent for each in message.rows}
    assert all(taken[n] == row(n) for n in range(1, 21) if n not in {4, 15})
    for number in (4, 15):
        assert taken[number][:3] == (number, 0, Status.ERROR)
        failure = unpack_failure(taken[number][3])
        assert failure.code == "result_lost"
        assert "the hub failed on results (internal)" in failure.evalue
    assert engine.session.held(Stream.TASK) == ()


def test_a_failure_that_is_refused_too_is_given_up(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """Others still arrive; it stays named, so that its task is not run again."""
    engine.tasks(1, 2, 3)
    engine.done(1, 2, 3)

    answer(engine, lambda each: each[0] == 2)

    assert engine.session.held(Stream.TASK) == ((2, 2),)
    assert "the failure of request 2" in caplog.text
    engine.tasks(4)
    engine.done(4)
    assert [ids([m]) for m in answer(engine, lambda each: False)] == [[4]]


def test_results_on_their_way_are_not_taken_for_refused(engine: Engine) -> None:
    """A refusal names nothing: it is clear what it was about when all else is acknowledged."""
    for number in (1, 2, 3):
        engine.tasks(number)
        engine.done(number)
        engine.said(Results)

    engine.hear(Stream.TASK, REFUSED)
    engine.hear(Stream.TASK, Stored(((1, 1),)))
    assert engine.said(Results) == []
    engine.hear(Stream.TASK, Stored(((3, 3),)))

    assert [(each[0], each[2]) for m in engine.said(Results) for each in m.rows] == [
        (2, Status.ERROR)
    ]


@pytest.mark.parametrize("code", ["authentication", "unknown_session", "protocol_mismatch"])
def test_who_is_refused_keeps_the_results(engine: Engine, code: str) -> None:
    """It is not the result that was wrong; they are sent again when the engine has joined again."""
    engine.tasks(1)
    engine.done(1)
    engine.said(Results)

    engine.hear(Stream.TASK, Refused(code, "not you"))

    assert engine.said(Results) == []
    engine.join("another")
    assert engine.session.held(Stream.TASK) == ((1, 1),)


# ---------------------------------------------------------------- reconnection


def test_results_wait_for_a_hub_and_are_sent_again_to_the_next(engine: Engine) -> None:
    """Right behind the hello that names them."""
    engine.tasks(1, 2)
    engine.done(1)
    engine.said(Results)
    engine.hear(Stream.HUB, SayHello())
    engine.done(2)
    assert engine.said(Results) == []

    engine.hear(Stream.HUB, Registered(7, b"t", 3, "next", False, 1.0, 3.0, 100.0))
    sent = [message for stream, message in engine.session.drain() if stream is Stream.TASK]

    assert [type(message) for message in sent] == [Hello, Results]
    assert sent[0].held == ((1, 2),)
    assert ids(sent[1:]) == [1, 2]


def test_a_stream_that_was_lost_alone_is_resumed_alone(engine: Engine) -> None:
    """After the hub has asked for a hello on it."""
    engine.tasks(1)
    engine.done(1)
    engine.said(Results)
    engine.wait(1.5)

    engine.hear(Stream.TASK, SayHello())
    engine.hear(Stream.TASK, Welcome("epoch"))

    assert ids(engine.said(Results)) == [1]


def test_the_namespace_is_kept_as_long_as_the_lease_says(engine: Engine) -> None:
    """The hub's word counts; then the engine ends, and says how."""
    engine.join(epoch="next", lease=50.0)
    engine.wait(49.0)
    assert engine.session.state is State.SILENT

    engine.wait(5.0)

    assert engine.session.state is State.GONE
    assert engine.session.ending is Ending.HUB_LOST


def test_time_in_which_the_process_was_stopped_does_not_count(engine: Engine) -> None:
    """A SIGSTOP of ten minutes, or a suspended laptop, costs nobody a namespace."""
    engine.now += 600.0
    engine.session.tick(engine.now)

    assert engine.session.state is not State.GONE


def test_an_engine_that_is_not_let_in_ends(engine: Engine) -> None:
    """And says so by its exit code."""
    engine.hear(Stream.HUB, SayHello())
    engine.hear(Stream.HUB, Refused("too_many_engines", "full"))

    assert engine.session.state is State.GONE
    assert engine.session.ending is Ending.REFUSED


# ---------------------------------------------------------------- control


def test_what_has_not_begun_is_cancelled(engine: Engine) -> None:
    """And answered; requests that are not held are nobody's business."""
    engine.tasks(1, 2, 3)
    engine.hear(Stream.HUB, Interrupt(((2, 3), (8, 9))))

    (message,) = engine.said(Results)
    assert [each[:4] for each in message.rows] == [
        (2, 0, Status.CANCELLED, b""),
        (3, 0, Status.CANCELLED, b""),
    ]


def test_what_runs_is_interrupted_and_answers_itself(engine: Engine) -> None:
    """The session says nothing about it."""
    engine.tasks(1)
    engine.worker.running = {1}

    engine.hear(Stream.HUB, Interrupt(((1, 1),)))

    assert engine.worker.interrupted == [1]
    assert engine.said(Results) == []


def test_what_is_just_about_to_begin_is_stopped_a_moment_later(engine: Engine) -> None:
    """Neither in the queue nor running: it is looked for again, until it has ended."""
    engine.tasks(1)
    engine.worker.elsewhere = {1}
    engine.hear(Stream.HUB, Interrupt(((1, 1),)))

    engine.worker.elsewhere, engine.worker.running = set(), {1}
    engine.wait(RETRY_STOP)
    assert engine.worker.interrupted == [1]

    engine.wait(1.0)
    assert engine.worker.interrupted == [1]


def test_an_interrupt_is_insisted_on_until_its_request_has_ended(engine: Engine) -> None:
    """It may have been lost on its way; and no longer, since another may run then."""
    engine.tasks(1)
    engine.worker.running = {1}
    engine.hear(Stream.HUB, Interrupt(((1, 1),)))
    engine.worker.insisted.clear()

    engine.wait(INSIST)
    engine.wait(INSIST)
    assert engine.worker.insisted == [[1], [1]]
    assert engine.worker.interrupted == [1]

    engine.session.task_results([(1, 0, Status.CANCELLED, b"", 0.0, 0.0, None)], engine.now)
    engine.wait(INSIST)
    engine.wait(INSIST)
    assert engine.worker.insisted == [[1], [1], []]


def test_work_that_waits_for_its_function_can_be_cancelled(engine: Engine) -> None:
    """It is not at the worker yet."""
    engine.tasks(1, digest=OTHER)
    engine.worker.running = {1}

    engine.hear(Stream.HUB, Interrupt(((1, 1),)))

    assert ids(engine.said(Results)) == [1]


def test_an_interrupt_may_overtake_its_request(engine: Engine) -> None:
    """What comes after its interrupt does not run, and is answered as cancelled; the rest runs."""
    engine.hear(Stream.HUB, Interrupt(((2, 2), (50, 51))))
    engine.tasks(1, 2, 3)
    engine.command(50)
    engine.command(52)

    assert [w.id for w in engine.worker.tasks] == [1, 3]
    assert [w.id for w in engine.worker.commands] == [52]
    rows = [each for message in engine.said(Results) for each in message.rows]
    assert [each[:4] for each in rows] == [
        (50, 0, Status.CANCELLED, b""),
        (2, 0, Status.CANCELLED, b""),
    ]


def test_an_early_interrupt_is_for_the_attempt_that_is_to_come(engine: Engine) -> None:
    """Not for the one that ended here, of which the hub had not heard or had not said so."""
    for number, stored in ((1, False), (2, True)):
        engine.tasks(number)
        engine.done(number)
        if stored:
            engine.hear(Stream.TASK, Stored(((number, number),)))
        engine.said(Results)
        engine.hear(Stream.HUB, Interrupt(((number, number),)))

        engine.tasks(number, attempt=1)

        assert [each[:3] for m in engine.said(Results) for each in m.rows] == [
            (number, 1, Status.CANCELLED)
        ]
    assert [w.attempt for w in engine.worker.tasks] == [0, 0]


def test_an_interrupt_that_came_too_late_strikes_nothing_else(engine: Engine) -> None:
    """A client that comes back may make a request anew by the same id: that is another."""
    engine.tasks(1)
    engine.done(1)
    engine.hear(Stream.TASK, Stored(((1, 1),)))
    engine.hear(Stream.HUB, Interrupt(((1, 1),)))

    engine.tasks(1)
    engine.tasks(1, attempt=1)

    assert [w.attempt for w in engine.worker.tasks] == [0, 0, 1]


def test_an_early_interrupt_strikes_once_and_not_for_another_hub(engine: Engine) -> None:
    """Which may mean other requests by these ids."""
    engine.hear(Stream.HUB, Interrupt(((1, 2),)))
    engine.tasks(1)
    engine.tasks(1, attempt=1)
    assert [(w.id, w.attempt) for w in engine.worker.tasks] == [(1, 1)]

    engine.hear(Stream.HUB, SayHello())
    engine.join("another")
    engine.tasks(2)

    assert [w.id for w in engine.worker.tasks] == [1, 2]


def test_another_hub_says_anew_what_is_to_be_forwarded(engine: Engine) -> None:
    """Nobody may want it any more; the same hub's wishes stay."""
    engine.hear(Stream.MULTIENGINE, ForwardLogs({"": 10}))
    engine.hear(Stream.HUB, SayHello())
    engine.join("epoch")
    assert engine.worker.levels == {"": 10}

    engine.hear(Stream.HUB, SayHello())
    engine.join("another")
    assert engine.worker.levels == {}


def test_what_runs_is_interrupted_rather_than_what_is_named(engine: Engine) -> None:
    """The hub cannot know that a task runs before the command; which then has its turn."""
    engine.tasks(1)
    engine.worker.running = {1}
    engine.command(2)

    engine.hear(Stream.HUB, Interrupt(((2, 2),), cancels=False))
    assert engine.worker.interrupted == [1]

    engine.worker.running = {2}
    engine.wait(RETRY_STOP)
    assert engine.worker.interrupted == [1]


def test_where_nothing_runs_what_is_named_is_interrupted_when_it_does(engine: Engine) -> None:
    """Also if it comes after the interrupt, which takes another stream."""
    engine.hear(Stream.HUB, Interrupt(((2, 2),), cancels=False))
    engine.command(2)
    engine.worker.running = {2}
    engine.wait(RETRY_STOP)

    assert engine.worker.interrupted == [2]


def test_shutdown_lets_what_runs_end(engine: Engine) -> None:
    """Nothing begins; the last result is handed over before the goodbye."""
    engine.tasks(1)
    engine.worker.running = {1}
    engine.hear(Stream.HUB, Shutdown("enough"))
    assert engine.worker.finishing
    engine.tasks(2)
    assert [w.id for w in engine.worker.tasks] == [1]

    engine.done(1)
    engine.session.idle(engine.now)
    engine.session.tick(engine.now)
    assert ids(engine.said(Results)) == [1]
    engine.hear(Stream.TASK, Stored(((1, 1),)))
    engine.session.tick(engine.now)

    assert engine.session.state is State.GONE
    assert [message.reason for message in engine.said(Goodbye)] == ["enough"]
    assert engine.session.ending is Ending.LEFT


def test_an_engine_makes_way(engine: Engine) -> None:
    """It hands over its last result, and says that another comes in its place."""
    engine.tasks(1)
    engine.done(1)
    engine.session.make_way("worn out")
    engine.session.idle(engine.now)
    engine.session.tick(engine.now)
    engine.hear(Stream.TASK, Stored(((1, 1),)))
    engine.session.tick(engine.now)

    assert engine.session.state is State.GONE
    assert engine.said(Goodbye) == [Goodbye("worn out", replaced=True)]
    assert engine.session.ending is Ending.MADE_WAY


def test_an_engine_that_somebody_ends(engine: Engine) -> None:
    """It hands over its last result, and its nanny says the rest."""
    engine.tasks(1)
    engine.done(1)
    engine.session.die()
    engine.session.idle(engine.now)
    engine.session.tick(engine.now)
    engine.hear(Stream.TASK, Stored(((1, 1),)))
    engine.session.tick(engine.now)

    assert engine.session.state is State.GONE
    assert engine.said(Goodbye) == []
    assert engine.session.ending is Ending.TERMINATED


def test_an_engine_that_is_to_end_makes_no_way(engine: Engine) -> None:
    """Whoever wanted its end wants no other in its place."""
    engine.hear(Stream.HUB, Shutdown("enough"))
    engine.session.make_way("worn out")
    engine.session.idle(engine.now)
    engine.session.tick(engine.now)

    assert engine.said(Goodbye) == [Goodbye("enough")]
    assert engine.session.ending is Ending.LEFT


@pytest.mark.parametrize(
    ("idle", "wait"), [(lambda s: None, DRAIN), (lambda s: s.idle(0.0), LAST_WORDS)]
)
def test_shutdown_does_not_wait_for_ever(
    engine: Engine, idle: Callable[[EngineSession], None], wait: float
) -> None:
    """Neither for what runs, nor for an acknowledgement that does not come."""
    engine.tasks(1, 2)
    engine.worker.running = {1, 2}
    engine.hear(Stream.HUB, Shutdown("enough"))
    engine.done(1)
    idle(engine.session)

    for _ in range(10):
        engine.wait(wait / 10 * 0.99)
        engine.hear(Stream.HUB, Beat())
    assert engine.session.state is State.JOINED

    engine.wait(wait / 10)
    assert engine.session.state is State.GONE


# ---------------------------------------------------------------- draining


def drain(engine: Engine, within: float) -> None:
    """Have it drain while task 1 runs, 2 and 3 have not begun, and neither has command 4."""
    engine.tasks(1, 2, 3)
    engine.worker.running = {1}
    engine.command(4)
    engine.said(Results)
    engine.hear(Stream.HUB, Shutdown("its time is over", within))


def test_what_has_not_begun_is_given_back(engine: Engine) -> None:
    """Tasks as such, to run elsewhere; a command fails, since it was for this engine."""
    drain(engine, 60.0)

    sent = [message for _, message in engine.session.drain()]
    assert [each.requests for each in sent if isinstance(each, GaveBack)] == [((2, 3),)]
    [results] = [each for each in sent if isinstance(each, Results)]
    [row] = results.rows
    assert row[0] == 4
    assert "engine 3 is draining (its time is over)" in unpack_failure(row[3]).evalue
    assert engine.session.held(Stream.TASK) == ((1, 1),)


def test_what_comes_later_is_given_back_at_once(engine: Engine) -> None:
    """The hub may not have known, or this is another one; what runs is known, and stays."""
    drain(engine, 60.0)
    engine.session.drain()
    engine.tasks(1, 5)
    engine.command(6)

    sent = [message for _, message in engine.session.drain()]
    assert [each.requests for each in sent if isinstance(each, GaveBack)] == [((5, 5),)]
    assert [row[0] for each in sent if isinstance(each, Results) for row in each.rows] == [6]
    assert [work.id for work in engine.worker.tasks] == [1]


def test_tasks_whose_functions_have_not_come_are_given_back(engine: Engine) -> None:
    """Nobody answers for them any more."""
    engine.tasks(1, digest=b"x" * 16)
    engine.session.drain()
    engine.hear(Stream.HUB, Shutdown("enough", 60.0))
    assert engine.said(GaveBack) == [GaveBack(((1, 1),))]

    engine.hear(Stream.TASK, Functions(((b"x" * 16, b"blob"),)))
    assert engine.worker.tasks == []


def test_it_waits_for_a_hub_with_what_it_owes(engine: Engine) -> None:
    """One that was killed, and comes back: the result is delivered, and the engine says that it drains."""
    drain(engine, 60.0)
    engine.session.drain()
    engine.wait(10.0)
    engine.done(1)
    engine.session.idle(engine.now)
    engine.wait(20.0)
    assert engine.session.state is State.SILENT
    [*_, register] = engine.said(Register)
    assert register.draining == "its time is over"

    engine.join("another epoch")
    assert 1 in ids(engine.said(Results))
    engine.hear(Stream.TASK, Stored(((1, 1),)))
    engine.hear(Stream.MULTIENGINE, Stored(((4, 4),)))
    engine.wait(0.1)
    assert engine.session.state is State.GONE
    assert engine.session.ending is Ending.LEFT


def test_it_waits_no_longer_than_it_may(engine: Engine) -> None:
    """Nor for what runs, nor for a hub that does not come; the shortest time counts."""
    drain(engine, 60.0)
    engine.hear(Stream.HUB, Shutdown("now", 30.0))
    engine.hear(Stream.HUB, Shutdown("later", 90.0))
    engine.wait(29.9)
    assert engine.session.state is not State.GONE

    engine.wait(0.2)
    assert engine.session.state is State.GONE


def test_who_is_in_a_hurry_waits_for_no_hub(engine: Engine) -> None:
    """Its nanny says so by a signal, whose handler can do no more than note it."""
    drain(engine, 60.0)
    engine.session.drain()
    engine.done(1)
    engine.session.idle(engine.now)
    engine.wait(20.0)
    assert engine.session.state is State.SILENT

    engine.session.hurried = True
    engine.wait(0.1)
    assert engine.session.state is State.GONE


# ---------------------------------------------------------------- the nanny


class Nanny:
    """A nanny's session, and what it was told."""

    def __init__(self) -> None:
        self.signals: list[tuple[str, str]] = []
        self.restarts: list[tuple[str, bytes, str, bool]] = []
        self.retires: list[tuple[str, bytes, str, float]] = []
        self.reasons: list[str] = []
        self.alive = ["one", "two"]
        self.session = NannySession(
            Register("nanny", "key", b"life", 1, "host", {}),
            vouches=lambda: self.alive,
            on_signal=lambda key, name: self.signals.append((key, name)),
            on_restart=lambda *order: self.restarts.append(order),
            on_retire=lambda *order: self.retires.append(order),
            on_shutdown=self.reasons.append,
            hub_lease=100.0,
            seed=1,
        )
        self.session.start(0.0, enrolling=False)

    def join(self, epoch: str = "epoch") -> list[Message]:
        """Join, and return what is said at once."""
        self.session.drain()
        answer = Registered(7, b"t", -1, epoch, False, 1.0, 3.0, 100.0)
        self.session.receive(Stream.HUB, answer, 0.0)
        return [message for _, message in self.session.drain()]


DEATH = EngineDied("one", b"life", "killed by signal 9 (SIGKILL)")


def test_a_nanny_vouches_for_what_runs_at_every_beat() -> None:
    """From the first moment on; one that does not run is left out."""
    nanny = Nanny()
    assert nanny.join() == [Beat(("one", "two"))]

    nanny.alive = ["two"]
    nanny.session.tick(1.0)

    assert [message for _, message in nanny.session.drain()] == [Beat(("two",))]


def test_a_death_is_reported_at_once() -> None:
    """Not with the next beat."""
    nanny = Nanny()
    nanny.join()

    nanny.session.report(DEATH, 0.5)

    assert nanny.session.drain() == [(Stream.HUB, DEATH)]


def test_a_death_without_a_hub_is_reported_to_the_next_one() -> None:
    """Unless another engine has taken the place meanwhile."""
    nanny = Nanny()
    nanny.session.report(DEATH, 0.0)
    nanny.session.report(EngineDied("two", b"life", "exit code 3"), 0.0)
    nanny.session.started("two")

    assert nanny.join()[0] == DEATH


def test_a_nanny_vouches_for_an_engine_as_soon_as_it_is_started() -> None:
    """The hub so knows whose charge it is, before the engine itself has come."""
    nanny = Nanny()
    nanny.session.started("one")
    nanny.join()

    nanny.session.started("two")

    assert nanny.session.drain() == [(Stream.HUB, Beat(("one", "two")))]


def test_a_nanny_passes_on_signals_restarts_and_the_end() -> None:
    """All are for its main thread."""
    nanny = Nanny()
    nanny.join()

    nanny.session.receive(Stream.HUB, Signal("one", "SIGKILL"), 0.0)
    nanny.session.receive(Stream.HUB, Restart("two", b"life", "client 3", at_once=True), 0.0)
    nanny.session.receive(Stream.HUB, Shutdown("enough"), 0.0)

    assert nanny.signals == [("one", "SIGKILL")]
    assert nanny.restarts == [("two", b"life", "client 3", True)]
    assert nanny.reasons == ["enough"]


def test_what_runs_is_interrupted_whoever_made_it(engine: Engine) -> None:
    """Once, with insistence; nothing is withdrawn, and nothing ends by that alone."""
    engine.tasks(1, 2)
    engine.worker.running = {1}

    engine.hear(Stream.HUB, Interrupt((), cancels=False))
    engine.wait(INSIST)

    assert engine.worker.interrupted == [1]
    assert engine.worker.insisted[-1] == [1]
    assert engine.said(Results) == []


def test_a_command_is_interrupted_as_soon_as_it_runs(engine: Engine) -> None:
    """Also one that its interrupt has overtaken; one that has ended is left alone, and so are others."""
    engine.command(1)
    engine.session.command_results([(1, 0, Status.OK, b"", 0.0, 0.0, None)], engine.now)
    engine.hear(Stream.HUB, Interrupt(((1, 2),), cancels=False))
    engine.command(2)
    engine.command(3)
    assert [work.id for work in engine.worker.commands] == [1, 2, 3]
    assert engine.worker.interrupted == []

    engine.worker.running = {2}
    engine.wait(RETRY_STOP)
    engine.wait(RETRY_STOP)

    assert engine.worker.interrupted == [2]


def test_a_nanny_asks_until_its_engines_have_left() -> None:
    """Those that run; each hub anew, with the time that is left."""
    nanny = Nanny()
    nanny.session.drain_all("the end is near", 60.0, 0.0)
    assert [each for each in nanny.join() if isinstance(each, Drain)] == [
        Drain(("one", "two"), "the end is near", 60.0)
    ]
    nanny.alive = ["two"]
    nanny.session.tick(2.0)
    assert [each for _, each in nanny.session.drain() if isinstance(each, Drain)] == [
        Drain(("two",), "the end is near", 58.0)
    ]


def test_a_nanny_hears_who_retires() -> None:
    """And passes it on."""
    nanny = Nanny()
    nanny.join()
    nanny.session.receive(Stream.HUB, Retire("one", b"life", "client 1", 5.0), 1.0)

    assert nanny.retires == [("one", b"life", "client 1", 5.0)]
