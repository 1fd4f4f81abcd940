"""What is stored is known of requests that have ended, too."""

from __future__ import annotations

import pytest

from ctrlhub.client.acceptance import Acceptance
from ctrlhub.client.cancellations import Cancellation
from ctrlhub.wire.errors import CtrlHubError, HubUnavailable, LimitExceeded, SessionClosed
from ctrlhub.wire.ids import to_ranges
from ctrlhub.wire.messages import Refused, Stream
from tests.unit.client.support import Bench


class Told:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.of: list[CtrlHubError | None] = []

    def __call__(self, error: CtrlHubError | None) -> None:
        """Remember it."""
        self.of.append(error)


def test_a_result_is_not_taken_for_acceptance() -> None:
    """Who waits is told by the hub's word that it has stored a request, not by its result."""
    acceptance, told = Acceptance(), Told()
    acceptance.sent([1, 2])
    acceptance.wait([1, 2, 3], [3], told)
    acceptance.accepted(((1, 1),))
    acceptance.sent([3])
    acceptance.accepted(((3, 3),))
    assert told.of == []
    acceptance.accepted(((0, 1 << 60),))
    assert told.of == [None]
    assert acceptance._pending == set()
    assert acceptance._waits == {}


def test_what_is_accepted_already_is_not_waited_for() -> None:
    """Whoever comes late is told at once."""
    acceptance, told = Acceptance(), Told()
    acceptance.sent([1])
    acceptance.accepted(((1, 1),))
    acceptance.wait([1], [], told)
    assert told.of == [None]


def test_what_has_ended_before_a_connection_was_lost_is_unsure() -> None:
    """It is not sent again, and so never accepted; what is out still is waited for on the next one."""
    acceptance, one, other = Acceptance(), Told(), Told()
    acceptance.sent([1, 2])
    acceptance.wait([1, 2], [], one)
    acceptance.wait([2], [], other)
    acceptance.joined({2})
    [error] = one.of
    assert isinstance(error, HubUnavailable)
    assert other.of == []
    acceptance.accepted(((2, 2),))
    assert other.of == [None]
    late = Told()
    acceptance.wait([1], [], late)
    assert isinstance(late.of[0], HubUnavailable)
    assert len(one.of) == 1


def test_only_so_much_is_remembered_of_what_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that lives for long does not grow with each hub."""
    monkeypatch.setattr("ctrlhub.client.acceptance.MOST_LOST", 3)
    acceptance = Acceptance()
    acceptance.sent([1, 2])
    acceptance.joined(())
    acceptance.sent([3, 4])
    acceptance.joined(())
    assert list(acceptance._lost) in ([2, 3, 4], [1, 3, 4])
    assert acceptance._pending == set()


def test_who_gives_up_is_told_no_more_and_the_end_is_told_to_everybody_once() -> None:
    """Nobody waits for ever."""
    acceptance, one, other = Acceptance(), Told(), Told()
    acceptance.sent([1, 2])
    acceptance.wait([1, 2], [], one)
    acceptance.wait([1, 2], [], other)
    acceptance.forget([1, 2], one)
    acceptance.end(SessionClosed("closed"))
    assert one.of == []
    assert [type(each) for each in other.of] == [SessionClosed]
    assert acceptance._waits == {}


def test_a_session_tells_when_what_has_ended_is_stored() -> None:
    """Its tasks and its commands, those that were sent, and those that wait to be."""
    bench = Bench()
    session, told, flushed = bench.session, Told(), Told()
    session.keep_acceptance()
    task, command = bench.task(), bench.command()
    bench.drain()
    later = bench.task()
    numbers = [task._number, command.first, later._number]
    session.tell_stored(numbers, told)
    session.flushing.add(lambda answer: flushed(None))
    bench.drain()
    bench.complete([task._number, later._number])
    bench.complete([command.first], Stream.MULTIENGINE)
    bench.drain()
    assert flushed.of == [None]  # enough for who has the results
    bench.accept([task._number, later._number])
    assert told.of == []
    bench.accept([command.first], Stream.MULTIENGINE)
    assert told.of == [None]


def test_what_the_hub_refuses_is_waited_for_no_longer() -> None:
    """Nor what is cancelled before it leaves: each has ended here, and says why."""
    bench = Bench()
    session, told = bench.session, Told()
    session.keep_acceptance()
    number = bench.task()._number
    bench.drain()
    session.tell_stored([number], told)
    bench.receive(Stream.TASK, Refused(LimitExceeded.code, "full", to_ranges([number])))
    assert told.of == [None]
    number = bench.task()._number
    session.tell_stored([number], told)
    session.cancel(Cancellation(Stream.TASK, [number]), 0.0)
    assert told.of == [None, None]


def test_another_hub_is_waited_for_with_what_is_out_and_not_with_what_has_ended() -> None:
    """What has ended is not given to it."""
    bench = Bench()
    session, ended, out = bench.session, Told(), Told()
    session.keep_acceptance()
    one, two = bench.task()._number, bench.task()._number
    bench.drain()
    session.tell_stored([one], ended)
    session.tell_stored([two], out)
    bench.complete([one])
    bench.rejoin(epoch="second")
    bench.drain()
    assert [type(each) for each in ended.of] == [HubUnavailable]
    assert out.of == []
    bench.accept([two])
    assert out.of == [None]


def test_the_end_of_a_session_is_told() -> None:
    """Also to who asks afterwards."""
    bench = Bench()
    session, told, late = bench.session, Told(), Told()
    session.keep_acceptance()
    number = bench.task()._number
    bench.drain()
    session.tell_stored([number], told)
    session.close(SessionClosed("closed"), 0.0)
    session.tell_stored([number], late)
    assert [type(each) for each in (*told.of, *late.of)] == [SessionClosed, SessionClosed]
