"""A peer's part in sharing memory: what it shows, proves and opens, and when it gives up."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from ctrlhub.link.membership import Membership
from ctrlhub.link.runner import Runner
from ctrlhub.link.sharing import Sharing
from ctrlhub.wire import segments
from ctrlhub.wire.codec import encode
from ctrlhub.wire.messages import (
    Hello,
    Lent,
    Message,
    Register,
    RunCommand,
    RunTasks,
    Shutdown,
    Stream,
    Welcome,
)
from ctrlhub.wire.segments import Carried, Segment, SegmentRef, borrow, read_proof, share
from tests.unit.link.test_membership import REGISTERED, STEADY, joined, kinds
from tests.unit.link.test_runner import REGISTER, FakeLink, Peer

pytestmark = pytest.mark.skipif(not segments.AVAILABLE, reason="this system has no memory files")

SECRET = b"0123456789abcdef"
DATA = bytes(range(256)) * 100


def made(data: bytes) -> Segment:
    """A segment with this content."""
    segment = share(memoryview(data))
    assert segment is not None
    return segment


def lent(segment: Segment) -> tuple[int, ...]:
    """What a hub, this process, says of a segment."""
    return os.getpid(), segment.descriptor, segment.stamp, segment.nbytes


def proofs(sent: list[tuple[Stream, Message]]) -> list[bytes]:
    """What the hellos that were sent prove."""
    return [each.proof for _, each in sent if isinstance(each, Hello)]


# ---------------------------------------------------------------- the machine


def test_hellos_tell_the_proof() -> None:
    """Where the hub shows a segment, and it can be read."""
    peer = Membership(REGISTER, patience=STEADY, seed=1)
    peer.prove = lambda segment: SECRET if segment == (1, 2, 3, 4) else b""
    peer.start(0.0, False)
    peer.drain()
    peer.receive(Stream.HUB, replace(REGISTERED, segment=(1, 2, 3, 4)), 0.0)
    assert proofs(peer.drain()) == [SECRET, SECRET]


def test_a_hub_that_shows_nothing() -> None:
    """Nothing is proven to it, nor lent."""
    assert joined().proof == b""


def test_another_hub_is_asked_anew() -> None:
    """What its predecessor could do says nothing of it."""
    peer = joined(segment=(1, 2, 3, 4))
    peer.prove = lambda segment: SECRET
    peer.receive(Stream.HUB, replace(REGISTERED, epoch="hub-2", segment=(1, 2, 3, 4)), 1.0)
    assert peer.proof == SECRET
    peer.receive(Stream.HUB, replace(REGISTERED, epoch="hub-3"), 1.0)
    assert peer.proof == b""


def test_a_segment_that_is_lost() -> None:
    """Hellos without proof, once, on all streams: what was not answered is said again as bytes."""
    peer = joined(segment=(1, 2, 3, 4))
    peer.proof = SECRET
    peer.segment_lost(1.0)
    peer.segment_lost(1.0)
    sent = peer.drain()
    assert kinds(sent) == [(Stream.MULTIENGINE, Hello), (Stream.TASK, Hello)]
    assert proofs(sent) == [b"", b""]
    peer.receive(Stream.TASK, Welcome("hub-1"), 1.0)
    assert peer.calls == [("welcome", Stream.TASK)]


# ---------------------------------------------------------------- the shell


@pytest.fixture
def link() -> FakeLink:
    """A link without sockets."""
    return FakeLink()


@pytest.fixture
def runner(link: FakeLink) -> Runner:
    """A runner whose machine shares memory."""
    peer = Peer()
    fits: Any = link
    return Runner(peer, fits, clock=link.clock, sharing=Sharing(peer))


def told(link: FakeLink, kind: type[Message]) -> list[Any]:
    """The messages of a kind that were sent."""
    return [each[1] for each in link.log if isinstance(each, tuple) and isinstance(each[1], kind)]


def refer(link: FakeLink, segment: Segment, *, lost: bool = False) -> None:
    """Let a task arrive whose arguments stand in a segment."""
    frames = [b"pickle", segment]
    message = RunTasks([(b"f", 0, 0, "")], [(1, 1, 0, (0, 2))], frames=frames)
    header, *rest = encode(message, shares=True)
    if lost:
        header = header.replace(segment.stamp.to_bytes(8), bytes(8))
    link.turns.append(lambda: [(Stream.TASK, header, rest)])


def test_it_shows_what_it_is(link: FakeLink, runner: Runner) -> None:
    """A segment with its incarnation goes with the registration."""
    link.then((Stream.HUB, replace(REGISTERED)), (Stream.HUB, Shutdown()))
    runner.run()
    [said] = told(link, Register)
    assert read_proof(os.getpid(), SegmentRef.of(said.segment)) == REGISTER.incarnation
    assert proofs([(Stream.HUB, hello) for hello in told(link, Hello)]) == [b"", b""]


def test_it_reads_what_the_hub_shows(link: FakeLink, runner: Runner) -> None:
    """And opens what the hub refers to, to write into it."""
    shown, segment = made(SECRET), made(DATA)
    link.then((Stream.HUB, replace(REGISTERED, segment=lent(shown))))
    refer(link, segment)
    link.then((Stream.HUB, Shutdown()))
    runner.run()
    assert [hello.proof for hello in told(link, Hello)] == [SECRET, SECRET]
    [heard, _] = runner.machine.heard  # type: ignore[attr-defined]
    assert heard.frames[1] == DATA
    heard.frames[1][0] = 9
    assert segment.view() == DATA


@pytest.mark.parametrize("segment", [(1,), (0, 1, 2, 3), (os.getpid(), 1_000_000, 2, 16)])
def test_it_cannot_read_what_the_hub_shows(
    link: FakeLink, runner: Runner, segment: tuple[int, ...]
) -> None:
    """Then it proves nothing, and is joined all the same."""
    link.then((Stream.HUB, replace(REGISTERED, segment=segment)), (Stream.HUB, Shutdown()))
    runner.run()
    assert [hello.proof for hello in told(link, Hello)] == [b"", b""]


def test_what_it_cannot_open_is_asked_for_again(link: FakeLink, runner: Runner) -> None:
    """The message counts as never heard."""
    shown, segment = made(SECRET), made(DATA)
    link.then((Stream.HUB, replace(REGISTERED, segment=lent(shown))))
    refer(link, segment, lost=True)
    link.then((Stream.HUB, Shutdown()))
    runner.run()
    assert [hello.proof for hello in told(link, Hello)] == [SECRET, SECRET, b"", b""]
    assert [type(each) for each in runner.machine.heard] == [Shutdown]  # type: ignore[attr-defined]


def test_what_is_to_be_kept_is_lent(link: FakeLink, runner: Runner) -> None:
    """It is put into a segment before anybody can write into it, and the hub is told where."""
    message = RunCommand(7, "push", (0, 2), frames=(b"pickle", Carried(made(DATA))))
    header, *frames = encode(message)
    link.then((Stream.HUB, REGISTERED))
    link.turns.append(lambda: [(Stream.MULTIENGINE, header, frames)])
    link.then((Stream.HUB, Shutdown()))
    runner.run()
    [heard, _] = runner.machine.heard  # type: ignore[attr-defined]
    heard.frames[1][0] = 99
    [lent] = told(link, Lent)
    frame, *numbers = lent.segments
    assert (lent.request, frame) == (7, 1)
    assert borrow(os.getpid(), SegmentRef.of(numbers)).view() == DATA
    assert list(runner.machine.lent) == [7]


def test_no_room_to_keep_it(
    link: FakeLink, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is used as it came, and nothing is lent."""
    message = RunCommand(7, "push", (0, 2), frames=(b"pickle", Carried(made(DATA))))
    header, *frames = encode(message)
    monkeypatch.setattr("ctrlhub.link.sharing.share", lambda buffer: None)
    link.then((Stream.HUB, REGISTERED))
    link.turns.append(lambda: [(Stream.MULTIENGINE, header, frames)])
    link.then((Stream.HUB, Shutdown()))
    runner.run()
    [heard, _] = runner.machine.heard  # type: ignore[attr-defined]
    assert heard.frames[1] == DATA
    assert [each.segments for each in told(link, Lent)] == [()]
