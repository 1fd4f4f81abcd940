"""Wishes to stop requests: what is taken back, what is asked for, and how often."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from ctrlhub.client.cancellations import LAST_PAUSE, Cancellation
from ctrlhub.wire.codec import encode
from ctrlhub.wire.errors import InternalError, SessionClosed
from ctrlhub.wire.ids import Ranges, from_ranges, to_ranges
from ctrlhub.wire.limits import MAX_CONTROL_BYTES
from ctrlhub.wire.messages import (
    Answer,
    Beat,
    Call,
    Command,
    Completed,
    Status,
    Stream,
    SubmitTasks,
)
from tests.unit.client.support import Bench, registered


class Wish:
    """A wish to cancel, and whether it has ended."""

    def __init__(self, bench: Bench, numbers: Iterable[int], stream: Stream = Stream.TASK) -> None:
        self.ends = 0
        self.cancellation = Cancellation(stream, numbers, self._end)
        bench.session.cancel(self.cancellation, bench.now)

    def _end(self) -> None:
        self.ends += 1


def answer(bench: Bench, call: Call, **known: Ranges) -> None:
    """Let the hub say what it knew of the requests."""
    value = {"cancelled": (), "interrupted": (), "finished": (), **known}
    bench.receive(Stream.HUB, Answer(call.id, value))


def wanted(call: Call) -> list[int]:
    """Return the ids that a call asks for."""
    return list(from_ranges(call.arguments["requests"]))


def test_what_has_not_left_is_taken_back() -> None:
    """It is never sent, and the hub is not asked."""
    bench = Bench()
    results = [bench.task() for _ in range(2)]
    other = bench.task()

    wish = Wish(bench, [r._number for r in results])

    assert [r.cancelled() for r in (*results, other)] == [True, True, False]
    assert (wish.ends, wish.cancellation.running) == (1, set())
    (message,) = bench.drain()
    assert [row[0] for row in message.rows] == [other._number]


def test_a_command_is_taken_back() -> None:
    """Tasks behind it do not wait for it."""
    bench = Bench()
    command = bench.command([0, 1])
    task = bench.task()

    Wish(bench, command._numbers(), Stream.MULTIENGINE)

    (message,) = bench.drain()
    assert ([row[0] for row in message.rows], message.after) == ([task._number], 0)


def test_only_what_has_left_is_asked_for() -> None:
    """The rest is taken back first, so that it does not follow the question."""
    bench = Bench()
    sent = bench.task()
    bench.drain()
    unsent = bench.task()

    wish = Wish(bench, [sent._number, unsent._number])

    assert (sent.done(), unsent.cancelled(), wish.ends) == (False, True, 0)
    (call,) = bench.drain()
    assert (call.interface, call.method, wanted(call)) == ("tasks", "cancel", [sent._number])
    answer(bench, call, interrupted=((sent._number, sent._number),))
    assert (wish.ends, wish.cancellation.running) == (1, {sent._number})


def test_the_hub_is_asked_until_it_knows_all() -> None:
    """A request may be slower than the wish: what was interrupted is no reason to stop asking."""
    bench = Bench()
    first, second = bench.task()._number, bench.task()._number
    bench.drain()
    wish = Wish(bench, [first, second])
    (call,) = bench.drain(Call)
    answer(bench, call, interrupted=((first, first),))
    assert (wish.ends, bench.drain(Call)) == (0, [])
    deadline = bench.session.next_deadline()
    assert deadline is not None
    assert deadline < bench.now + 0.1

    bench.pass_time(0.02)
    (again,) = bench.drain(Call)

    assert wanted(again) == [second]
    answer(bench, again, cancelled=((second, second),))
    assert (wish.ends, wish.cancellation.running) == (1, {first})


def test_the_pauses_grow() -> None:
    """A hub that never knows a request is not asked a hundred times a second for ever."""
    bench = Bench()
    number = bench.task()._number
    bench.drain()
    Wish(bench, [number])
    asked = 0
    for _ in range(1000):
        for call in bench.drain(Call):
            if call.method == "cancel":
                asked += 1
                answer(bench, call)
        bench.pass_time(0.01)
        bench.receive(Stream.HUB, Beat())

    assert 10 / LAST_PAUSE <= asked <= 10 / LAST_PAUSE + 10


def test_what_has_ended_meanwhile_is_not_asked_for() -> None:
    """Its result has come: there is nothing to stop."""
    bench = Bench()
    number = bench.task()._number
    bench.drain()
    wish = Wish(bench, [number])
    (call,) = bench.drain(Call)
    bench.complete([number])

    answer(bench, call)

    assert wish.ends == 1


def test_what_is_to_be_sent_again_is_taken_back_and_asked_for() -> None:
    """The hub may have it all the same, from the first time."""
    bench = Bench()
    result = bench.task()
    bench.drain()
    bench.pass_time(3.5)
    bench.drain()
    bench.receive(Stream.HUB, registered(token=b"token2", epoch="second"))

    wish = Wish(bench, [result._number])

    assert result.cancelled()
    said = bench.drain()
    assert [wanted(m) for m in said if isinstance(m, Call)] == [[result._number]]
    assert not any(isinstance(m, SubmitTasks) for m in said)
    (call,) = (m for m in said if isinstance(m, Call))
    answer(bench, call)
    assert wish.ends == 1


@pytest.mark.parametrize("epoch", ["first", "second"])
def test_a_wish_is_repeated_after_a_new_connection(epoch: str) -> None:
    """Its answer may have been lost; the calls of before are not sent again."""
    bench = Bench()
    number = bench.task()._number
    bench.drain()
    wish = Wish(bench, [number])
    (lost,) = bench.drain(Call)
    bench.pass_time(3.5)
    bench.drain()
    bench.receive(Stream.HUB, registered(token=b"token2", epoch=epoch, resumed=epoch == "first"))
    bench.accept([number])
    while bench.session._outgoing.waits:
        bench.session._outgoing.messages()

    bench.pass_time(0.0)

    (call,) = bench.drain(Call)
    assert (wanted(call), call.id != lost.id) == ([number], True)
    answer(bench, lost)
    assert wish.ends == 0
    answer(bench, call, cancelled=((number, number),))
    assert wish.ends == 1


def test_a_wish_ends_with_the_session() -> None:
    """Once, however many calls it takes."""
    bench = Bench()
    numbers = [bench.task()._number for _ in range(140_000)][::2]
    while bench.session._outgoing.waits:
        bench.drain()
    wish = Wish(bench, numbers)
    assert len(bench.drain(Call)) > 1

    bench.session.close(SessionClosed("closed"), bench.now)

    assert wish.ends == 1
    assert isinstance(wish.cancellation.error, SessionClosed)


def test_a_wish_with_scattered_ids_is_split() -> None:
    """Each call, and each answer to one, is smaller than the stream takes."""
    bench = Bench()
    numbers = [bench.task()._number for _ in range(200_000)][::2]
    while bench.session._outgoing.waits:
        bench.drain()

    wish = Wish(bench, numbers)
    calls = bench.drain(Call)

    assert max(len(encode(call)[0]) for call in calls) <= MAX_CONTROL_BYTES
    assert [n for call in calls for n in wanted(call)] == numbers
    for call in calls:
        assert wish.ends == 0
        answer(bench, call, cancelled=to_ranges(wanted(call)))
    assert wish.ends == 1


def test_an_error_ends_the_wish() -> None:
    """It is there for whoever waits."""
    bench = Bench()
    number = bench.task()._number
    bench.drain()
    wish = Wish(bench, [number])
    (call,) = bench.drain(Call)

    bench.receive(Stream.HUB, Answer(call.id, None, "internal", "oh"))

    assert wish.ends == 1
    with pytest.raises(InternalError, match="oh"):
        raise wish.cancellation.error or AssertionError


def test_a_wish_that_nobody_waits_for_any_longer_ends() -> None:
    """With the next answer."""
    bench = Bench()
    number = bench.task()._number
    bench.drain()
    wish = Wish(bench, [number])
    (call,) = bench.drain(Call)
    wish.cancellation.abandoned = True

    answer(bench, call)

    assert wish.ends == 1
    bench.pass_time(2.0)
    assert [c for c in bench.drain(Call) if c.method == "cancel"] == []


def test_both_kinds_of_requests_have_their_interface() -> None:
    """Tasks are cancelled, commands aborted."""
    bench = Bench()
    command = bench.command([0, 1])
    assert isinstance(bench.drain()[0], Command)
    Wish(bench, command._numbers(), Stream.MULTIENGINE)

    (call,) = bench.drain()

    assert (call.interface, call.method) == ("multiengine", "abort")
    assert not isinstance(call, SubmitTasks)


def test_another_hub_is_told_once_more_what_has_ended() -> None:
    """The one before may have been killed before it had stored that; the next would run it again."""
    bench = Bench()
    ended, interrupted, other = (bench.task() for _ in range(3))
    bench.drain()
    Wish(bench, [ended._number, interrupted._number])
    (call,) = bench.drain(Call)
    ids = to_ranges([ended._number, interrupted._number])
    answer(bench, call, interrupted=ids)
    row = (ended._number, int(Status.CANCELLED), b"", 0, 0.0, 0.0, None)
    bench.receive(Stream.TASK, Completed((row,)))
    assert ended.cancelled()
    bench.drain()
    bench.pass_time(3.5)
    bench.drain()

    bench.receive(Stream.HUB, registered(token=b"token2", epoch="second", resumed=False))

    (again,) = bench.drain(Call)
    assert (again.interface, again.method) == ("tasks", "cancel")
    assert wanted(again) == [ended._number, interrupted._number]
    answer(bench, again, finished=ids)
    assert interrupted.cancelled(), "it is not given to another hub to be stopped there"
    assert not other.done()
    bench.pass_time(0.1)
    assert bench.drain(Call) == []
