"""The functions that an engine has."""

from __future__ import annotations

from ctrlhub.engine.functions import FunctionStore


def test_a_function_is_known_once_it_has_come() -> None:
    """Until then it is a name; who holds that gets the function."""
    store = FunctionStore()
    function = store.get(b"f")
    assert function.blob is None

    store.learn([(b"f", b"blob")])

    assert function.blob == b"blob"
    assert store.get(b"f") is function


def test_a_loaded_function_is_not_overwritten() -> None:
    """The same digest is the same function."""
    store = FunctionStore()
    store.learn([(b"f", b"blob")])
    function = store.get(b"f")
    function.call, function.blob = len, b""

    store.learn([(b"f", b"blob")])

    assert (function.call, function.blob) == (len, b"")


def test_the_least_recently_used_go_first() -> None:
    """Beyond a number of functions; work that holds one keeps it."""
    store = FunctionStore(most=2)
    store.learn([(b"a", b"1"), (b"b", b"2")])
    old = store.get(b"b")
    store.get(b"a")

    store.learn([(b"c", b"3")])

    assert len(store) == 2
    assert store.get(b"a").blob == b"1"
    assert store.get(b"b").blob is None
    assert old.blob == b"2"


def test_large_functions_go_sooner() -> None:
    """Beyond a number of bytes; the last one stays in any case."""
    store = FunctionStore(most_bytes=100)
    store.learn([(b"a", b"x" * 60)])
    store.learn([(b"b", (b"x" * 30, b"x" * 30))])
    assert store.get(b"b").blob is not None
    assert len(store) == 1

    store.learn([(b"c", b"x" * 500)])

    assert len(store) == 1
