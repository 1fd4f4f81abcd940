"""`Runner.lead`: a thread that waits for a message runs the loop itself."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

import pytest

from ctrlhub.link.base import Arrival
from ctrlhub.link.runner import Runner
from ctrlhub.link.sleep import asleep
from ctrlhub.link.states import State
from ctrlhub.wire.codec import encode
from ctrlhub.wire.messages import Beat, Message, Stream

PATIENCE = 60.0


class QueueLink:
    """A link that brings what a test puts into it."""

    enrolling = False
    sleeping = sleeps_in_system = False
    bulk = None

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.closed = False
        self.reopened = 0
        self._condition = threading.Condition()
        self._waiting: deque[Arrival] = deque()
        self._woken = False

    def put(self) -> None:
        """Let a message arrive."""
        with self._condition:
            self._waiting.append((Stream.HUB, bytes(encode(Beat())[0]), []))
            self._condition.notify_all()

    def receive(self, timeout: float | None) -> list[Arrival]:
        """Wait, and take what is there."""
        return asleep(self, self._wait, timeout)

    def _wait(self, timeout: float | None) -> list[Arrival]:
        with self._condition:
            self._condition.wait_for(lambda: self._waiting or self._woken, timeout)
            self._woken = False
            arrived = list(self._waiting)
            self._waiting.clear()
        return arrived

    def wake(self) -> None:
        """Make `receive` return."""
        with self._condition:
            self._woken = True
            self._condition.notify_all()

    def send(self, stream: Stream, frames: list[bytes]) -> None:
        """Nothing is sent here."""
        raise AssertionError(stream)

    def missed(self) -> bool:
        """Nothing is."""
        return False

    def reopen(self) -> None:
        """Count."""
        self.reopened += 1

    def close(self) -> None:
        """Take note."""
        self.closed = True


class Machine:
    """Notes in which thread each message is handled."""

    proof = b""

    def __init__(self) -> None:
        self.state = State.JOINED
        self.heard: list[threading.Thread] = []
        self.news = threading.Condition()
        self.on_receive: Callable[[], None] = lambda: None
        self.on_tick: Callable[[], None] = lambda: None

    def start(self, now: float, enrolling: bool) -> None:
        """Do nothing."""

    def receive(self, stream: Stream, message: Message, now: float) -> None:
        """Take note."""
        self.on_receive()
        with self.news:
            self.heard.append(threading.current_thread())
            self.news.notify_all()

    def tick(self, now: float) -> None:
        """Do what a test wants."""
        self.on_tick()

    def next_deadline(self) -> float | None:
        """Nothing is due."""
        return None

    def drain(self) -> list[tuple[Stream, Message]]:
        """Nothing is to be said."""
        return []

    def take_link_actions(self) -> list[object]:
        """Nothing is to be done."""
        return []

    def await_heard(self, count: int) -> None:
        """Wait until so many messages were handled."""
        with self.news:
            assert self.news.wait_for(lambda: len(self.heard) >= count, PATIENCE)


class Loop:
    """A runner in a thread of its own."""

    def __init__(self) -> None:
        self.link, self.machine = QueueLink(), Machine()
        self.runner = Runner(self.machine, self.link)  # type: ignore[arg-type]
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        begun = threading.Event()
        self.runner.post(lambda now: begun.set())
        assert begun.wait(PATIENCE)

    def _run(self) -> None:
        try:
            self.runner.run()
        except ZeroDivisionError as error:
            self.error = error

    def end(self) -> None:
        """Have the loop end."""
        self.runner.stop()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
        assert self.link.closed


@pytest.fixture
def loop() -> Iterator[Loop]:
    """A loop that runs."""
    made = Loop()
    yield made
    made.end()


def lead_one(loop: Loop) -> None:
    """Lead until one message more was handled."""
    count = len(loop.machine.heard)
    threading.Timer(0.01, loop.link.put).start()
    assert loop.runner.lead(lambda: len(loop.machine.heard) > count)


def test_a_guest_handles_what_it_waits_for(loop: Loop) -> None:
    """In its own thread, visit after visit."""
    for count in range(1, 51):
        puts = iter([loop.link.put])

        def has_heard(count: int = count, puts: Iterator[Callable[[], None]] = puts) -> bool:
            for put in puts:  # once we lead: nobody else may be quicker
                put()
            return len(loop.machine.heard) >= count

        assert loop.runner.lead(has_heard)
    assert set(loop.machine.heard) == {threading.current_thread()}


def test_without_a_guest_the_loops_own_thread_handles_it(loop: Loop) -> None:
    """Before the first visit, and when the guest has stayed away."""
    loop.link.put()
    loop.machine.await_heard(1)
    lead_one(loop)
    loop.link.put()
    loop.machine.await_heard(3)
    own, guest = loop.thread, threading.current_thread()
    assert loop.machine.heard == [own, guest, own]


def test_also_after_a_long_visit(loop: Loop) -> None:
    """During which the loop's own thread sleeps."""
    threading.Timer(0.2, loop.link.put).start()
    assert loop.runner.lead(lambda: bool(loop.machine.heard))
    loop.link.put()
    loop.machine.await_heard(2)
    assert loop.machine.heard == [threading.current_thread(), loop.thread]


def test_what_is_posted_is_done(loop: Loop) -> None:
    """By the guest, or when it has gone, by the loop's own thread."""
    done: list[threading.Thread] = []
    told = threading.Event()

    def act(now: float) -> None:
        done.append(threading.current_thread())
        told.set()

    threading.Timer(0.01, loop.runner.post, (act,)).start()
    assert loop.runner.lead(lambda: bool(done))
    told.clear()
    loop.runner.post(act)
    assert told.wait(PATIENCE)
    assert done[0] is threading.current_thread()


def test_who_has_what_it_waits_for_does_not_lead(loop: Loop) -> None:
    """There is nothing to wait for."""
    assert loop.runner.lead(lambda: True)


def test_one_guest_at_a_time(loop: Loop) -> None:
    """The other one is told to wait as ever."""
    answers: list[bool] = []

    def second() -> None:
        answers.append(loop.runner.lead(lambda: False))
        loop.link.put()

    threading.Timer(0.01, second).start()
    assert loop.runner.lead(lambda: bool(loop.machine.heard))
    assert answers == [False]


def test_a_guest_of_a_loop_that_ends_is_sent_away(loop: Loop) -> None:
    """As is one that comes later."""
    threading.Timer(0.01, loop.runner.stop).start()
    assert not loop.runner.lead(lambda: False)
    loop.thread.join(PATIENCE)
    assert not loop.runner.lead(lambda: False)


def test_what_fails_is_reported_by_the_loops_own_thread() -> None:
    """To whom it matters that the loop has ended; the guest waits as ever."""
    loop = Loop()

    def fail() -> None:
        raise ZeroDivisionError

    loop.machine.on_tick = fail
    assert not loop.runner.lead(lambda: False)
    loop.thread.join(PATIENCE)
    assert isinstance(loop.error, ZeroDivisionError)
    assert loop.link.closed


def test_a_guest_that_is_interrupted_opens_the_link_anew(loop: Loop) -> None:
    """Half a message may have been read or sent."""

    def strike() -> None:
        loop.machine.on_receive = lambda: None
        raise KeyboardInterrupt

    loop.machine.on_receive = strike
    threading.Timer(0.01, loop.link.put).start()
    with pytest.raises(KeyboardInterrupt):
        loop.runner.lead(lambda: False)
    loop.link.put()
    loop.machine.await_heard(1)
    assert loop.link.reopened == 1


def test_who_sleeps_is_roused_by_the_shortest_visit(loop: Loop) -> None:
    """The loop's own thread may fall asleep in any moment of a visit; then it takes over again."""
    parking = loop.runner._parking

    def is_asleep() -> bool:
        end = time.monotonic() + PATIENCE
        while not parking.asleep and time.monotonic() < end:
            parking.recall()  # as if something had been posted just before
            time.sleep(0.0001)
        return parking.asleep

    assert loop.runner.lead(is_asleep)
    loop.link.put()
    loop.machine.await_heard(1)
    assert loop.machine.heard == [loop.thread]
