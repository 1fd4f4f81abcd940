"""Commands to explicit engines: code, names and parts of sequences."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from operator import add
from typing import Any

import numpy as np
import pytest

from ctrlhub import AsyncResult, Client, CompositeError
from tests.contract.conftest import ENGINES

WAIT = 60.0
ALL = list(range(ENGINES))


def test_apply_on_one_engine_gives_the_bare_value(client: Client) -> None:
    """Whatever its type: a list stays one list."""
    assert client[0].apply_sync(lambda: [1, 2]) == [1, 2]
    assert client[0].apply_async(add, 1, 2).get(WAIT) == 3


def test_apply_on_several_gives_a_list_in_the_order_of_the_targets(client: Client) -> None:
    """Also of a view on a single-item list, and of targets out of order."""
    client[:].scatter("me", ALL, flatten=True, block=True)

    assert client[[2, 0]].pull("me", block=True) == [2, 0]
    assert client[[1]].apply_sync(add, 1, 2) == [3]


def test_apply_passes_arguments(client: Client) -> None:
    """By position and by name, a parameter called f among them."""
    assert client[0].apply_sync(lambda a, *rest, f, **more: (a, rest, f, more), 1, 2, f=3, x=4) == (
        1,
        (2,),
        3,
        {"x": 4},
    )


def test_apply_blocks_if_the_view_does(client: Client) -> None:
    """The flag decides what `apply` returns; it can be set for a while."""
    view = client[0]
    assert isinstance(view.apply(int), AsyncResult)
    with view.temp_flags(block=True):
        assert view.apply(int) == 0
    assert not view.block
    with pytest.raises(TypeError, match="no flag 'blok'"):
        view.set_flags(blok=True)


@pytest.mark.parametrize("function", [partial(add, 1), (1).__add__, np.float64(1).__add__])
def test_other_callables_than_functions(client: Client, function: Callable[[int], Any]) -> None:
    """Partial calls and bound methods."""
    assert client[0].apply_sync(function, 2) == 3


def test_execute_runs_statements_in_the_namespace(client: Client) -> None:
    """What it defines is there for later calls, functions included."""
    client[:].execute("import math\ndef area(r): return math.pi * r * r", block=True)

    assert client[0].apply_sync(lambda: round(area(1), 2)) == 3.14  # type: ignore[name-defined]  # noqa: F821
    assert client[:].pull("area(2) > 12", block=True) == [True] * ENGINES


def test_execute_reports_the_value_of_a_last_expression(client: Client) -> None:
    """By type, unless it is to be silent; None is nothing to report."""
    results = [client[0].execute(code, silent=False) for code in ("1 + 1", "x = 1", "None")]
    results.append(client[0].execute("1 + 1"))

    assert [r.get(WAIT).data.get("text/plain") for r in results] == ["2", None, None, None]


def test_push_and_pull(client: Client) -> None:
    """Of one name its value, of several a list for each engine."""
    view = client[:2]
    assert view.push({"a": 1, "b": [2]}, block=True) == [None, None]

    assert view.pull("a", block=True) == [1, 1]
    assert view.pull(["a", "b"], block=True) == [[1, [2]], [1, [2]]]
    assert client[0].pull(("b", "a"), block=True) == [[2], 1]
    assert client[0].pull("b[0] + a", block=True) == 3


def test_items_are_names(client: Client) -> None:
    """They block; `update` and `get` are the same by other names."""
    view = client[:]
    view["x"] = {"k": 1}
    view.update({"y": 2}).get(WAIT)

    assert view["x"] == [{"k": 1}] * ENGINES
    assert view[["x", "y"]] == [[{"k": 1}, 2]] * ENGINES
    assert client[0].get("y") == 2


def test_pushed_arguments_are_those_of_the_call(client: Client) -> None:
    """What happens to them afterwards is nobody's business, large arrays included."""
    small, large = [1], np.ones(100_000)
    result = client[0].push({"small": small, "large": large})
    small.append(2)
    large[:] = 2
    result.get(WAIT)

    assert client[0].pull(["small", "float(large.sum())"], block=True) == [[1], 100_000.0]


def test_pull_of_what_is_not_there(client: Client) -> None:
    """A NameError, as on the spot."""
    with pytest.raises(NameError, match="'nowhere' is not defined"):
        client[0].pull("nowhere", block=True)


@pytest.mark.parametrize("name", [1, None, b"x", ("x", 2)])
def test_names_are_text(client: Client, name: Any) -> None:
    """Anything else is refused here."""
    with pytest.raises(TypeError):
        client[0].pull(name)
    with pytest.raises(TypeError):
        client[0].push({name: 1})


def test_clear_forgets_everything(client: Client) -> None:
    """On the targets alone."""
    view = client[:]
    view.push({"x": 1}, block=True)
    client[0].clear(block=True)

    with pytest.raises(CompositeError) as caught:
        view.pull("x", block=True)
    assert [info["engine_id"] for _, _, _, info in caught.value.elist] == [0]


def test_commands_to_one_engine_run_in_their_order(client: Client) -> None:
    """Although nobody waits in between."""
    view = client[0]
    view.execute("trace = []")
    for number in range(50):
        view.execute(f"trace.append({number})")

    assert view["trace"] == list(range(50))


def test_a_slow_engine_does_not_hold_up_another(client: Client, work: Any) -> None:
    """Each has a queue of its own."""
    slow = client[0].apply_async(work.held())
    work.begun("held")

    assert client[1].apply_sync(int, "7") == 7
    assert not slow.ready()
    work.release()
    assert slow.get(WAIT) == "held"


# ---------------------------------------------------------------- scatter and gather


@pytest.mark.parametrize("dist", ["b", "r"])
@pytest.mark.parametrize("length", [0, 1, ENGINES, 10])
@pytest.mark.parametrize("kind", [list, tuple, str, bytes, np.array])
def test_gather_gives_back_what_was_scattered(
    client: Client, kind: Callable[[Any], Any], length: int, dist: str
) -> None:
    """Of every type and length, dealt in blocks or in turn."""
    digits = "0123456789"[:length]
    whole: Any = (
        digits if kind is str else digits.encode() if kind is bytes else kind(range(length))
    )
    view = client[:]
    view.scatter("part", whole, dist=dist)
    joined = view.gather("part", dist=dist, block=True)

    assert type(joined) is type(whole)
    assert list(joined) == list(whole)


def test_the_parts_of_a_scatter(client: Client) -> None:
    """Blocks of consecutive items, or every n-th; the first engines have the longer ones."""
    view = client[:]
    view.scatter("blocks", range(7), block=True)
    view.scatter("turns", range(7), dist="r", block=True)

    assert view.pull("list(blocks)", block=True) == [[0, 1, 2], [3, 4], [5, 6]]
    assert view.pull("list(turns)", block=True) == [[0, 3, 6], [1, 4], [2, 5]]


def test_scatter_flattens_single_items(client: Client) -> None:
    """Each engine then has an item, not a list of one."""
    view = client[:]
    view.scatter("rank", ALL, flatten=True, block=True)

    assert view["rank"] == ALL
    assert view.gather("rank", block=True) == ALL


def test_rows_of_an_array(client: Client) -> None:
    """An array is split and joined along its first axis."""
    matrix = np.arange(20.0).reshape(5, 4)
    view = client[:]
    for dist in "br":
        view.scatter("rows", matrix, dist=dist)
        np.testing.assert_array_equal(view.gather("rows", dist=dist, block=True), matrix)


def test_an_unknown_way_to_deal(client: Client) -> None:
    """It is refused before anything is sent."""
    with pytest.raises(ValueError, match="'b' \\(blocks\\) or 'r'"):
        client[:].scatter("x", [1], dist="z")


def test_a_round_trip_of_the_clock(client: Client) -> None:
    """`elapsed`, `wall_time` and `serial_time` are seconds, in proportion."""
    began = time.monotonic()
    result = client[:].apply_async(lambda: __import__("time").sleep(0.05))
    result.get(WAIT)

    assert 0.9 * 0.05 <= result.wall_time <= time.monotonic() - began
    # An engine's clock and its sum are as exact as floats; a sleep is never short by a tenth.
    assert result.serial_time >= 0.9 * 0.05 * ENGINES
    assert result.elapsed == pytest.approx(result.wall_time)
