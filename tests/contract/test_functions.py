"""Functions on their way: what they see when they arrive, and that it is never stale."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from ctrlhub import Client, PrePickled
from tests.contract.conftest import ENGINES

WAIT = 60.0
ROUNDS = {"memory": 300, "ipc": 1000, "tcp": 300, "http": 300}

k = 0
calls = 0
table: dict[str, int] = {}


def test_a_changed_global_is_seen_by_the_next_map(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`k = 1; map(f); k = 2; map(f)`: also while the first is still under way."""
    view = client.load_balanced_view()

    def f(n: int) -> int:
        return n + k

    results = []
    for value in (10, 20, 30):
        monkeypatch.setitem(globals(), "k", value)
        results.append((view.map_async(f, range(3)), client[:].map_async(f, range(3))))

    assert [[r.get(WAIT) for r in pair] for pair in results] == [
        [[10, 11, 12]] * 2,
        [[20, 21, 22]] * 2,
        [[30, 31, 32]] * 2,
    ]


def test_a_changed_object_is_seen(client: Client) -> None:
    """A global, a cell or a default that is the same object with other contents."""
    cell = [0]

    def f(default: list[int] = cell) -> tuple[dict[str, int], list[int], list[int]]:
        return table, cell, default

    seen = []
    for n in range(3):
        table["n"] = cell[0] = n
        seen.append(client[0].apply_sync(f))

    assert seen == [({"n": n}, [n], [n]) for n in range(3)]


def test_a_changed_function_is_seen(client: Client) -> None:
    """Another function of the same name, and a helper that was replaced."""
    view = client.load_balanced_view()
    seen = []
    for text in ("a", "b"):

        def helper(text: str = text) -> str:
            return text

        def f(n: int) -> str:
            return helper() * n

        seen.append(view.map_sync(f, [1, 2]))

    assert seen == [["a", "aa"], ["b", "bb"]]


def test_lambdas_of_a_loop_are_each_their_own(client: Client) -> None:
    """The same code with other cells."""
    view = client.load_balanced_view()
    results = [view.apply_async((lambda k: lambda: k)(n)) for n in range(50)]

    assert [r.get(WAIT) for r in results] == list(range(50))


def test_push_then_map(client: Client, transport: str) -> None:
    """A thousand times in a row the mapped function sees the value that was just pushed."""
    every, view = client[:], client.load_balanced_view()
    for n in range(ROUNDS[transport]):
        every.push({"pushed": n})  # nobody waits for it
        seen = view.map_sync(lambda i: (pushed, i), range(ENGINES))  # type: ignore[name-defined]  # noqa: F821
        assert seen == [(n, i) for i in range(ENGINES)]


def test_push_then_apply(client: Client) -> None:
    """The same of a view's own commands, and with single tasks."""
    every, view = client[:], client.load_balanced_view()
    for n in range(50):
        every["pushed"] = n
        assert view.apply_sync(lambda: pushed) == n  # type: ignore[name-defined]  # noqa: F821
        assert client[0].apply_sync(lambda: pushed) == n  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize("chunksize", [1, 2])
def test_functions_see_the_engine_s_names(client: Client, chunksize: int) -> None:
    """Directly, in helpers and partial calls, in maps of both kinds."""
    every = client[:]
    every.push({"base": 100}, block=True)

    def helper(n: int) -> int:
        return base + n  # type: ignore[name-defined, no-any-return]  # noqa: F821

    for f in (helper, lambda n: helper(n), functools.partial(lambda a, n: a + base + n, 0)):  # type: ignore[name-defined]  # noqa: F821
        assert every.map_sync(f, [1, 2]) == [101, 102]
        view = client.load_balanced_view()
        assert view.map_sync(f, [1, 2], chunksize=chunksize) == [101, 102]


def test_what_a_function_declares_global_stays(client: Client) -> None:
    """It becomes a variable of the engine's namespace."""

    def count() -> int:
        global calls
        calls += 1
        return calls

    assert [client[0].apply_sync(count) for _ in range(3)] == [1, 2, 3]
    assert client[0]["calls"] == 3
    assert calls == 0


def test_a_function_of_the_engine_comes_back(client: Client) -> None:
    """What code defined there can be pulled, called here, and sent back."""
    client[0].execute("def twice(n): return 2 * n", block=True)
    twice: Any = client[0]["twice"]

    assert twice(4) == 8
    assert client[1].apply_sync(twice, 4) == 8


def test_recursive_and_nested_functions(client: Client) -> None:
    """They find themselves."""

    def factorial(n: int) -> int:
        return n * factorial(n - 1) if n else 1

    assert client.load_balanced_view().map_sync(factorial, range(5)) == [1, 1, 2, 6, 24]


def test_a_large_function_travels_once(client: Client) -> None:
    """Its form is far above what fits into a message's header."""
    constant = bytes(3_000_000)
    view = client.load_balanced_view()

    assert view.map_sync(lambda n: len(constant) + n, range(20)) == [
        3_000_000 + n for n in range(20)
    ]
    assert client[:].apply_sync(lambda: len(constant)) == [3_000_000] * ENGINES


def test_what_is_pickled_once(client: Client) -> None:
    """It arrives as itself, as it was then, in any number of calls."""
    table = {"k": [1, 2]}
    once = PrePickled(table)
    table["k"] = []
    results = [client[:].apply_async(lambda t: t["k"], once) for _ in range(3)]
    assert [r.get(WAIT) for r in results] == [[[1, 2]] * ENGINES] * 3
