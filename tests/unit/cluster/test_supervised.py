"""What a supervisor does about one child."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from ctrlhub.cluster.child import Child
from ctrlhub.cluster.restarts import Restarts
from ctrlhub.cluster.supervised import WAIT, Supervised
from ctrlhub.controller.exits import EXIT_AWAY, EXIT_UNUSABLE
from ctrlhub.wire.private import StateError


@dataclass
class FakeChild:
    """A child that ends when the test says so."""

    name: str = "hub"
    pid: int = 1
    started: float = 0.0
    code: int | None = None
    log: Path = Path("hub.log")
    lifeline_is_cut: bool = False

    def ended(self) -> int | None:
        """Say how it ended, if it did."""
        return self.code

    def how_it_ended(self) -> str:
        """Say so in words."""
        return f"ended with {self.code}"

    def cut_lifeline(self) -> None:
        """Remember that nobody holds it any more."""
        self.lifeline_is_cut = True


class Starts:
    """A child, and those started in its place."""

    def __init__(self) -> None:
        self.children = [FakeChild()]
        self.supervised = Supervised(
            cast(Child, self.children[0]), self.again, Restarts(1.0, 8.0, steady=50.0, attempts=5)
        )
        self.now = 0.0
        self.failure: Exception | None = None

    def again(self) -> Child:
        """Start another, if that can be."""
        if self.failure is not None:
            raise self.failure
        self.children.append(FakeChild(pid=len(self.children) + 1, started=self.now))
        return cast(Child, self.children[-1])

    def turn(self, now: float) -> bool:
        """Let the supervisor look."""
        self.now = now
        return self.supervised.turn(now)


def test_a_living_child_is_left_alone() -> None:
    """Nothing is due while it runs."""
    starts = Starts()

    assert not starts.turn(100.0)
    assert starts.supervised.due is None


def test_a_killed_child_is_started_again_at_once() -> None:
    """A crash is followed by another child in the same turn."""
    starts = Starts()
    starts.children[0].code = -9

    assert starts.turn(5.0)
    assert starts.supervised.child is cast(Child, starts.children[1])
    assert starts.supervised.due is None


def test_the_next_one_when_its_pause_is_over() -> None:
    """One that dies before it has worked has to wait, and is counted once."""
    starts = Starts()
    starts.children[0].code = -9
    assert starts.turn(5.0)
    starts.children[1].code = 1

    assert not starts.turn(6.0)
    assert not starts.turn(6.9)
    assert starts.supervised.restarts.deaths == 2
    assert starts.turn(7.0)


def test_who_has_worked_is_asked_of_whoever_knows() -> None:
    """How long a child lived says little of a hub: how long it served does."""
    starts = Starts()
    starts.supervised.worked = lambda child, now: 0.0
    starts.children[0].code = -9
    assert starts.turn(1000.0)
    starts.children[1].code = -9
    assert not starts.turn(2000.0)
    starts.supervised.worked = lambda child, now: 100.0
    assert starts.turn(2001.0)
    starts.children[2].code = -9
    assert starts.turn(2002.0)


@pytest.mark.parametrize(("code", "at_once"), [(-9, True), (143, True), (1, False)])
def test_who_was_told_to_make_way_has_not_failed(code: int, at_once: bool) -> None:
    """A hub that ends at SIGTERM, or is killed, has worked; one that gives up has not."""
    starts = Starts()
    for now in (50.5, 101.0):
        starts.children[-1].code = code
        assert starts.turn(now) is (at_once or now < 100.0)


def test_a_dead_childs_lifeline_is_let_go() -> None:
    """Restarts leave no open descriptors behind."""
    starts = Starts()
    starts.children[0].code = 1

    starts.turn(0.0)

    assert starts.children[0].lifeline_is_cut


def test_deaths_in_a_row_are_answered_later_and_later() -> None:
    """A hub that cannot run does not keep the machine busy."""
    starts = Starts()
    now, pauses = 0.0, []
    for _ in range(5):
        starts.children[-1].code = 5
        due = now if starts.turn(now) else starts.supervised.due
        assert due is not None
        pauses.append(due - now)
        assert due == now or starts.turn(due)
        now = due
    assert pauses == [0.0, 1.0, 2.0, 4.0, 8.0]
    starts.children[-1].code = 5
    assert not starts.turn(now)
    assert starts.supervised.is_over
    assert "died 6 times in a row" in starts.supervised.given_up
    assert "ended with 5" in starts.supervised.given_up


@pytest.mark.parametrize("failure", [OSError(errno.ENOEXEC, "no program"), StateError("not ours")])
def test_a_start_that_fails_is_tried_again_later_and_later(failure: Exception) -> None:
    """What else is supervised goes on meanwhile; when it can be, the child is started."""
    starts = Starts()
    starts.children[0].code = -9
    starts.failure = failure
    now, pauses = 0.0, []
    for _ in range(3):
        assert not starts.turn(now)
        assert starts.supervised.due is not None
        pauses.append(starts.supervised.due - now)
        now = starts.supervised.due
    assert pauses == [1.0, 2.0, 4.0]

    starts.failure = None

    assert not starts.turn(now - 0.1)
    assert starts.turn(now)
    assert starts.supervised.child is cast(Child, starts.children[1])


def test_what_cannot_start_for_now_is_tried_for_as_long_as_it_takes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """That is no crash: it is said once, and the reason is there for whoever asks."""
    starts = Starts()
    starts.supervised.why = lambda child: "no space left"
    starts.supervised.worked = lambda child, now: 0.0
    starts.children[0].code = -9
    assert starts.turn(0.0)
    now, pauses = 0.0, []
    for _ in range(50):
        starts.children[-1].code = EXIT_AWAY
        assert not starts.turn(now)
        assert starts.supervised.waits == "no space left"
        assert starts.supervised.due is not None
        assert starts.supervised.wakes(now) == starts.supervised.due
        pauses.append(starts.supervised.due - now)
        now = starts.supervised.due
        assert starts.turn(now)
    assert pauses[:3] == pytest.approx([0.1, 0.2, 0.4])
    assert pauses[-1] == WAIT[1]
    assert caplog.text.count("no space left") == 1
    assert not starts.supervised.is_over
    wakes = starts.supervised.wakes(now)
    assert wakes is not None
    assert wakes > now
    starts.supervised.worked = lambda child, now: 1.0
    assert not starts.turn(now + 1.0)
    assert starts.supervised.waits == ""
    assert starts.supervised.wakes(now) is None


def test_a_start_that_has_no_room_is_tried_for_as_long_as_it_takes() -> None:
    """Its log cannot be opened, say, since the disk is read-only."""
    starts = Starts()
    starts.children[0].code = -9
    starts.failure = OSError(errno.EROFS, "Read-only file system")
    now = 0.0
    for _ in range(50):
        assert not starts.turn(now)
        assert "Read-only" in starts.supervised.waits
        assert starts.supervised.due is not None
        now = starts.supervised.due
    starts.failure = None
    assert starts.turn(now)


def test_what_no_other_could_use_is_given_up_at_once() -> None:
    """A damaged store will not mend itself."""
    starts = Starts()
    starts.supervised.why = lambda child: "it is damaged"
    starts.children[0].code = EXIT_UNUSABLE

    assert not starts.turn(100.0)
    assert starts.supervised.is_over
    assert "it is damaged" in starts.supervised.given_up


def test_an_end_on_purpose_is_final() -> None:
    """Exit code 0 is what a program that was told to end has: it stays ended."""
    starts = Starts()
    starts.children[0].code = 0

    assert not starts.turn(5.0)
    assert starts.supervised.is_over
    assert not starts.turn(1000.0)
    assert len(starts.children) == 1
