"""What functions need where they run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ctrlhub.engine.namespace import Namespace
from ctrlhub.wire.dependencies import depend, dependent, interactive, is_unmet, require
from ctrlhub.wire.errors import (
    ImpossibleDependency,
    RemoteError,
    TaskRejectError,
    UnmetDependency,
)
from ctrlhub.wire.references import arrive_in
from ctrlhub.wire.serialize import dumps, loads


@pytest.fixture
def namespace() -> Any:
    """An engine's, for this thread."""
    namespace = Namespace()
    arrive_in(namespace)
    yield namespace
    arrive_in(None)


def double(n: int) -> int:
    """Return twice as much."""
    return 2 * n


def test_the_condition_is_asked_before_each_call() -> None:
    """Only False is a refusal, so that a function without a value may be one."""
    answers = [True, False, None, 0]
    function = depend(lambda: answers.pop(0))(double)
    assert function(1) == 2
    with pytest.raises(UnmetDependency, match=r"<lambda> is not met here, on which double depends"):
        function(1)
    assert [function(1), function(1)] == [2, 2]


def test_a_dependent_function_looks_like_the_function() -> None:
    """By name and documentation, also when it has travelled."""
    function = depend(bool, 1)(double)
    for each in (function, loads(dumps(function))):
        assert isinstance(each, dependent)
        assert (each.__name__, each.__doc__) == ("double", double.__doc__)  # type: ignore[attr-defined]
        assert each(2) == 4
        assert "double" in repr(each)


def test_requirements_go_into_the_namespace(namespace: Namespace) -> None:
    """Modules by name or as such, functions by their names, other values by those given."""
    function = require("os.path", json, double, k=7)(lambda: None)
    function()
    names = namespace.names
    assert (names["json"], names["k"]) == (json, 7)
    assert names["os"].path.join
    assert names["double"](2) == 4


def test_what_it_calls_sees_the_namespace(namespace: Namespace) -> None:
    """Function and condition alike."""
    namespace.names["place"] = 1
    code = "lambda n: place == n", "lambda: place * 10"
    condition, function = (eval(text, {"__name__": "__main__"}) for text in code)
    there = namespace.adopt(dependent(function, condition, 1))
    assert there() == 10
    namespace.names["place"] = 2
    with pytest.raises(UnmetDependency):
        there()


def test_assigning_to_attributes_and_items(namespace: Namespace) -> None:
    """As well as to names; nothing is left over."""
    namespace.names.update(table={})
    before = set(namespace.names)
    namespace.assign("table['x']", 5)
    namespace.assign("y", 6)
    assert namespace.names["table"] == {"x": 5}
    assert set(namespace.names) == before | {"y"}


def test_a_missing_module_is_unmet(namespace: Namespace) -> None:
    """The message says what to do."""
    with pytest.raises(UnmetDependency, match=r"no_such is required.*client\.upload\(\)"):
        require("no_such")(double)(1)


@pytest.mark.parametrize(
    ("error", "unmet"),
    [
        (UnmetDependency(""), True),
        (TaskRejectError(""), True),
        (ImpossibleDependency(""), False),
        (RemoteError("UnmetDependency"), False),
        (ImportError(""), False),
    ],
)
def test_what_another_engine_may_try(error: BaseException, unmet: bool) -> None:
    """What says so, and nothing that merely failed."""
    assert is_unmet(error) is unmet


def test_an_interactive_function_is_of_main() -> None:
    """It is sent by value, keeps what it closes over, and the original is as it was."""
    k = 5

    def closes(n: int = 1, *, m: int = 2) -> int:
        return n + m + k

    for function, value in ((interactive(double), 6), (interactive(closes), 10)):
        assert function.__module__ == "__main__"
        assert function(3) == value
        assert loads(dumps(function))(3) == value
    assert double.__module__ != "__main__"

    @interactive
    class Box:
        value = 7

    assert Box.__module__ == "__main__"  # type: ignore[attr-defined]
    assert loads(dumps(Box)).value == 7
    for wrong in (int, len, 3):
        with pytest.raises(TypeError, match="of one's own"):
            interactive(wrong)  # type: ignore[arg-type]
