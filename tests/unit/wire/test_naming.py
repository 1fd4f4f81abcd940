"""Names that the other side can find, and names that functions use."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from typing import Any

import cloudpickle
import pytest

from ctrlhub.wire.naming import global_names, is_by_value, is_importable


class Outer:
    """A class with a class and a function in it."""

    class Inner:
        """A class in a class."""

    def method(self) -> None:
        """Do nothing."""

    @staticmethod
    def static() -> None:
        """Do nothing."""


@functools.wraps(json.loads)
def pretends_to_be_loads() -> None:
    """Carry another function's name."""


@pytest.mark.parametrize(
    "obj", [json.loads, len, int, Outer, Outer.Inner, Outer.method, Outer.static, OSError]
)
def test_importable(obj: object) -> None:
    """Functions, builtins and classes that are where their name says."""
    assert is_importable(obj)


@pytest.mark.parametrize(
    "obj",
    [lambda: 1, [].append, "".join, dict.fromkeys, pretends_to_be_loads, type("Local", (), {})],
)
def test_not_importable(obj: object) -> None:
    """Lambdas, bound methods, impostors and local classes."""
    assert not is_importable(obj)


def test_main_is_not_importable(
    monkeypatch: pytest.MonkeyPatch, script: Callable[[str], dict[str, Any]]
) -> None:
    """What is in ``__main__`` is found under its name, but only here."""
    f = script("def f(): pass")["f"]
    monkeypatch.setattr(sys.modules["__main__"], "f", f, raising=False)
    assert not is_importable(f)


def test_replaced_is_not_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function whose name means another by now is not what would be imported."""
    original = json.loads
    monkeypatch.setattr(json, "loads", lambda: None)
    assert not is_importable(original)


def test_missing_module_is_not_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is one whose module is gone, or was never there."""
    monkeypatch.delitem(sys.modules, "json")
    assert not is_importable(json.loads)


def test_registered_is_by_value() -> None:
    """A registered module, and those in a registered package, are sent by value."""
    cloudpickle.register_pickle_by_value(json)
    try:
        assert is_by_value("json")
        assert is_by_value("json.decoder")
        assert not is_by_value("jsonx")
        assert not is_importable(json.loads)
        assert not is_importable(json.JSONDecoder)
    finally:
        cloudpickle.unregister_pickle_by_value(json)
    assert is_importable(json.loads)


def test_names_of_code(script: Callable[[str], dict[str, Any]]) -> None:
    """Globals that are read, written or deleted, here and in functions inside; no attributes."""
    f = script(
        """
def f(arg):
    global written, deleted
    written = read.attribute
    del deleted
    def inner():
        global deep
        deep = len(local) + (lambda: innermost)()
    local = [inner_read for _ in arg]
    return inner
"""
    )["f"]
    assert set(global_names(f.__code__)) == {
        "written", "deleted", "read", "deep", "len", "innermost", "inner_read",
    }  # fmt: skip
