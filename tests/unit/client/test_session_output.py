"""Live output at a client's session: of what runs, acknowledged on the request's stream."""

from __future__ import annotations

from typing import Any

import pytest

from ctrlhub.client.live_output import ACKNOWLEDGE
from ctrlhub.wire.ids import request_id
from ctrlhub.wire.messages import Completed, Output, OutputReceived, Stream
from tests.unit.client.support import Bench
from tests.unit.client.test_live_output import Listener


class Taken:
    """Takes a result."""

    def _take(self, index: int, row: Any, now: float) -> None:
        """Take it."""


ITEMS = [("stdout", 0, "hello\n")]


def asked(bench: Bench, stream: Stream) -> int:
    """Have a request under way; return its id."""
    number: int = bench.task()._number if stream is Stream.TASK else bench.command().first
    bench.drain()
    return number


@pytest.mark.parametrize("stream", [Stream.TASK, Stream.MULTIENGINE])
def test_output_is_kept_until_its_result_is_there(stream: Stream) -> None:
    """What comes afterwards is late."""
    bench = Bench()
    number = asked(bench, stream)

    bench.receive(Stream.IOPUB, Output(number, 1, ITEMS, 4))
    live = bench.session.live.requests[number]
    assert (live.engine, live.extras()["stdout"]) == (4, "hello\n")

    bench.complete([number], stream)
    bench.receive(Stream.IOPUB, Output(number, 2, ITEMS, 4))
    assert bench.session.live.requests == {}


@pytest.mark.parametrize("stream", [Stream.TASK, Stream.MULTIENGINE])
def test_much_output_is_acknowledged_on_the_stream_of_its_request(stream: Stream) -> None:
    """So that its engine sends more."""
    bench = Bench()
    number = asked(bench, stream)
    much: list[Any] = [("stdout", 0, "x" * ACKNOWLEDGE)]

    bench.receive(Stream.IOPUB, Output(number, 1, much, 4))

    assert bench.drain(OutputReceived) == [OutputReceived(number, 1, 4)]


@pytest.mark.parametrize("stream", [Stream.TASK, Stream.MULTIENGINE])
def test_output_that_was_lost_is_asked_for(stream: Stream) -> None:
    """On the stream of its request; who follows is told nothing out of its order."""
    bench, listener = Bench(), Listener()
    number = asked(bench, stream)
    bench.session.follow_output([number], listener)

    bench.receive(Stream.IOPUB, Output(number, 2, [("stdout", 6, "world\n")], 4, after=1))
    assert bench.drain(OutputReceived) == [OutputReceived(number, 0, 4, missed=True)]
    bench.receive(Stream.IOPUB, Output(number, 3, [("stdout", 0, "hello\nworld\n")], 4))

    assert listener.told == [("stdout", 0, "hello\nworld\n")]


def test_output_of_what_another_process_has_submitted() -> None:
    """Its session is ours now: we know no stream, and ask for all of it once somebody wants to see it."""
    bench, listener, owner = Bench(), Listener(), Taken()
    number = request_id(bench.session.session, 500)
    bench.session.follow(owner, [number], 0.0)
    bench.session.follow_output([number], listener)
    assert bench.drain(OutputReceived) == 2 * [OutputReceived(number, 0, -1, missed=True)]

    bench.receive(Stream.IOPUB, Output(number, 9, [("stdout", 0, "hello\n")], 4))
    assert bench.drain(OutputReceived) == 2 * [OutputReceived(number, 9, 4)]
    assert listener.told == [("stdout", 0, "hello\n")]

    bench.session.unfollow(owner, [number])
    assert bench.session.live.requests == {}
    bench.receive(Stream.IOPUB, Output(number, 10, [("stdout", 6, "more\n")], 4, after=9))
    assert bench.session.live.requests == {}


def test_output_of_nothing_that_runs_is_ignored() -> None:
    """Whatever its number."""
    bench = Bench()

    bench.receive(Stream.IOPUB, Output(12345, 1, ITEMS, 4))

    assert bench.session.live.requests == {}


def test_who_follows_is_told_of_each_end() -> None:
    """Of what waits to be sent, what runs, and what has ended before."""
    bench, listener = Bench(), Listener()
    ended = asked(bench, Stream.TASK)
    bench.complete([ended])
    running = asked(bench, Stream.TASK)
    waiting = bench.task()._number

    bench.session.follow_output([ended, running, waiting], listener)
    assert listener.told == [f"{ended} ended"]

    bench.drain()
    bench.complete([running, waiting])
    assert listener.told[1:] == [f"{running} ended", f"{waiting} ended"]


def test_the_last_words_of_an_engine_that_died_are_kept() -> None:
    """Its request ends without output, from nowhere."""
    bench = Bench()
    result = bench.task()
    bench.drain()
    bench.receive(Stream.IOPUB, Output(result._number, 1, ITEMS, 4))

    died = (result._number, 2, b"", -1, 0.0, 0.0, None)
    bench.receive(Stream.TASK, Completed([died]))

    [row] = result._rows()
    assert row is not None
    assert (row[3], row[6]["stdout"]) == (4, "hello\n")
