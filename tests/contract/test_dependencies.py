"""What functions need on engines: references, required modules and values, conditions."""

from __future__ import annotations

from typing import Any

import pytest

from ctrlhub import (
    Client,
    CompositeError,
    ImpossibleDependency,
    Reference,
    RemoteError,
    TaskRejectError,
    UnmetDependency,
    depend,
    interactive,
    require,
)
from tests.contract.conftest import ENGINES

WAIT = 60.0
EACH = list(range(ENGINES))


@pytest.fixture(autouse=True)
def place(client: Client) -> None:
    """Each engine has its place as a name."""
    client[:].scatter("place", EACH, flatten=True, block=True)


# ---------------------------------------------------------------- references


def test_a_reference_has_its_value_where_it_arrives(client: Client) -> None:
    """As an argument, a keyword, and inside of containers; expressions, too."""
    view = client[:]
    assert view.apply_sync(lambda x: x, Reference("place")) == EACH
    assert view.apply_sync(lambda *, x: x, x=Reference("place + 1")) == [n + 1 for n in EACH]
    nested = {"a": [Reference("place")], "b": (Reference("place"), {Reference("place")})}
    assert view.apply_sync(lambda x: x, nested) == [{"a": [n], "b": (n, {n})} for n in EACH]
    view.push({"double": Reference("place * 2")}, block=True)
    assert view["double"] == [n * 2 for n in EACH]


def test_a_reference_to_a_function(client: Client) -> None:
    """It is looked up at each call, not once."""
    view = client[:]
    for change in (1, 2):
        view.execute(f"def f(x): return x + place * {change}", block=True)
        assert view.apply_sync(Reference("f"), 10) == [10 + n * change for n in EACH]
        assert view.map_sync(Reference("f"), [0] * ENGINES) == [n * change for n in EACH]
    assert client.load_balanced_view().map_sync(Reference("abs"), [-1, 2]) == [1, 2]


def test_a_reference_to_nothing(client: Client) -> None:
    """It is the error that the name alone would be."""
    with pytest.raises(NameError, match="nowhere"):
        client[0].apply_sync(len, Reference("nowhere"))
    with pytest.raises(ZeroDivisionError):
        client[0].apply_sync(len, [Reference("place / 0")])
    with pytest.raises(TypeError, match="text"):
        Reference(1)  # type: ignore[arg-type]


# ---------------------------------------------------------------- requirements


def test_required_modules_are_imported(client: Client) -> None:
    """Into the namespace, by name or as a module, before each call."""
    import math

    @require("json", math)
    def f() -> Any:
        return eval("json.dumps([math.floor(2.5)])")

    assert client[:].apply_sync(f) == ["[2]"] * ENGINES
    assert client.load_balanced_view().map_sync(require("json")(lambda n: n), [1, 2]) == [1, 2]


def test_required_values_are_set(client: Client) -> None:
    """Functions under their names, others under those given."""

    def helper(n: int) -> int:
        return n * eval("factor")  # type: ignore[no-any-return]

    @require(helper, factor=3)
    def f(n: int) -> Any:
        return eval("helper(n)", {**globals(), "n": n, "helper": eval("helper")})

    assert client[0].apply_sync(f, 2) == 6
    with pytest.raises(TypeError, match=r"require\(name=\.\.\.\)"):
        require([1, 2])  # type: ignore[arg-type]


def test_a_required_module_that_is_missing(client: Client) -> None:
    """The message names it, and what to do."""

    @require("no_such_module_anywhere")
    def f() -> None:
        """Never run."""

    for view in (client[0], client.load_balanced_view()):
        with pytest.raises(UnmetDependency, match=r"no_such_module_anywhere.*client\.upload"):
            view.apply_sync(f)


# ---------------------------------------------------------------- conditions


def is_at(n: int) -> bool:
    """Say whether this is the engine at place n."""
    return bool(eval("place") == n)


def place_if(n: int) -> Any:
    """Return a function that runs at place n alone."""
    here = interactive(is_at)
    return depend(here, n)(interactive(_place))


def _place(item: object) -> Any:
    return eval("place")


def test_a_task_goes_where_its_condition_is_met(client: Client) -> None:
    """Whichever engine is asked first."""
    view = client.load_balanced_view()
    for n in EACH:
        assert view.map(place_if(n), range(20)).get(WAIT) == [n] * 20
        assert view.map(place_if(n), range(20), chunksize=7).get(WAIT) == [n] * 20


def test_a_condition_that_no_engine_meets(client: Client) -> None:
    """The task fails, and others run."""
    view = client.load_balanced_view()
    with pytest.raises(ImpossibleDependency, match=r"is_at is not met here"):
        view.apply_async(place_if(99), 0).get(WAIT)
    assert view.apply_async(place_if(0), 0).get(WAIT) == 0


def test_a_task_may_refuse_an_engine(client: Client) -> None:
    """By raising, itself or in its condition."""

    def picky() -> Any:
        if eval("place") != 1:
            raise TaskRejectError("not here")
        return eval("place")

    assert client.load_balanced_view().apply_async(picky).get(WAIT) == 1


def test_a_call_of_explicit_engines_fails_where_it_is_not_met(client: Client) -> None:
    """It has nowhere else to go."""
    with pytest.raises(UnmetDependency) as caught:
        client[0].apply_sync(place_if(1), 0)
    assert isinstance(caught.value, RemoteError)
    with pytest.raises(CompositeError, match=r"\[0:apply\]: UnmetDependency") as several:
        client[:].apply_sync(place_if(1), 0)
    assert len(several.value.elist) == ENGINES - 1


def test_a_condition_that_fails(client: Client) -> None:
    """Is an error like any other."""

    def broken() -> bool:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        client.load_balanced_view().apply_async(depend(broken)(abs), 1).get(WAIT)
    with pytest.raises(TypeError, match="condition"):
        depend("numpy")  # type: ignore[arg-type]
