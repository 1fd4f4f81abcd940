"""Results that are wanted though their requests are not one's own, or have ended long ago."""

from __future__ import annotations

from typing import Any

import pytest

from ctrlhub.client.async_result import AsyncGroup
from ctrlhub.client.following import Following
from ctrlhub.wire.errors import HubUnavailable, OutOfMemory, ResultLost
from ctrlhub.wire.messages import Answer, Call, Completed, Stream
from tests.unit.client.support import ABOUT, Bench, Home, ok, registered

OTHERS = 9 << 40


def a_result(*numbers: int) -> AsyncGroup:
    """Return a result of some requests."""
    result = AsyncGroup(Home(), ABOUT)
    for number in numbers:
        result._extend(number, 1)
    return result


def want(bench: Bench, *numbers: int) -> AsyncGroup:
    """Have a session want results."""
    result = a_result(*numbers)
    bench.session.follow(result, numbers, bench.now)
    return result


def asked(bench: Bench) -> list[tuple[int, Any]]:
    """Return which requests the hub is asked for: (call, ranges)."""
    calls = [call for call in bench.drain(Call) if call.method == "follow"]
    return [(call.id, call.arguments["requests"]) for call in calls]


def found(bench: Bench, call: int, *ranges: tuple[int, int]) -> None:
    """Answer that these are known."""
    bench.receive(Stream.HUB, Answer(call, {"found": ranges}))


def test_the_hub_is_asked_and_sends_the_results() -> None:
    """On whatever stream, before or after its answer; each result once."""
    bench = Bench()
    result = want(bench, OTHERS + 1, OTHERS + 2)
    [(call, ranges)] = asked(bench)
    assert ranges == ((OTHERS + 1, OTHERS + 2),)
    bench.receive(Stream.TASK, Completed((ok(OTHERS + 2, "two"),)))
    found(bench, call, *ranges)
    assert result.progress == 1
    bench.receive(Stream.MULTIENGINE, Completed((ok(OTHERS + 1, "one"),)))
    bench.receive(Stream.MULTIENGINE, Completed((ok(OTHERS + 1, "again"),)))
    assert result.get(0) == ["one", "two"]


def test_two_may_want_the_same() -> None:
    """Both get it; one that does not want it any more does not."""
    bench = Bench()
    first, second, third = (want(bench, OTHERS + 1) for _ in range(3))
    bench.session.unfollow(second, [OTHERS + 1])
    bench.receive(Stream.TASK, Completed((ok(OTHERS + 1, "one"),)))
    assert (first.get(0), third.get(0)) == (["one"], ["one"])
    assert not second.done()


def test_what_the_hub_does_not_know_is_lost() -> None:
    """At once, and with the reason; the rest is waited for."""
    bench = Bench()
    known, unknown = want(bench, OTHERS + 1), want(bench, OTHERS + 2)
    [(first, _), (second, _)] = asked(bench)
    found(bench, first, (OTHERS + 1, OTHERS + 1))
    found(bench, second)
    assert isinstance(unknown.exception(0), ResultLost)
    assert not known.done()


def test_another_hub_is_asked_again() -> None:
    """Whether it is the same one, which has its question twice, or a new one."""
    bench = Bench()
    result = want(bench, OTHERS + 1)
    [(call, ranges)] = asked(bench)
    found(bench, call, *ranges)
    again = [m for m in bench.rejoin(resumed=True) if isinstance(m, Call)]
    [call] = [call for call in again if call.method == "follow"]
    assert call.arguments["requests"] == ranges
    found(bench, call.id, *ranges)
    assert not result.done()
    bench.pass_time(3.5)
    bench.drain()
    bench.receive(Stream.HUB, registered(epoch="second"))
    [(call, again)] = asked(bench)
    assert again == ranges
    found(bench, call)
    assert isinstance(result.exception(0), ResultLost)


def test_a_question_that_was_lost_is_asked_anew() -> None:
    """By the session that resumes: not by the very call, whose answer nobody waits for then."""
    bench = Bench()
    result = want(bench, OTHERS + 1)
    [(lost, ranges)] = asked(bench)
    again = [m for m in bench.rejoin(resumed=True) if isinstance(m, Call)]
    [call] = [call for call in again if call.method == "follow"]
    assert (call.arguments["requests"], call.id != lost) == (ranges, True)
    found(bench, lost)
    assert not result.done()
    found(bench, call.id, *ranges)
    bench.receive(Stream.TASK, Completed((ok(OTHERS + 1, "one"),)))
    assert result.get(0) == ["one"]


def test_the_end_of_the_session_is_the_end_of_the_wait() -> None:
    """Also for what is wanted afterwards."""
    bench = Bench()
    result = want(bench, OTHERS + 1)
    bench.session.close(HubUnavailable("it has ended"), bench.now)
    assert isinstance(result.exception(0), HubUnavailable)
    assert want(bench, OTHERS + 2).exception(0) is not None


def test_nothing_is_kept_of_what_has_come() -> None:
    """Of many results that were wanted."""
    bench = Bench()
    for number in range(1, 100):
        want(bench, OTHERS + number)
        bench.receive(Stream.TASK, Completed((ok(OTHERS + number),)))
    following = bench.session._following
    assert isinstance(following, Following)
    assert not following


def test_a_result_there_is_no_memory_for_is_told() -> None:
    """It is acknowledged, and does not come again: who wants it hears why."""
    bench = Bench()
    result = want(bench, OTHERS + 1)
    bench.drain()
    message = Completed(((OTHERS + 1, 0, (0, 1), 0, 0.0, 0.0, None),), frames=(b"",))
    bench.session.no_room(Stream.TASK, message, bench.now)
    with pytest.raises(OutOfMemory):
        result.get(0)
    assert not bench.session._following
