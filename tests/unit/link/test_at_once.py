"""`Runner.at_once`: a message leaves from its caller's thread while the loop sleeps."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from ctrlhub.link.membership import Membership, Patience
from ctrlhub.link.runner import Runner
from ctrlhub.wire.messages import Beat, Buffer, Register, Role, Stream
from tests.support.peers import registration


class OpenLink:
    """A link whose loop sleeps: its lock is free."""

    enrolling = False

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.sent: list[tuple[Stream, threading.Thread]] = []
        self.wakes = 0
        self.miss = False
        self.reopened = 0
        self.broken = False

    def send(self, stream: Stream, frames: Sequence[Buffer]) -> None:
        """Note what was sent, and by whom."""
        assert self.lock.locked()
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
    register: Register = registration(Role.CLIENT, "key")
    return Runner(Membership(register, patience=Patience(), seed=1), link)  # type: ignore[arg-type]


def say(runner: Runner) -> None:
    """Have a beat sent, at once if possible."""
    runner.at_once(lambda now: runner.machine.send(Stream.HUB, Beat()))


def test_a_sleeping_loop_is_left_asleep(runner: Runner, link: OpenLink) -> None:
    """The caller sends, and nobody is woken."""
    say(runner)
    assert link.sent == [(Stream.HUB, threading.current_thread())]
    assert link.wakes == 0
    assert not link.lock.locked()


def test_a_loop_at_work_gets_it_posted(runner: Runner, link: OpenLink) -> None:
    """While the loop holds the lock, the action waits for it."""
    with link.lock:
        say(runner)
    assert link.sent == []
    assert len(runner._posted) == 1


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


def test_an_interrupted_send_opens_the_link_anew(runner: Runner, link: OpenLink) -> None:
    """Half a message must not become the beginning of the next."""
    link.broken = True
    with pytest.raises(KeyboardInterrupt):
        say(runner)
    assert not link.lock.locked()
    runner._run_posted(0.0)
    assert link.reopened == 1
