"""Functions by hash, at the client: serialized once where that will do."""

from __future__ import annotations

import functools
import gc
import json
import math
import weakref
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from ctrlhub.wire import functions
from ctrlhub.wire.errors import SerializationError
from ctrlhub.wire.functions import DIGEST_BYTES, FunctionCache, digest_of
from ctrlhub.wire.serialize import loads

Script = Callable[[str], dict[str, Any]]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Give the list of the functions that are serialized from now on."""
    made: list[object] = []
    real = functions.encode

    def noting(f: Callable[..., Any]) -> tuple[bytes, bytes]:
        made.append(f)
        return real(f)

    monkeypatch.setattr(functions, "encode", noting)
    return made


def call(cache: FunctionCache, f: Callable[..., Any], *args: object) -> Any:
    """Call what would arrive at an engine if the function were sent now."""
    digest, blob = cache.encode(f)
    assert digest == digest_of(blob)
    assert len(digest) == DIGEST_BYTES
    return loads(blob)(*args)


class TestReused:
    """What cannot have changed is serialized once."""

    @pytest.mark.parametrize(
        "f", [json.loads, len, int, math.sqrt, json.JSONDecoder, json.JSONDecoder.decode]
    )
    def test_importable(
        self, cache: FunctionCache, made: list[object], f: Callable[..., Any]
    ) -> None:
        """Functions and classes that are sent by name."""
        assert cache.encode(f) == cache.encode(f)
        assert len(made) == 1
        assert loads(cache.encode(f)[1]) is f

    @pytest.mark.parametrize(
        "source",
        [
            "def f(): pass",
            "k, s, t = 1, 'a', (1, ('b', None), frozenset({2}))\ndef f(): return k, s, t",
            "def f(x, y=1, *, z='a'): return x",
            "def f(x: int, y: 'str' = '') -> list[int] | None: return [x]",
            "from typing import Optional, Callable\n"
            "def f(x: Optional[int], g: Callable[[int], str]) -> dict[str, int]: pass",
            "import math, json\nfrom math import sqrt\ndef f(x): return math.sin(sqrt(json.k))",
            "import re\npattern = re.compile('a')\ndef f(x): return pattern.match(x)",
            "def helper(): return k\nk = 1\ndef f(): return helper()",
            "def f(n): return g(n)\ndef g(n): return f(n)",
            "def f(n): return f(n - 1)",
            "def make(k):\n  return lambda x: x + k\nf = make(1)",
            "import functools\ndef d(g):\n  @functools.wraps(g)\n  def w(): return g()\n  return w\n"
            "@d\ndef f(): pass",
            "def f(): return undefined_name",
            "def f(): pass\nf.version = 1",
        ],
    )
    def test_from_a_script(
        self, script: Script, cache: FunctionCache, made: list[object], source: str
    ) -> None:
        """Functions whose every dependency is immutable, or known by name."""
        f = script(source)["f"]
        assert cache.encode(f) is cache.encode(f)
        assert len(made) == 1

    def test_lambda_in_a_loop(
        self, script: Script, cache: FunctionCache, made: list[object]
    ) -> None:
        """``for i in …: submit(lambda x: x + 1, i)`` is one function, though a new object each."""
        make = script("def make():\n  return lambda x, k='a': x + 1")["make"]
        assert len({cache.encode(make())[0] for _ in range(10)}) == 1
        assert len(made) == 1

    def test_closures_in_turns(
        self, script: Script, cache: FunctionCache, made: list[object]
    ) -> None:
        """Two closures of one factory do not push each other out."""
        make = script("def make(k):\n  return lambda: k")["make"]
        pair = make(1), make(2)
        for _ in range(5):
            for f in pair:
                cache.encode(f)
        assert len(made) == 2

    @pytest.mark.parametrize(
        "source",
        [
            "numbers = [1]\ndef f(): return numbers",
            "import functools\nf = functools.partial(int, base=2)",
            "class M:\n  def get(self): pass\nf = M().get",
            "class M:\n  def __call__(self): pass\nf = M()",
            "class f: pass",
        ],
    )
    def test_in_doubt_not(
        self, script: Script, cache: FunctionCache, made: list[object], source: str
    ) -> None:
        """What may change unseen is serialized each time, and keeps its digest."""
        f = script(source)["f"]
        assert cache.encode(f)[0] == cache.encode(f)[0]
        assert len(made) == 2
        assert len(cache) == 0


class TestEveryCallable:
    """Whatever can be called can be sent."""

    @pytest.mark.parametrize(
        ("f", "args", "result"),
        [
            (len, ("abc",), 3),
            (str.upper, ("abc",), "ABC"),
            ("abc".count, ("b",), 1),
            ([3, 4].index, (4,), 1),
            (dict.fromkeys, ("a",), {"a": None}),
            (functools.partial(int, base=2), ("101",), 5),
            (Fraction(1, 2).limit_denominator, (10,), Fraction(1, 2)),
            (lambda x: x + 1, (1,), 2),
            (complex, (1, 2), 1 + 2j),
            (np.add, (1, 2), 3),
            (np.sum, ([1, 2],), 3),
            (np.ones(3).sum, (), 3.0),
            (functools.lru_cache(lambda x: x + 1), (1,), 2),
        ],
    )
    def test_callable(
        self, cache: FunctionCache, f: Callable[..., Any], args: tuple[object, ...], result: object
    ) -> None:
        """Builtins, methods, partials, classes, ufuncs …"""
        assert call(cache, f, *args) == result
        assert call(cache, f, *args) == result

    def test_generator_and_coroutine_functions(self, script: Script, cache: FunctionCache) -> None:
        """Functions of other kinds are functions."""
        names = script("def g(n):\n  yield from range(n)\nasync def c(): return 5")
        assert list(call(cache, names["g"], 3)) == [0, 1, 2]
        with pytest.raises(StopIteration, match="5"):
            call(cache, names["c"]).send(None)


class TestRefused:
    """A function that cannot be pickled."""

    @pytest.mark.parametrize(
        ("source", "part"),
        [
            ("import threading\nlock = threading.Lock()\ndef f(): lock", "global 'lock'"),
            (
                "def make():\n  stream = (x for x in 'a')\n  def f(): return stream\n  return f\n"
                "f = make()",
                "variable 'stream' of an outer function",
            ),
            ("def f(x=(x for x in 'a')): pass", "default[0]"),
        ],
    )
    def test_names_the_part(
        self, script: Script, cache: FunctionCache, source: str, part: str
    ) -> None:
        """The error says which function, which of its parts, and what to do."""
        f = script(source)["f"]
        with pytest.raises(SerializationError, match="cannot be pickled, because of") as error:
            cache.encode(f)
        assert f"the function {f.__qualname__}" in str(error.value)
        assert part in str(error.value)
        assert "inside the function" in str(error.value)
        assert len(cache) == 0


class TestBounded:
    """A cache does not grow, and keeps nothing alive for ever."""

    def test_by_number(self, script: Script) -> None:
        """Of many functions the last ones are kept."""
        cache = FunctionCache(max_entries=3)
        made = [script(f"def f(): return {i}")["f"] for i in range(10)]
        for f in made:
            cache.encode(f)
        assert len(cache) == 3
        assert [call(cache, f) for f in made] == list(range(10))

    def test_by_bytes(self, script: Script) -> None:
        """Large functions leave sooner."""
        cache = FunctionCache(max_bytes=100_000)
        for i in range(10):
            cache.encode(script(f"text = '{i}' * 40_000\ndef f(): return text")["f"])
        assert len(cache) == 2

    def test_too_large_for_any_cache(self, script: Script) -> None:
        """One above the limit is not kept, and works."""
        cache = FunctionCache(max_bytes=1000)
        f = script("text = 'x' * 40_000\ndef f(): return text")["f"]
        assert len(call(cache, f)) == 40_000
        assert len(cache) == 0

    def test_functions_are_let_go(self, script: Script) -> None:
        """A function that left the cache can be collected, with its globals."""
        cache = FunctionCache(max_entries=1)
        names = script("def f(): return f")
        gone = weakref.ref(names["f"])
        cache.encode(names["f"])
        del names
        cache.encode(len)
        gc.collect()
        assert gone() is None

    def test_in_doubt_nothing_is_kept(self, script: Script) -> None:
        """A closure over data is not kept alive by having been sent."""
        cache = FunctionCache()
        f = script("def make():\n  data = [0] * 10\n  return lambda: data\nf = make()")["f"]
        gone = weakref.ref(f)
        cache.encode(f)
        del f
        gc.collect()
        assert gone() is None
