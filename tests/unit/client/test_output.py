"""Output of requests: what a result says of it, and how it is shown."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from ctrlhub.client.execute_reply import AsyncExecution, AsyncExecutionGroup, ExecuteReply
from ctrlhub.client.requests import About
from ctrlhub.wire.failure import Failure, pack_failure
from ctrlhub.wire.messages import Stream
from ctrlhub.wire.serialize import dumps
from tests.unit.client.support import Home

CELL = About("execute", Stream.MULTIENGINE, None, "a + b")


def shown(text: str, count: int = 1, **data: str) -> dict[str, Any]:
    """The value of a cell, as it travels."""
    return {"data": {"text/plain": text, **data}, "metadata": {}, "execution_count": count}


def displayed(text: str) -> dict[str, Any]:
    """Something displayed, as it travels."""
    return {"output_type": "display_data", "data": {"text/plain": text}, "metadata": {}}


def row(number: int, engine: int, extras: dict[str, Any] | None) -> tuple[Any, ...]:
    """A request that ended well."""
    return (number, 0, dumps(None), engine, 1000.0, 0.5, extras)


def one(extras: dict[str, Any] | None) -> AsyncExecution:
    """The result of a cell on one engine."""
    result = AsyncExecution(Home(), 1, b"", CELL)
    result._settle(row(1, 3, extras), 0.0)
    return result


def several(*extras: dict[str, Any] | None) -> AsyncExecutionGroup:
    """The result of a cell on several engines."""
    result = AsyncExecutionGroup(Home(), CELL, 1, len(extras))
    for index, each in enumerate(extras):
        result._take(index, row(1 + index, index, each), 0.0)
    return result


def test_what_belongs_to_a_picture_is_shown_with_it() -> None:
    """As IPython wants it: data and metadata, where there is any."""
    shown_there = {"data": {"image/png": "AAAA"}, "metadata": {"image/png": {"width": 10}}}
    reply = one({"execute_result": {**shown_there, "execution_count": 1}}).get()
    assert reply._repr_png_() == ("AAAA", {"width": 10})
    assert reply._repr_html_() is None


def test_metadata_has_the_items_that_it_has() -> None:
    """One that there is not cannot be set by mistake; it can be pickled and copied."""
    known = one({"stdout": "hi\n"}).metadata
    with pytest.raises(KeyError, match="nonsense"):
        known["nonsense"] = 1
    known["label"] = "mine"
    for again in (pickle.loads(pickle.dumps(known)), copy.deepcopy(known)):
        assert type(again) is type(known)
        assert again == known


def test_the_value_of_an_execution_is_its_reply() -> None:
    """With the data by type, the count, and the metadata as items and attributes."""
    reply = one(
        {"stdout": "hi\n", "execute_result": shown("5", 7, **{"text/html": "<b>5</b>"})}
    ).get()

    assert isinstance(reply, ExecuteReply)
    assert reply.data["text/plain"] == "5"
    assert reply._repr_html_() == "<b>5</b>"
    assert reply._repr_mimebundle_()[0]["text/plain"] == "Out[3:7]: 5"
    assert (reply.stdout, reply["engine_id"], reply.execute_input) == ("hi\n", 3, "a + b")
    assert repr(reply) == "<ExecuteReply[7]: 5>"
    with pytest.raises(AttributeError):
        _ = reply.no_such_thing


def test_an_execution_without_a_value_has_a_reply_as_well() -> None:
    """It is empty."""
    reply = one(None).get()

    assert (reply.data, reply.execution_count, repr(reply)) == ({}, None, "<ExecuteReply>")


def test_of_several_engines_there_are_several_replies() -> None:
    """In the order of the targets, by index as well."""
    result = several({"execute_result": shown("1")}, None)

    assert [reply.data.get("text/plain") for reply in result.get()] == ["1", None]
    assert result[0].data["text/plain"] == "1"


def test_what_was_displayed_is_told_apart_from_what_was_printed() -> None:
    """`outputs` is what was displayed, in order; published data is opened when it is asked for."""
    result = one(
        {
            "stdout": "onetwo",
            "outputs": [
                {"output_type": "stream", "name": "stdout", "length": 3},
                displayed("figure"),
                {"output_type": "stream", "name": "stdout", "length": 3},
            ],
            "data": {"x": dumps([1, 2]), "broken": b"no pickle"},
        }
    )

    assert result.stdout == "onetwo"
    assert result.outputs == [displayed("figure")]
    assert result.data["x"] == [1, 2]
    assert set(result.data) == {"x", "broken"}


def test_outputs_of_one_engine_are_shown_without_labels(capsys: pytest.CaptureFixture[str]) -> None:
    """First what was printed, then what was displayed, then the value."""
    one({"stdout": "hi\n", "stderr": "err\n", "outputs": [displayed("fig")],
         "execute_result": shown("5", 2)}).display_outputs()  # fmt: skip

    assert capsys.readouterr() == ("hi\nfig\nOut[3:2]: 5\n", "err\n")


def test_outputs_are_grouped_by_type(capsys: pytest.CaptureFixture[str]) -> None:
    """Each engine's with its label; several lines stand below it."""
    several(
        {
            "stdout": "a",
            "outputs": [displayed("f0"), displayed("f1")],
            "execute_result": shown("1"),
        },
        {"stdout": "b\nc\n", "outputs": [displayed("g0"), displayed("g1")]},
    ).display_outputs()

    assert capsys.readouterr().out.splitlines() == [
        "[stdout:0] a", "[stdout:1]", "b", "c", "[output:0]", "f0", "[output:0]", "f1",
        "[output:1]", "g0", "[output:1]", "g1", "Out[0:1]: 1",
    ]  # fmt: skip


def test_outputs_are_grouped_by_order(capsys: pytest.CaptureFixture[str]) -> None:
    """The first that each engine displayed, then the second."""
    several({"outputs": [displayed("f0"), displayed("f1")]}, {"outputs": [displayed("g0")]}
            ).display_outputs("order")  # fmt: skip

    assert [line for line in capsys.readouterr().out.splitlines() if line[0] != "["] == [
        "f0", "g0", "f1",
    ]  # fmt: skip


def test_outputs_are_grouped_by_engine(capsys: pytest.CaptureFixture[str]) -> None:
    """Everything of one, in the order in which it was put out, before the next."""
    several(
        {
            "stdout": "xy",
            "outputs": [
                {"output_type": "stream", "name": "stdout", "length": 1},
                displayed("f"),
                {"output_type": "stream", "name": "stdout", "length": 1},
            ],
            "execute_result": shown("1"),
        },
        {"stdout": "z\n"},
    ).display_outputs("engine")

    assert capsys.readouterr().out.splitlines() == [
        "[stdout:0] x", "[output:0]", "f", "[stdout:0] y", "Out[0:1]: 1", "[stdout:1] z",
    ]  # fmt: skip


def test_values_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """What was streamed need not be shown again."""
    several({"stdout": "hi", "execute_result": shown("1")}, None).display_outputs(result_only=True)

    assert capsys.readouterr().out == "Out[0:1]: 1\n"


def test_an_unknown_grouping_is_refused() -> None:
    """With those there are."""
    with pytest.raises(ValueError, match="type, engine, order"):
        one(None).display_outputs("colour")


def test_many_errors_are_shown_in_full_for_a_few(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its engine; the others in a line."""
    result = AsyncExecutionGroup(Home(), CELL, 1, 6)
    for index in range(6):
        failure = Failure("remote", "ValueError", f"no {index}", f"a traceback\nno {index}", index)
        result._take(index, (1 + index, 1, pack_failure(failure), index, 0.0, 0.0, None), 0.0)

    with result.stream_output():
        pass

    lines = capsys.readouterr().err.splitlines()
    assert lines[:3] == ["[0]:", "a traceback", "no 0"]
    assert lines.count("a traceback") == 4
    assert lines[-2] == "[5]:"
    assert "no 5" in lines[-1]
