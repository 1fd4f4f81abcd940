"""Results as arguments where the hub that had them is gone."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.outgoing import Outgoing
from ctrlhub.client.requests import Function, Template
from ctrlhub.client.result_arguments import collecting
from ctrlhub.client.result_of_results import PortionOfResults, ResultOfResults
from ctrlhub.wire.ids import to_ranges
from ctrlhub.wire.messages import Stream
from ctrlhub.wire.options import TaskOptions
from ctrlhub.wire.serialize import dumps, dumps_call, loads
from ctrlhub.wire.supplied import lending
from tests.unit.client.support import Home, ok


def result(number: int) -> AsyncResult:
    """Return the result to come of a task."""
    return AsyncResult(Home(), number, b"", Template("f", None, Function(b"d", b"c")))


def called_with(*args: Any) -> ResultOfResults:
    """Return the result of a task that is called with others."""
    with collecting() as found:
        payload = dumps_call(args, {})
    options = TaskOptions(arguments=found.requests)
    about = Template("f", None, Function(b"d", b"c"), options=options)
    return ResultOfResults(Home(), 9, payload, about, tuple(found.results))


def test_what_is_here_is_put_into_the_arguments() -> None:
    """What is not stays a mark, for which the hub has the value; with nothing here nothing changes."""
    first, second = result(1), result(2)
    task = called_with([first], second)
    before = task._payload(9)
    task._insert_values()
    assert task._payload(9) == before
    first._settle(ok(1, "one"), 1.0)
    task._insert_values()
    assert task._template().options.arguments == to_ranges([2])
    with lending({2: "two"}):
        assert loads(task._payload(9)) == ((["one"], "two"), {})
    second._settle(ok(2, "two"), 1.0)
    task._insert_values()
    assert loads(task._payload(9)) == ((["one"], "two"), {})
    assert task._template().options.arguments == ()


LARGE = bytes(1_000_000)
"""Comes in frames of its own."""


@pytest.mark.parametrize("in_a_map", [False, True])
def test_what_has_come_before_a_task_leaves_goes_along(in_a_map: bool) -> None:
    """The hub may not keep what is large, and its acknowledgement may be there before the task."""
    first, second = result(1), result(2)
    task: Any = called_with(first, second)
    if in_a_map:
        about = task._template()
        task = PortionOfResults(9, [task._payload(9)], about, task, 0, (first, second))
    first._settle(ok(1, LARGE), 1.0)
    outgoing = Outgoing()
    outgoing.submissions.append(task)
    [(stream, _)] = outgoing.messages()
    assert stream is Stream.TASK
    assert task._template().options.arguments == to_ranges([2])
    with lending({2: "two"}):
        assert loads(task._payload(9)) == ((LARGE, "two"), {})
    assert outgoing.names_results, "of a command, say: that on the other stream has to wait"
    outgoing.accepted(Stream.TASK, to_ranges([9]))
    assert not outgoing.names_results


def test_what_has_come_before_a_task_is_said_again_goes_along() -> None:
    """The hub has not accepted it, and has been told meanwhile that the value is here."""
    first = result(1)
    task = called_with(first)
    outgoing = Outgoing()
    outgoing.submissions.append(task)
    outgoing.messages()
    first._settle(ok(1, LARGE), 1.0)
    assert outgoing.again(Stream.TASK) == []
    assert task._template().options.arguments == ()
    assert loads(task._payload(9)) == ((LARGE,), {})
    assert outgoing.names_results
    task._settle(ok(9), 1.0)
    outgoing.tasks.drop(9)
    assert not outgoing.names_results, "it has been accepted, if not in so many words"


def test_what_is_small_does_not_go_along() -> None:
    """The hub has it; to put it into the arguments would run what users have written."""
    first = result(1)
    task = called_with(first)
    first._settle(ok(1, "one"), 1.0)
    outgoing = Outgoing()
    outgoing.submissions.append(task)
    outgoing.messages()
    assert task._template().options.arguments == to_ranges([1])


def test_what_has_ended_keeps_nothing() -> None:
    """A long chain of results is not kept by its last one."""
    task = called_with(result(1))
    task._settle(ok(9), 1.0)
    assert task._needed is None
    assert task.get() is None


class Shy:
    """Can be pickled once only."""

    def __reduce__(self) -> Any:
        return _shy, ()


def _shy() -> Shy:
    raise OSError("no more")


def test_arguments_that_cannot_be_opened_go_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    """With a word in the log: the hub will say that it has no value."""
    first = result(1)
    task = called_with(first, Shy())
    before = task._payload(9)
    first._settle(ok(1, "one"), 1.0)
    task._insert_values()
    assert task._payload(9) == before
    assert "no more" in caplog.text


def test_a_mark_is_for_arguments() -> None:
    """It cannot be pickled elsewhere."""
    from ctrlhub.client.result_arguments import Mark

    with pytest.raises(TypeError, match="arguments"):
        pickle.dumps(Mark(1))
    with collecting() as found:
        dumps(Mark(1))
    assert found.requests == to_ranges([1])
