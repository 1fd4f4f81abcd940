"""Which part of an object cannot be pickled."""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any

import cloudpickle
import pytest

from ctrlhub.wire.blame import MAX_DEPTH, culprit


class Bad:
    """What is to be found."""

    def __reduce__(self) -> Any:
        raise ValueError("bad")


class Box:
    """An instance with attributes."""

    def __init__(self, content: object) -> None:
        self.content = content

    def method(self) -> None:
        """Do nothing."""


class Hiding(Box):
    """Says itself what is pickled: its attributes are none of pickle's business."""

    def __getstate__(self) -> int:
        return 1


BAD = Bad()

BOX = Box([{BAD}])


def is_good(obj: object) -> bool:
    """Whether it can be pickled, which a `Bad` cannot."""
    try:
        cloudpickle.dumps(obj)
    except ValueError:
        return False
    return True


def closure() -> Any:
    """Make a function that holds the bad one in a cell."""
    held = BAD
    return lambda: held


def with_attribute() -> Any:
    """Make a function with an attribute."""

    def f() -> None: ...

    f.extra = BAD  # type: ignore[attr-defined]
    return f


@pytest.mark.parametrize(
    ("obj", "path"),
    [
        ([1, BAD], "[1]"),
        ((1, [2, BAD]), "[1][1]"),
        ({"key": BAD}, "['key']"),
        ({BAD: 1}, "key"),
        (lambda: BOX, "global 'BOX'.content[0], its member"),
        ({1, BAD}, "member"),
        (Box(BAD), "content"),
        (Box([Box({"a": BAD})]), "content[0].content['a']"),
        (functools.partial(print, BAD), "args[0]"),
        (functools.partial(print, end=BAD), "keywords['end']"),
        (Box(BAD).method, "__self__.content"),
        (closure(), "variable 'held' of an outer function"),
        (lambda: BAD, "global 'BAD'"),
        (lambda x=BAD: x, "default[0]"),
        (lambda *, x=BAD: x, "default['x']"),
        (with_attribute(), "extra"),
    ],
)
def test_path(obj: object, path: str) -> None:
    """The path is written as Python would, and ends with the type."""
    found = culprit(obj, is_good)
    assert found.startswith(path)
    assert found.endswith("(of type Bad)")


@pytest.mark.parametrize("obj", [BAD, Hiding(BAD), SimpleNamespace(a=1)])
def test_no_part_to_blame(obj: object) -> None:
    """Where no part is known to be bad nothing is said."""
    assert culprit(obj, is_good) == ""


def test_depth_is_bounded() -> None:
    """A very deep object is followed so far and no further."""
    deep: Any = BAD
    for _ in range(MAX_DEPTH * 2):
        deep = [deep]
    assert culprit(deep, is_good).count("[0]") == MAX_DEPTH


def test_cycle_ends() -> None:
    """An object that contains itself is no endless path."""
    ring: list[Any] = []
    ring.append(ring)
    assert culprit(ring, lambda _: False).count("[0]") == MAX_DEPTH


def test_unassigned_variable_is_no_part() -> None:
    """A closure over a variable that has no value yet is survived."""

    def f() -> Any:
        return later

    if f is None:
        later = 1
    assert culprit(f, is_good) == ""
