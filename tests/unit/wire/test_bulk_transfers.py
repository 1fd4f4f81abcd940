"""Large messages over a bulk connection, which may come late, break, or never be there: nothing is lost,
changed, or heard before what was said before it.
"""

from __future__ import annotations

from collections import deque
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctrlhub.wire import parts, transfers
from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.limits import BULK_FIRST_BYTES, BULK_WINDOW, WHOLE_BYTES
from ctrlhub.wire.messages import Action, Command, Message, Part, PartsTaken, Received, Results
from ctrlhub.wire.parts import BULK_PATIENCE, Flows
from ctrlhub.wire.segments import AVAILABLE, Segment, share
from ctrlhub.wire.transfers import Piece

HERE, THERE = "here", "there"


def results(*frames: bytes | Segment, number: int = 1) -> Results:
    """Return a message with these frames, which may overtake others."""
    return Results([(number, 0, 0, (0, len(frames)), 0.0, 0.0, None)], frames=list(frames))


def command(number: int, *frames: bytes) -> Command:
    """Return a message that may not."""
    return Command(
        first=number,
        action=Action.PUSH.value,
        targets=[0],
        payloads=[(0, len(frames)) if frames else b"small"],
        frames=list(frames),
    )


def data(nbytes: int, seed: int = 1) -> bytes:
    """Return bytes that do not repeat."""
    return Random(seed).randbytes(nbytes)


class Lines:
    """Two sides with a stream and a bulk connection between them, each of which keeps its own order."""

    def __init__(self) -> None:
        self.sender: Flows[str] = Flows()
        self.receiver: Flows[str] = Flows()
        self.stream: deque[Message] = deque()
        self.bulk: deque[Part] = deque()
        self.back: deque[PartsTaken] = deque()
        self.heard: list[Message] = []
        self.offers = True
        self.works = True

    def say(self, message: Message) -> None:
        """Send a message, or what may leave of it."""
        ready = self.sender.offer(HERE, message, encode(message), bulk=self.offers)
        self._leave([message] if ready is None else ready)

    def _leave(self, messages: list[Message]) -> None:
        for message in messages:
            if type(message) is Part and message.bulk and message.offset:
                self.bulk.append(message)
            else:
                self.stream.append(message)
        under_way = sum(memoryview(_bytes(part)).nbytes for part in self.bulk)
        assert under_way <= transfers.BULK_WINDOW

    def hear(self) -> None:
        """Let the next thing arrive on the stream."""
        header, *frames = encode(self.stream.popleft())
        self._hear(decode(header, [bytes(f) for f in frames]))

    def hear_bulk(self) -> None:
        """Let the next thing arrive on the bulk connection."""
        part = self.bulk.popleft()
        self._hear(Part(part.transfer, part.offset, (), frames=[_bytes(part)]))

    def _hear(self, message: Message) -> None:
        if type(message) is not Part:
            self.heard.append(message)
            return
        frames, answer = self.receiver.take(THERE, message)
        if frames is not None:
            header, *others = frames
            self.heard.append(decode(bytes(header), others))
        if answer is not None:
            self.back.append(answer)

    def answer(self) -> None:
        """Let the receiver say whether the bulk connection is there, if it is asked."""
        for key in self.receiver.asking():
            self.back.append(self.receiver.answer(key, bulk=self.works))

    def take_back(self) -> None:
        """Let what the receiver said arrive."""
        self._leave(self.sender.taken(HERE, self.back.popleft()))

    def break_off(self) -> None:
        """Lose the bulk connection, with what is on it."""
        self.bulk.clear()
        self.offers = self.works = False
        self._leave(self.sender.begin_anew(HERE))

    def finish(self) -> None:
        """Let everything arrive."""
        while self.stream or self.bulk or self.back or self.receiver.asking():
            if self.stream:
                self.hear()
            elif self.bulk:
                self.hear_bulk()
            elif self.back:
                self.take_back()
            else:
                self.answer()


def _bytes(part: Part) -> bytes:
    [chunk] = part.frames
    return chunk.read() if type(chunk) is Piece else bytes(chunk)


def content(message: Message) -> list[bytes]:
    """Return the bytes of a message's frames."""
    return [bytes(frame) for frame in message.frames]  # type: ignore[attr-defined]


def test_it_takes_the_bulk_connection_when_the_other_side_says_so() -> None:
    """The first part tells what is to come, on the stream; all others go beside it."""
    lines = Lines()
    message = results(b"pickle", data(3 * WHOLE_BYTES))
    lines.say(message)
    [first] = lines.stream
    assert isinstance(first, Part)
    assert first.bulk
    assert memoryview(first.frames[0]).nbytes == BULK_FIRST_BYTES
    assert not lines.bulk
    lines.hear()
    assert not lines.back
    lines.answer()
    [answer] = lines.back
    assert (answer.nbytes, answer.bulk) == (BULK_FIRST_BYTES, True)
    lines.take_back()
    assert not lines.stream
    assert sum(len(_bytes(part)) for part in lines.bulk) <= BULK_WINDOW
    lines.finish()
    assert content(lines.heard[0]) == content(message)
    assert not lines.sender.connections() | lines.receiver.connections()


def test_it_takes_the_stream_when_it_says_no() -> None:
    """Without beginning anew."""
    lines = Lines()
    lines.works = False
    message = results(b"pickle", data(3 * WHOLE_BYTES))
    lines.say(message)
    lines.hear()
    lines.answer()
    lines.take_back()
    assert not lines.bulk
    assert next(part.offset for part in lines.stream if type(part) is Part) == BULK_FIRST_BYTES
    lines.finish()
    assert content(lines.heard[0]) == content(message)


def test_a_segment_is_not_read_before_it_leaves() -> None:
    """What waits on the bulk connection costs no memory."""
    if not AVAILABLE:
        pytest.skip("this system has no memory files")
    segment = share(memoryview(data(3 * WHOLE_BYTES)))
    assert segment is not None
    lines = Lines()
    lines.say(results(b"pickle", segment))
    lines.hear()
    lines.answer()
    lines.take_back()
    assert lines.bulk
    assert all(type(part.frames[0]) is Piece for part in lines.bulk)
    lines.finish()
    assert content(lines.heard[0]) == [b"pickle", data(3 * WHOLE_BYTES)]


def test_what_was_said_before_is_heard_before() -> None:
    """Even though the bulk connection is quicker."""
    lines = Lines()
    lines.say(command(1))
    lines.say(command(2, b"p", data(2 * WHOLE_BYTES)))
    lines.say(command(3))
    lines.answer()
    assert not lines.bulk, "nobody has heard the first one yet"
    lines.finish()
    assert [each.first for each in lines.heard if type(each) is Command] == [1, 2, 3]


def test_others_pass() -> None:
    """What needs no order does not wait."""
    lines = Lines()
    lines.say(results(b"p", data(3 * WHOLE_BYTES), number=1))
    lines.say(Received([(1, 1)]))
    lines.hear()
    lines.hear()
    assert [type(each) for each in lines.heard] == [Received]
    lines.finish()
    assert len(lines.heard) == 2


def test_one_that_breaks() -> None:
    """What was on its way on it begins anew, on the stream, and is heard once."""
    lines = Lines()
    message = results(b"pickle", data(4 * WHOLE_BYTES))
    lines.say(message)
    lines.hear()
    lines.answer()
    lines.take_back()
    lines.hear_bulk()
    lines.break_off()
    first = lines.stream[0]
    assert isinstance(first, Part)
    assert (first.offset, first.bulk) == (0, False)
    lines.finish()
    assert list(map(content, lines.heard)) == [content(message)]


def test_one_that_stands_still() -> None:
    """It is noticed after a while; what moves, however slowly, is left alone."""
    lines = Lines()
    lines.say(results(b"pickle", data(4 * WHOLE_BYTES)))
    now = 100.0
    assert not lines.sender.has_stood_still(HERE, now)
    assert not lines.sender.has_stood_still(HERE, now + BULK_PATIENCE - 0.1)
    lines.hear()
    lines.answer()
    lines.take_back()
    now += BULK_PATIENCE
    assert not lines.sender.has_stood_still(HERE, now)
    assert not lines.sender.has_stood_still(HERE, now + BULK_PATIENCE - 0.1)
    assert lines.sender.has_stood_still(HERE, now + BULK_PATIENCE)
    lines.break_off()
    assert not lines.sender.has_stood_still(HERE, now + 9 * BULK_PATIENCE)


def test_late_parts_and_answers() -> None:
    """Those of a transfer that began anew are of none any more."""
    lines = Lines()
    lines.say(results(b"pickle", data(4 * WHOLE_BYTES)))
    lines.hear()
    lines.answer()
    late = list(lines.back)
    lines.take_back()
    parts_on_it = list(lines.bulk)
    lines.break_off()
    lines.hear()
    lines.bulk.extend(parts_on_it)
    while lines.bulk:
        lines.hear_bulk()
    lines.back.extend(late)
    lines.finish()
    assert list(map(content, lines.heard)) == [[b"pickle", data(4 * WHOLE_BYTES)]]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_order_of_events(drawn: st.DataObject) -> None:
    """Whatever arrives when, and breaks when: all of it is heard, once; requests in order."""
    small = {
        "WHOLE_BYTES": 40, "PART_BYTES": 7, "PARTS_WINDOW": 28,
        "BULK_FIRST_BYTES": 5, "BULK_PART_BYTES": 9, "BULK_WINDOW": 36,
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for name, value in small.items():
            for module in (parts, transfers):
                patch.setattr(module, name, value, raising=False)
        lines = Lines()
        said: list[Message] = []
        for number in range(drawn.draw(st.integers(1, 8))):
            sizes = drawn.draw(st.lists(st.integers(0, 90), min_size=1, max_size=4))
            frames = [data(size, number) for size in sizes]
            is_command = drawn.draw(st.booleans())
            message = command(number + 1, *frames) if is_command else results(*frames, number=number)
            said.append(message)
            lines.say(message)
            for _ in range(drawn.draw(st.integers(0, 9))):
                _step(lines, drawn.draw(st.sampled_from(["stream", "bulk", "back", "answer", "break"])))
        lines.finish()
        assert sorted(map(content, lines.heard)) == sorted(map(content, said))
        numbers = [each.first for each in lines.heard if type(each) is Command]
        assert numbers == sorted(numbers)
        assert not lines.sender.connections() | lines.receiver.connections()


def _step(lines: Lines, what: str) -> None:
    if what == "break":
        lines.break_off()
    elif what == "answer":
        lines.answer()
    elif what == "stream" and lines.stream:
        lines.hear()
    elif what == "bulk" and lines.bulk:
        lines.hear_bulk()
    elif what == "back" and lines.back:
        lines.take_back()
