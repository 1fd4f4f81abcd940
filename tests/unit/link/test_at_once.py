"""`Runner.at_once`: a message leaves from its caller's thread while the loop sleeps."""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Sequence

import pytest

from ctrlhub.link.membership import Membership, Patience
from ctrlhub.link.runner import Runner
from ctrlhub.wire.messages import Beat, Buffer, Register, Role, Stream
from tests.support.peers import registration


def is_free(lock: threading.RLock) -> bool:
    """Say whether another thread could take the lock."""
    found: list[bool] = []

    def look() -> None:
        found.append(lock.acquire(blocking=False))
        if found[0]:
            lock.release()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return found[0]


class OpenLink:
    """A link whose loop sleeps: its lock is free."""

    enrolling = False
    sleeping = sleeps_in_system = False
    bulk = None

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.sent: list[tuple[Stream, threading.Thread]] = []
        self.wakes = 0
        self.miss = False
        self.reopened = 0
        self.broken = False

    def send(self, stream: Stream, frames: Sequence[Buffer]) -> None:
        """Note what was sent, and by whom."""
        # Asked of the lock itself: threads, which `is_free` needs, do not bear Ctrl-C at any moment.
        assert self.lock._is_owned()  # type: ignore[attr-defined]
        if self.broken:
            raise KeyboardInterrupt
        self.sent.append((stream, threading.current_thread()))

    def missed(self) -> bool:
        """Say what the test wants."""
        return self.miss

    def wake(self) -> None:
        """Count."""
        self.wakes += 1

    def reopen(self) -> None:
        """Count."""
        self.reopened += 1


@pytest.fixture
def link() -> OpenLink:
    """A link whose loop sleeps."""
    return OpenLink()


@pytest.fixture
def runner(link: OpenLink) -> Runner:
    """A runner whose loop sleeps."""
    register: Register = registration(Role.ADMIN, "key")
    made = Runner(Membership(register, patience=Patience(), seed=1), link)  # type: ignore[arg-type]
    made._thread = -1  # some thread's loop, which sleeps
    made._asleep = True
    return made


def say(runner: Runner) -> None:
    """Have a beat sent, at once if possible."""
    runner.at_once(lambda now: runner.machine.send(Stream.HUB, Beat()))


def test_a_sleeping_loop_is_left_asleep(runner: Runner, link: OpenLink) -> None:
    """The caller sends, and nobody is woken."""
    say(runner)
    assert link.sent == [(Stream.HUB, threading.current_thread())]
    assert link.wakes == 0
    assert is_free(link.lock)


def test_a_loop_at_work_gets_it_posted(runner: Runner, link: OpenLink) -> None:
    """While the loop holds the lock, the action waits for it."""
    thread = threading.Thread(target=say, args=(runner,))
    with link.lock:
        thread.start()
        thread.join()
    assert link.sent == []
    assert len(runner._posted) == 1


def test_the_loops_own_thread_posts(runner: Runner, link: OpenLink) -> None:
    """A callback that submits must not come between the loop and its machine."""
    runner._thread = threading.get_ident()
    say(runner)
    assert link.sent == []
    assert len(runner._posted) == 1


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs setitimer")
def test_ctrl_c_at_any_moment_gives_the_lock_back(runner: Runner, link: OpenLink) -> None:
    """Wherever the interrupt strikes, the loop can go on."""

    def strike(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGALRM, strike)
    struck = 0
    # An interrupt that strikes in a callback of the collector (test tools have some) ends there.
    gc.disable()
    try:
        for round_ in range(2000):
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-6 * (1 + round_ % 60))
                for _ in range(200):
                    say(runner)
                    runner._posted.clear()
            except KeyboardInterrupt:
                struck += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            runner._posted.clear()
    except KeyboardInterrupt:  # the last one, late
        struck += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
        gc.enable()
    assert struck > 100
    assert is_free(link.lock)


def test_what_was_posted_before_goes_before(runner: Runner, link: OpenLink) -> None:
    """Actions keep their order."""
    runner.post(lambda now: None)
    say(runner)
    assert link.sent == []
    assert len(runner._posted) == 2


def test_a_message_that_came_meanwhile_wakes_the_loop(runner: Runner, link: OpenLink) -> None:
    """Sending may have taken the signal that the loop sleeps on."""
    link.miss = True
    say(runner)
    assert link.wakes == 1


def test_a_parked_loop_is_not_woken(runner: Runner, link: OpenLink) -> None:
    """Nobody sleeps on the link: who leads next looks for itself."""
    link.miss = True
    runner._asleep = False
    say(runner)
    assert link.sent == [(Stream.HUB, threading.current_thread())]
    assert link.wakes == 0


def test_an_interrupted_send_opens_the_link_anew(runner: Runner, link: OpenLink) -> None:
    """Half a message must not become the beginning of the next."""
    link.broken = True
    with pytest.raises(KeyboardInterrupt):
        say(runner)
    assert is_free(link.lock)
    runner._run_posted(0.0)
    assert link.reopened == 1


def test_what_is_said_meanwhile_by_the_same_thread_is_posted(
    runner: Runner, link: OpenLink
) -> None:
    """A signal's handler, or what the collector calls, must not come between the steps."""

    def act(now: float) -> None:
        runner.machine.send(Stream.HUB, Beat())
        say(runner)

    runner.at_once(act)
    assert len(link.sent) == 1
    assert len(runner._posted) == 1
    assert is_free(link.lock)
