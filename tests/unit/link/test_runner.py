# ruff: noqa: D102 -- the fakes below implement documented interfaces
from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgpack
import pytest

from ctrlhub.link.base import Arrival, Link
from ctrlhub.link.membership import Membership, Patience, State
from ctrlhub.link.runner import SECOND_LOOK, Runner, log_error
from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.errors import InvalidRequest
from ctrlhub.wire.messages import (
    Beat,
    Buffer,
    Enrol,
    Enrolled,
    Goodbye,
    Hello,
    LogRecords,
    Message,
    Refused,
    Register,
    Registered,
    Results,
    RunTasks,
    Shutdown,
    Stream,
)

KEY = "k" * 40
REGISTER = Register(role="engine", key=KEY, incarnation=b"i", pid=7, host="node", versions={}, parts=True)
REGISTERED = Registered(
    session=5,
    token=b"token",
    engine_id=3,
    epoch="hub-1",
    resumed=False,
    beat=1.0,
    suspect=3.0,
    lease=600.0,
)


class FakeLink:
    """A link without sockets: a script of turns, each giving messages and taking time."""

    def __init__(self, enrolling: bool = False) -> None:
        self.now = 100.0
        self.enrolling = enrolling
        self.lock = threading.RLock()  # never let go of: everything is posted
        self.bulk = None
        self.turns: deque[Callable[[], list[Arrival]]] = deque()
        self.log: list[Any] = []
        self.wakes = 0
        self.timeouts: list[float | None] = []

    def send(self, stream: Stream, frames: Sequence[Buffer]) -> None:
        self.log.append((stream, decode(frames[0], frames[1:])))

    def receive(self, timeout: float | None) -> list[Arrival]:
        self.timeouts.append(timeout)
        return self.turns.popleft()() if self.turns else self.nothing()

    def nothing(self) -> list[Arrival]:
        """Let the timeout pass."""
        assert self.timeouts[-1] is not None, "nothing will ever happen"
        self.now += self.timeouts[-1]
        return []

    def missed(self) -> bool:
        """Nothing is missed."""
        return False

    def reopen(self) -> None:
        """There is nothing to open."""

    def wake(self) -> None:
        self.wakes += 1

    def enrolled(self) -> None:
        self.enrolling = False
        self.sleeping = self.sleeps_in_system = False
        self.bulk = None
        self.log.append("enrolled")

    def enrol_again(self) -> None:
        self.enrolling = True
        self.log.append("enrol_again")

    def failure(self) -> str | None:
        return None

    def close(self) -> None:
        self.log.append("close")

    def clock(self) -> float:
        return self.now

    def then(self, *messages: tuple[Stream, Message]) -> None:
        """Let these messages arrive in one turn."""
        self.turns.append(lambda: [arrival(*each) for each in messages])


def arrival(stream: Stream, message: Message) -> Arrival:
    """A message as the link gives it."""
    header, *frames = encode(message)
    return stream, header, frames


class Peer(Membership):
    """A membership that notes what it hears, and leaves when told to shut down."""

    def __init__(self) -> None:
        super().__init__(REGISTER, patience=Patience(jitter=0.0), seed=1)
        self.heard: list[Message] = []

    def on_message(self, stream: Stream, message: Message, now: float) -> None:
        if isinstance(message, Shutdown):
            self.goodbye(now)
        elif isinstance(message, Results):
            raise ValueError("an engine gets no results")
        self.heard.append(message)


@pytest.fixture
def link() -> FakeLink:
    """A link without sockets, whose clock stands at 100."""
    return FakeLink()


@pytest.fixture
def errors() -> list[Exception]:
    """The errors that the runner reported."""
    return []


@pytest.fixture
def runner(link: FakeLink, errors: list[Exception]) -> Runner:
    """A runner of a peer on the link."""
    fits: Link = link
    return Runner(Peer(), fits, clock=link.clock, on_error=errors.append)


def sent(link: FakeLink) -> list[type]:
    """The kinds of the messages that were sent."""
    pairs = [each for each in link.log if isinstance(each, tuple)]
    return [type(message) for stream, message in pairs if isinstance(stream, Stream)]


def test_joins_runs_and_leaves(link: FakeLink, runner: Runner) -> None:
    """The loop starts the machine, passes messages both ways, and ends with its goodbye sent."""
    link.then((Stream.HUB, REGISTERED))
    link.then((Stream.HUB, Shutdown()))
    runner.run()
    assert sent(link) == [Register, Hello, Hello, Goodbye]
    assert link.log[-1] == "close"
    assert runner.machine.state is State.GONE


def test_frames_arrive_with_their_message(link: FakeLink, runner: Runner) -> None:
    """Payload frames reach the machine as they came, beside the rows that refer to them."""
    payload = memoryview(b"x" * 100)
    message = RunTasks([(b"f", 0, 0, "")], [(1, 1, 0, (0, 1))], frames=(payload,))
    link.then((Stream.HUB, REGISTERED))
    link.then((Stream.TASK, message), (Stream.HUB, Shutdown()))
    runner.run()
    [heard, _] = runner.machine.heard  # type: ignore[attr-defined]
    assert heard.frames[0] is payload


def test_link_actions_come_before_messages(link: FakeLink, runner: Runner) -> None:
    """Enrolment: the link is switched over before the registration is sent on it."""
    link.enrolling = True
    link.then((Stream.HUB, Enrolled(KEY)))
    link.then((Stream.HUB, REGISTERED))
    link.then((Stream.HUB, Shutdown()))
    runner.run()
    assert link.log == [
        (Stream.HUB, Enrol(KEY)),
        "enrolled",
        (Stream.HUB, REGISTER),
        (Stream.MULTIENGINE, Hello(b"token")),
        (Stream.TASK, Hello(b"token")),
        (Stream.HUB, Goodbye()),
        "close",
    ]


def test_a_refused_key_is_enrolled_again(link: FakeLink, runner: Runner) -> None:
    """A link that sees our key refused makes the machine enrol it, without waiting for silence."""

    def refuse() -> list[Arrival]:
        link.enrolling = True
        return []

    link.enrolling = True
    link.then((Stream.HUB, Enrolled(KEY)))
    link.then((Stream.HUB, REGISTERED))
    link.turns.append(refuse)
    link.then((Stream.HUB, Enrolled(KEY)))
    link.then((Stream.HUB, REGISTERED))
    link.then((Stream.HUB, Shutdown()))
    runner.run()
    assert [each for each in link.log if isinstance(each, str)] == [
        "enrolled",
        "enrol_again",
        "enrolled",
        "close",
    ]
    assert link.now == 100.0
    assert sent(link) == [Enrol, Register, Hello, Hello, Enrol, Register, Hello, Hello, Goodbye]


def test_waits_until_the_machine_is_due(link: FakeLink, runner: Runner) -> None:
    """The loop sleeps until the next deadline, and the machine then does what is due."""
    link.then((Stream.HUB, REGISTERED))
    link.turns.append(link.nothing)
    link.turns.append(link.nothing)
    link.then((Stream.HUB, Shutdown()))
    runner.run()
    assert link.timeouts[1:3] == pytest.approx([1.0, 1.0])
    assert sent(link) == [Register, Hello, Hello, Beat, Hello, Hello, Beat, Goodbye]


def test_posted_actions_run_in_order_with_the_time(link: FakeLink, runner: Runner) -> None:
    """What other threads post runs in the loop, in order, given the time, without any wait."""
    ran: list[Any] = []
    runner.post(lambda now: ran.append(("first", now)))
    runner.post(lambda now: ran.append(("second", now)))
    runner.stop()
    runner.run()
    assert ran == [("first", 100.0), ("second", 100.0)]
    assert link.timeouts == [0.0]
    assert link.log[-1] == "close"


def test_many_posts_wake_a_sleeper_once(link: FakeLink, runner: Runner) -> None:
    """Posts to a loop that is awake cost no signal; to one that sleeps, one for all of them."""
    ran: list[float] = []

    def posted_while_asleep() -> list[Arrival]:
        for _ in range(10):
            runner.post(ran.append)
        return []

    def awake(now: float) -> None:
        before = link.wakes
        runner.post(lambda now: runner.stop())
        assert link.wakes == before

    link.turns.append(posted_while_asleep)
    link.turns.append(lambda: (runner.post(awake), [])[1])
    runner.run()
    assert len(ran) == 10
    assert link.wakes == 2


def test_actions_posted_by_actions_wait_a_turn(link: FakeLink, runner: Runner) -> None:
    """Actions that post actions cannot keep the loop from its messages."""
    seen: list[int] = []

    def endless(now: float) -> None:
        seen.append(len(link.timeouts))
        runner.post(endless)

    runner.post(endless)
    link.then()
    link.then()
    link.then((Stream.HUB, REGISTERED), (Stream.HUB, Shutdown()))
    runner.run()
    assert seen == [1, 2, 3]


def test_bad_messages_are_counted_and_survived(
    link: FakeLink, runner: Runner, errors: list[Exception]
) -> None:
    """Bytes that are no message are reported and counted; the next message is served."""
    link.then((Stream.HUB, REGISTERED))
    link.turns.append(lambda: [(Stream.TASK, b"\xc1", []), (Stream.HUB, b"", [])])
    link.then((Stream.HUB, Shutdown()))
    runner.run()
    assert runner.malformed == 2
    assert [type(error) for error in errors] == [InvalidRequest, InvalidRequest]
    assert sent(link)[-1] is Goodbye


def test_another_version_of_the_protocol_is_a_refusal(link: FakeLink, runner: Runner) -> None:
    """A hub of another major version ends the joining with an error that names both."""
    link.turns.append(lambda: [(Stream.HUB, msgpack.packb((99, "anything", {})), [])])
    runner.run()
    refused = runner.machine.refused
    assert refused is not None
    assert refused.code == "protocol_mismatch"
    assert "99" in refused.message


def test_failing_actions_and_handlers_are_reported(
    link: FakeLink, runner: Runner, errors: list[Exception]
) -> None:
    """One action or message that fails costs neither the others nor the connection."""
    ran: list[float] = []

    def failing(now: float) -> None:
        raise KeyError("oops")

    runner.post(failing)
    runner.post(ran.append)
    link.then((Stream.HUB, REGISTERED), (Stream.TASK, Results([])), (Stream.HUB, Beat()))
    link.then((Stream.HUB, Shutdown()))
    runner.run()
    assert [type(error) for error in errors] == [ValueError, KeyError]
    assert runner.malformed == 0
    assert ran == [100.0]
    assert sent(link)[-1] is Goodbye


def test_errors_are_logged_by_default(caplog: pytest.LogCaptureFixture) -> None:
    """Without a handler of one's own, an error and its traceback go to the log."""
    log_error(ValueError("what happened"))
    assert "ValueError: what happened" in caplog.text


def test_a_handler_of_logging_that_raises(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Is told on stderr, and ends no loop."""

    class Failing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise AttributeError("no engine_id")

    monkeypatch.setattr(logging.getLogger("ctrlhub.link.runner"), "handlers", [Failing()])
    log_error(ValueError("what happened"))
    told = capsys.readouterr().err
    assert "no engine_id" in told
    assert "what happened" in told


def test_a_held_up_process_does_not_blame_the_hub(link: FakeLink, runner: Runner) -> None:
    """After a pause of this process, what arrived meanwhile is read before silence is judged."""

    def held_up() -> list[Arrival]:
        link.now += 60.0
        return []

    def second_look() -> list[Arrival]:
        assert link.timeouts[-1] == SECOND_LOOK
        return [arrival(Stream.HUB, Beat())]

    link.then((Stream.HUB, REGISTERED))
    link.turns.append(held_up)
    link.turns.append(second_look)
    link.then((Stream.HUB, Shutdown()))
    runner.run()
    assert Register not in sent(link)[1:]


def test_a_long_turn_does_not_blame_the_hub(link: FakeLink, runner: Runner) -> None:
    """Nothing was said to the hub meanwhile, so it had nothing to answer: it gets time to."""

    def long(now: float) -> None:
        link.now += 60.0

    def answers() -> list[Arrival]:
        assert sent(link).count(Beat) == 1
        return [arrival(Stream.HUB, Beat())]

    link.then((Stream.HUB, REGISTERED))
    link.turns.append(lambda: runner.post(long) or [])  # type: ignore[func-returns-value]
    link.turns += [list, list, answers]
    link.then((Stream.HUB, Shutdown()))
    runner.run()
    assert Register not in sent(link)[1:]


def test_real_silence_is_found(link: FakeLink, runner: Runner) -> None:
    """A hub that says nothing any more is asked again, time after time."""

    def look(now: float) -> None:
        assert runner.machine.state is State.SILENT
        runner.stop()

    link.then((Stream.HUB, REGISTERED))
    for _ in range(10):
        link.turns.append(link.nothing)
    link.turns.append(lambda: (runner.post(look), [])[1])
    runner.run()
    assert sent(link).count(Register) > 3


def test_the_link_is_closed_whatever_happens(link: FakeLink, runner: Runner) -> None:
    """A link that fails ends the loop with its error, and is closed."""

    def broken() -> list[Arrival]:
        raise OSError("the link broke")

    link.turns.append(broken)
    with pytest.raises(OSError, match="the link broke"):
        runner.run()
    assert link.log[-1] == "close"


def test_a_refused_joining_ends_the_loop(link: FakeLink, runner: Runner) -> None:
    """A peer that is not let in stops of itself, and the reason stays with the machine."""
    link.then((Stream.HUB, Refused("version_mismatch", "3.11 and 3.12")))
    runner.run()
    assert runner.machine.refused == Refused("version_mismatch", "3.11 and 3.12")


def test_a_message_that_cannot_be_encoded_costs_itself_only(
    runner: Runner, link: FakeLink, errors: list[Exception]
) -> None:
    """It is reported; what stands behind it is sent, and the loop goes on."""
    odd = LogRecords([{"lineno": object()}])

    def speak(now: float) -> None:
        runner.machine.send(Stream.MULTIENGINE, odd)
        runner.machine.send(Stream.MULTIENGINE, LogRecords([{"message": "behind"}]))

    runner.post(speak)
    link.then((Stream.HUB, Shutdown()))
    runner.run()

    assert len(errors) == 1
    assert LogRecords(({"message": "behind"},)) in [
        LogRecords(tuple(each[1].records)) for each in link.log
        if isinstance(each, tuple) and isinstance(each[1], LogRecords)
    ]  # fmt: skip
