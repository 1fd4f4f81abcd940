"""Large messages in parts: nothing is lost or changed, and no more is under way than was allowed."""

from __future__ import annotations

import errno
from collections import deque
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctrlhub.wire import parts, transfers
from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.errors import InvalidRequest
from ctrlhub.wire.limits import PART_BYTES, PARTS_WINDOW, SEGMENT_BYTES, WHOLE_BYTES
from ctrlhub.wire.messages import (
    Action,
    Command,
    Hello,
    Message,
    Part,
    PartsTaken,
    Received,
    Results,
    SubmitTasks,
)
from ctrlhub.wire.parts import Flows, Incoming, Memory, NoRoom, whole
from ctrlhub.wire.segments import AVAILABLE, Draft, Segment, share
from ctrlhub.wire.transfers import is_large

HERE, THERE = "here", "there"


def results(*frames: bytes | Segment, number: int = 1) -> Results:
    """Return a message with these frames."""
    return Results([(number, 0, 0, (0, len(frames)), 0.0, 0.0, None)], frames=list(frames))


def command(number: int, *frames: bytes) -> Command:
    """Return a command with these frames as its payload."""
    payload = (0, len(frames)) if frames else b"small"
    return Command(
        first=number, action=Action.PUSH.value, targets=[0], payloads=[payload], frames=list(frames)
    )


def data(nbytes: int, seed: int = 1) -> bytes:
    """Return bytes that do not repeat."""
    return Random(seed).randbytes(nbytes)


class Line:
    """Two sides, and what is under way between them."""

    def __init__(self) -> None:
        self.sender: Flows[str] = Flows()
        self.receiver: Flows[str] = Flows()
        self.under_way: deque[Message] = deque()
        self.answers: deque[PartsTaken] = deque()
        self.heard: list[Message] = []

    def say(self, message: Message) -> None:
        """Send a message, or what may leave of it."""
        ready = self.sender.offer(HERE, message, encode(message))
        self.under_way.extend([message] if ready is None else ready)
        self.check()

    def hear(self) -> None:
        """Let the next thing arrive."""
        message = self.under_way.popleft()
        message = decode(*_split(encode(message)))
        if type(message) is not Part:
            self.heard.append(message)
            return
        frames, answer = self.receiver.take(THERE, message)
        if frames is not None:
            self.heard.append(decode(*_split(frames)))
        if answer is not None:
            self.answers.append(answer)

    def answer(self) -> None:
        """Let the next answer arrive."""
        self.under_way.extend(self.sender.taken(HERE, self.answers.popleft()))
        self.check()

    def finish(self) -> None:
        """Let everything arrive."""
        while self.under_way or self.answers:
            if self.under_way:
                self.hear()
            else:
                self.answer()

    def check(self) -> None:
        """See that there is no more under way than a window."""
        found = [each for each in self.under_way if type(each) is Part]
        assert sum(len(memoryview(each.frames[0])) for each in found) <= PARTS_WINDOW


def _split(frames: list[object]) -> tuple[bytes, list[object]]:
    header, *others = frames
    return bytes(header), others  # type: ignore[call-overload]


def content(message: Message) -> list[bytes]:
    """Return the bytes of a message's frames."""
    found = []
    for frame in message.frames:  # type: ignore[attr-defined]
        found.append(bytes(frame.view() if type(frame) is Segment else frame))
    return found


def test_a_large_message_arrives_as_it_was() -> None:
    """Its frames, whatever their sizes, and its header."""
    line = Line()
    frames = [b"", data(10), data(WHOLE_BYTES), b"", data(2 * SEGMENT_BYTES), b"x", b""]
    line.say(results(*frames))
    line.finish()
    [heard] = line.heard
    assert content(heard) == frames
    assert heard == replace(results(*frames), rows=heard.rows, frames=heard.frames)  # type: ignore[call-arg, attr-defined]
    assert not line.sender.connections() | line.receiver.connections()


def test_a_small_one_goes_whole() -> None:
    """There is nothing to be won."""
    line = Line()
    line.say(results(data(WHOLE_BYTES - 1000)))
    assert [type(each) for each in line.under_way] == [Results]


def test_no_more_than_a_window_is_under_way() -> None:
    """Who does not read costs its sender no more, however long that lasts."""
    line = Line()
    for number in range(20):
        line.say(results(data(2 * WHOLE_BYTES), number=number))
    assert len(line.under_way) == PARTS_WINDOW // PART_BYTES
    line.finish()
    assert [each.rows[0][0] for each in line.heard] == list(range(20))  # type: ignore[attr-defined]


def test_others_find_their_way_between_the_parts() -> None:
    """What is said while a large message is under way is there before it."""
    line = Line()
    line.say(results(data(10 * WHOLE_BYTES), number=1))
    line.say(results(b"small", number=2))
    line.say(Received([(1, 1)]))
    line.finish()
    assert [type(each) for each in line.heard] == [Results, Received, Results]
    assert line.heard[0].rows[0][0] == 2  # type: ignore[attr-defined]


def test_requests_keep_their_order() -> None:
    """A command does not overtake a large one, nor tasks a large batch."""
    line = Line()
    line.say(command(1, b"p", data(3 * WHOLE_BYTES)))
    line.say(command(2))
    line.say(Received([(1, 1)]))
    line.say(command(3, b"p", data(3 * WHOLE_BYTES)))
    line.say(SubmitTasks([], []))
    line.say(command(4))
    line.finish()
    said = [getattr(each, "first", type(each)) for each in line.heard]
    assert said == [Received, 1, 2, 3, SubmitTasks, 4]


@pytest.mark.skipif(not AVAILABLE, reason="this system has no memory files")
def test_segments_are_read_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """To cut it into parts, nothing is mapped; and what gathers may be a segment again."""
    whole_of_it = data(3 * WHOLE_BYTES + 17)
    segment = share(memoryview(whole_of_it))
    assert segment is not None
    monkeypatch.setattr(Segment, "view", None)
    line = Line()
    line.receiver = Flows(Draft)
    line.say(results(b"pickle", segment))
    line.finish()
    monkeypatch.undo()
    [heard] = line.heard
    assert [type(frame) for frame in heard.frames] == [bytes, Segment]  # type: ignore[attr-defined]
    assert content(heard) == [b"pickle", whole_of_it]


@pytest.mark.skipif(not AVAILABLE, reason="this system has no memory files")
def test_who_takes_no_parts_gets_it_whole() -> None:
    """The segments that were left to be cut are mapped then."""
    segment = share(memoryview(data(2 * WHOLE_BYTES)))
    assert segment is not None
    frames = encode(results(b"pickle", segment))
    assert is_large(frames)
    assert whole(frames)[1:] == [b"pickle", data(2 * WHOLE_BYTES)]


def test_a_hello_ends_what_was_under_way() -> None:
    """It is said again after that; credit for the former transfer is none for the new one."""
    line = Line()
    line.say(results(data(5 * WHOLE_BYTES), number=1))
    for _ in range(3):
        line.hear()
    late = list(line.answers)
    line.answers.clear()
    line.under_way.clear()
    line.say(Hello(b"token"))
    assert not line.sender.outgoing
    line.say(results(data(5 * WHOLE_BYTES, 2), number=2))
    line.under_way.extend(part for answer in late for part in line.sender.taken(HERE, answer))
    line.check()
    line.finish()
    assert [type(each) for each in line.heard] == [Hello, Results]
    assert content(line.heard[1]) == [data(5 * WHOLE_BYTES, 2)]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_order_of_events(given_data: st.DataObject) -> None:
    """Whatever arrives when: all of it does, once; requests in order, and within a window."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("WHOLE_BYTES", 40), ("PART_BYTES", 7), ("PARTS_WINDOW", 28)):
            for module in (parts, transfers):
                patch.setattr(module, name, value, raising=False)
        patch.setitem(globals(), "PARTS_WINDOW", 28)
        line = Line()
        said: list[Message] = []
        for number in range(given_data.draw(st.integers(1, 8))):
            sizes = given_data.draw(st.lists(st.integers(0, 90), min_size=1, max_size=4))
            frames = [data(size, number) for size in sizes]
            is_command = given_data.draw(st.booleans())
            message = command(number + 1, *frames) if is_command else results(*frames, number=number)
            said.append(message)
            line.say(message)
            for _ in range(given_data.draw(st.integers(0, 6))):
                if line.answers and given_data.draw(st.booleans()):
                    line.answer()
                elif line.under_way:
                    line.hear()
        line.finish()
        assert sorted(map(content, line.heard)) == sorted(map(content, said))
        numbers = [each.first for each in line.heard if type(each) is Command]
        assert numbers == sorted(numbers)
        assert not line.sender.connections() | line.receiver.connections()


def first(*sizes: int, offset: int = 0, nbytes: int = 1) -> Part:
    """Return a first part that promises frames of these sizes."""
    return Part(1, offset, sizes, frames=[bytes(nbytes)])


@pytest.mark.parametrize(
    "part",
    [
        first(),
        first(10),
        first(-5, 20),
        first(10, -1),
        first(10, 1 << 60),
        first(1 << 30, 10),
        first(10, 10, nbytes=21),
        first(10, 10, nbytes=0),
        replace(first(10, 10), frames=()),
        replace(first(10, 10), frames=[b"a", b"b"]),
    ],
)
def test_what_is_no_first_part(part: Part) -> None:
    """It is refused, and nothing is kept of it."""
    flows: Flows[str] = Flows()
    with pytest.raises(InvalidRequest):
        flows.take(HERE, part)
    assert not flows.connections()


def test_a_part_that_does_not_follow() -> None:
    """It is refused, and with it the transfer; of another transfer it is ignored."""
    flows: Flows[str] = Flows()
    assert flows.take(HERE, first(10, 10)) == (None, None)
    assert flows.take(HERE, Part(2, 1, (), frames=[b"x"])) == (None, None)
    with pytest.raises(InvalidRequest):
        flows.take(HERE, Part(1, 5, (), frames=[b"x"]))
    assert flows.take(HERE, Part(1, 1, (), frames=[b"x"])) == (None, None)
    assert not flows.connections()


class Full:
    """A sink in a memory that is full."""

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes

    def write(self, chunk: object) -> None:
        """Take nothing."""
        raise OSError(errno.ENOSPC, "no space left")

    def finish(self) -> bytes:
        """Never come to this."""
        raise AssertionError


def test_a_full_memory() -> None:
    """What was to come is known by its header, so that its sender can be told; nothing is kept."""
    line = Line()
    line.receiver = Flows(Full)
    line.say(command(7, b"p", data(2 * WHOLE_BYTES)))
    with pytest.raises(NoRoom) as caught:
        line.hear()
    refused = decode(caught.value.header, [b""] * caught.value.count)
    assert isinstance(refused, Command)
    assert refused.first == 7
    assert not line.receiver.connections()
    line.hear()
    assert not line.heard, "the other parts are ignored"


class Small(Full):
    """Finds that this process may have no more."""

    def write(self, chunk: object) -> None:
        """Take nothing."""
        raise MemoryError


def test_a_process_without_memory() -> None:
    """It knows as well what was to come."""
    line = Line()
    line.receiver = Flows(Small)
    line.say(command(7, b"p", data(2 * WHOLE_BYTES)))
    with pytest.raises(NoRoom) as caught:
        line.hear()
    assert type(decode(caught.value.header, [b""] * caught.value.count)) is Command


def test_sizes_cost_nothing() -> None:
    """Memory grows by what has come, not by what was promised."""
    incoming = Incoming(first(10, 8 * 1024**3, nbytes=10), Memory)
    assert incoming.take(first(10, 8 * 1024**3, nbytes=10)) is None
    assert incoming.frames is None
