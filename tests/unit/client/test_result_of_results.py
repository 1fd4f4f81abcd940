"""Results as arguments where the hub that had them is gone."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.requests import Function, Template
from ctrlhub.client.result_arguments import collecting
from ctrlhub.client.result_of_results import ResultOfResults
from ctrlhub.wire.ids import to_ranges
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


def test_what_has_ended_keeps_nothing() -> None:
    """A long chain of results is not kept by its last one."""
    task = called_with(result(1))
    task._settle(ok(9), 1.0)
    assert task._needed == ()
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
