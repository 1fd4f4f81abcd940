from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from ctrlhub.gateway.api.fanout import Fanout, NoRoom, Subscriber, TooMany, Topic, text_frame


class Reader:
    """A subscriber's side: counts how often it was woken."""

    def __init__(self, fanout: Fanout, topics: Iterable[Topic], last: str = "") -> None:
        self.woken = 0
        self.subscriber: Subscriber = fanout.subscribe(topics, self._wake, 0.0, last)

    def _wake(self) -> None:
        self.woken += 1

    def read(self) -> list[dict[str, Any]]:
        """Take what there is, and have it sent."""
        events = [json.loads(event.text) for event in self.subscriber.take()]
        self.subscriber.sent()
        return events


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 1_000_000])
def test_messages_are_framed_as_others_frame_them(size: int) -> None:
    """Whatever their size."""
    assert text_frame(b"x" * size) == Frame(Opcode.TEXT, b"x" * size).serialize(mask=False)


def test_an_event_is_framed_once_for_everybody() -> None:
    """Each subscriber is sent the same bytes, which are no copies."""
    fanout = Fanout("e")
    readers = [Reader(fanout, ["a"]) for _ in range(3)]
    event = fanout.publish("x", {"n": "\u20ac"}, ("a",), 1.0)
    frames = {id(each.frame) for reader in readers for each in reader.subscriber.take()}
    assert frames == {id(event.frame)}
    assert event.frame == text_frame(event.text.encode())


def test_events_go_to_those_who_subscribed_to_them() -> None:
    """Each is told of its topics alone, once, in order."""
    fanout = Fanout("e")
    one, two = Reader(fanout, ["a"]), Reader(fanout, ["a", "b"])
    fanout.publish("x", {"n": 1}, ("a",), 1.0)
    fanout.publish("y", {"n": 2}, ("b",), 2.0)
    assert [each["data"]["n"] for each in one.read()] == [1]
    assert [each["data"]["n"] for each in two.read()] == [1, 2]
    assert two.read() == []


def test_an_event_of_two_topics_comes_once() -> None:
    """Who has subscribed to both gets one."""
    fanout = Fanout("e")
    reader = Reader(fanout, ["a", "b"])
    fanout.publish("x", {}, ("a", "b"), 1.0)
    assert len(reader.read()) == 1


def test_a_subscriber_is_woken_once_until_he_takes() -> None:
    """A thousand events are one wake-up for who is still writing."""
    fanout = Fanout("e")
    reader = Reader(fanout, ["a"])
    for _ in range(1000):
        fanout.publish("x", {}, ("a",), 1.0)
    assert reader.woken == 1
    assert len(reader.read()) == 1000
    fanout.publish("x", {}, ("a",), 1.0)
    assert reader.woken == 2


def test_who_is_too_slow_is_dropped_with_the_reason_and_nobody_else() -> None:
    """His queue is bounded in bytes; what waits for him goes with it, and he is woken to hear of it."""
    fanout = Fanout("e", most_waiting=2000)
    slow, quick = Reader(fanout, ["a"]), Reader(fanout, ["a"])
    for n in range(100):
        fanout.publish("x", {"n": n}, ("a",), 1.0)
        assert [each["data"]["n"] for each in quick.read()] == [n]
    assert "too slow" in slow.subscriber.reason
    assert not quick.subscriber.reason
    assert slow.woken == 2
    assert slow.read() == []
    fanout.leave(slow.subscriber)
    assert fanout.dropped == 1


def test_what_is_on_its_way_counts_as_waiting() -> None:
    """Who takes and does not send is no quicker than who does not take."""
    fanout = Fanout("e", most_waiting=2000)
    reader = Reader(fanout, ["a"])
    while not reader.subscriber.reason:
        fanout.publish("x", {}, ("a",), 1.0)
        reader.subscriber.take()
    assert "too slow" in reader.subscriber.reason


def test_who_comes_back_gets_what_he_has_missed() -> None:
    """By the mark of his last event; of other topics nothing."""
    fanout = Fanout("e")
    first = Reader(fanout, ["a"])
    fanout.publish("x", {"n": 1}, ("a",), 1.0)
    [known] = first.read()
    fanout.leave(first.subscriber)
    fanout.publish("x", {"n": 2}, ("a",), 1.0)
    fanout.publish("x", {"n": 3}, ("b",), 1.0)
    fanout.publish("x", {"n": 4}, ("a",), 1.0)
    again = Reader(fanout, ["a"], known["id"])
    assert [each["data"]["n"] for each in again.read()] == [2, 4]


def test_a_gap_is_told() -> None:
    """What is not kept any more, or is of another gateway, is an event of its own."""
    fanout = Fanout("e", most_kept=2)
    for n in range(5):
        fanout.publish("x", {"n": n}, ("a",), 1.0)
    some = Reader(fanout, ["a"], "e-1").read()
    assert [each["event"] for each in some] == ["gap", "x", "x"]
    assert "2 events" in some[0]["data"]["reason"]
    for mark in ("other-3", "e-99", "nonsense", "e-" + "9" * 50, "-"):
        [told] = Reader(fanout, ["a"], mark).read()
        assert told["event"] == "gap"


def test_an_event_is_one_frame_whatever_stands_in_it() -> None:
    """Line breaks in labels and output cannot make a frame of their own."""
    fanout = Fanout("e")
    event = fanout.publish("x", {"text": "a\n\ndata: b\r\nevent: c\u2028"}, ("a",), 1.0)
    lines = event.framed.split("\n")
    assert [line.partition(":")[0] for line in lines] == ["id", "event", "data", "", ""]
    assert "\r" not in event.framed


def test_how_many_requests_one_may_name_is_bounded() -> None:
    """Beyond that nothing of what he names is taken, what he has stays, and there is room for others."""
    fanout = Fanout("e", most_of_one=3)
    reader = Reader(fanout, ["a", ("r", 1), ("o", 1)])
    with pytest.raises(TooMany, match="may name 3"):
        fanout.add_topics(reader.subscriber, [("r", 1), ("r", 2), ("r", 3)])
    assert list(fanout.wanted("r")) == [1]
    fanout.add_topics(reader.subscriber, [("r", 1), ("r", 2), "b", "c"])
    with pytest.raises(TooMany):
        fanout.subscribe([("r", n) for n in range(4)], print, 0.0)
    assert len(fanout.subscribers) == 1
    assert list(Fanout("e").wanted("r")) == []
    fanout.check()


def test_how_many_requests_all_may_name_is_bounded() -> None:
    """Who leaves, or names less, makes room."""
    fanout = Fanout("e", most_of_one=3, most_of_all=5)
    one, two = Reader(fanout, [("r", n) for n in (3, 1, 2)]), Reader(fanout, [("r", 2), ("r", 9)])
    with pytest.raises(NoRoom, match="come again later"):
        Reader(fanout, [("r", 1)])
    with pytest.raises(NoRoom):
        fanout.add_topics(two.subscriber, [("r", 4)])
    Reader(fanout, ["a"])
    fanout.remove_topics(two.subscriber, [("r", 9), ("r", 8)])
    fanout.add_topics(two.subscriber, [("r", 4)])
    assert list(fanout.wanted("r")) == [1, 2, 3, 4]
    fanout.leave(one.subscriber)
    assert list(fanout.wanted("r")) == [2, 4]
    fanout.check()


def test_a_topic_of_which_nothing_will_come_is_removed_for_everybody() -> None:
    """And makes room."""
    fanout = Fanout("e")
    one, two = Reader(fanout, [("r", 1), ("r", 2)]), Reader(fanout, [("r", 1)])
    fanout.publish("ended", {}, (("r", 1),), 1.0)
    fanout.remove_everywhere(("r", 1))
    fanout.remove_everywhere(("r", 7))
    fanout.publish("ended", {}, (("r", 1),), 1.0)
    assert [len(each.read()) for each in (one, two)] == [1, 1]
    assert list(fanout.wanted("r")) == [2]
    fanout.check()


TOPICS: list[Topic] = ["a", "b", ("a", 1), ("a", 2), ("b", 1)]

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from(TOPICS), st.integers(0, 300)),
        st.tuples(st.just("subscribe"), st.sets(st.sampled_from(TOPICS), min_size=1), st.booleans()),
        st.tuples(st.just("take"), st.integers(0, 5), st.booleans()),
        st.tuples(st.just("leave"), st.integers(0, 5), st.booleans()),
        st.tuples(st.just("topics"), st.integers(0, 5), st.sampled_from(TOPICS)),
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_happens_the_books_agree_and_order_is_kept(steps: list[Any]) -> None:
    """Queues stay within their bound, and each subscriber sees numbers that grow, without doubles."""
    fanout = Fanout("e", most_waiting=1500, most_kept=8, most_kept_bytes=2000)
    readers: list[Reader] = []
    seen: dict[int, list[int]] = {}
    for what, one, two in steps:
        if what == "publish":
            fanout.publish("x", {"pad": "p" * two}, (one,), 1.0)
        elif what == "subscribe":
            readers.append(Reader(fanout, one, "e-0" if two else ""))
        elif readers:
            place = one % len(readers)
            reader = readers[place]
            if what == "take":
                events = reader.subscriber.take()
                if two:
                    reader.subscriber.sent()
                seen.setdefault(place, []).extend(e.number for e in events if e.number)
            elif what == "leave":
                fanout.leave(reader.subscriber)
            elif reader.subscriber in fanout.subscribers:
                fanout.remove_topics(reader.subscriber, {two})
                fanout.add_topics(reader.subscriber, {two})
        fanout.check()
    for numbers in seen.values():
        assert numbers == sorted(set(numbers))
