"""Functions by hash, at the client: a change is always seen."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable
from typing import Any

import cloudpickle
import pytest

from ctrlhub.wire import functions
from ctrlhub.wire.functions import DIGEST_BYTES, FunctionCache, digest_of
from ctrlhub.wire.serialize import loads

Script = Callable[[str], dict[str, Any]]


def call(cache: FunctionCache, f: Callable[..., Any], *args: object) -> Any:
    """Call what would arrive at an engine if the function were sent now."""
    digest, blob = cache.encode(f)
    assert digest == digest_of(blob)
    assert len(digest) == DIGEST_BYTES
    return loads(blob)(*args)


# Each case is a script that defines f and change(); f() must be different after change().
CHANGES = {
    "global number": """
k = 1
def f(): return k
def change():
    global k
    k = 2
""",
    "global appears": """
def f():
    try: return later
    except NameError: return None
def change():
    global later
    later = 1
""",
    "global disappears": """
k = 1
def f():
    try: return k
    except NameError: return None
def change():
    global k
    del k
""",
    "builtin is hidden": """
def f(): return max(1, 2)
def change():
    global max
    max = min
""",
    "list": """
numbers = [1]
def f(): return list(numbers)
def change(): numbers.append(2)
""",
    "dict in a tuple": """
held = (1, ({"a": 1},))
def f(): return held[1][0]["a"]
def change(): held[1][0]["a"] = 2
""",
    "attribute of an instance": """
class Settings: pass
settings = Settings()
settings.k = 1
def f(): return settings.k
def change(): settings.k = 2
""",
    "attribute of a class": """
class Settings: k = 1
def f(): return Settings.k
def change(): Settings.k = 2
""",
    "method of a class": """
class Model:
    def predict(self): return 1
def f(): return Model().predict()
def change(): Model.predict = lambda self: 2
""",
    "function that f calls": """
def helper(): return 1
def f(): return helper()
def change():
    global helper
    def helper(): return 2
""",
    "global of a function that f calls": """
k = 1
def inner(): return k
def helper(): return inner()
def f(): return helper()
def change():
    global k
    k = 2
""",
    "global of a function inside": """
k = 1
def f(): return (lambda: [k for _ in "a"])()
def change():
    global k
    k = 2
""",
    "code": """
def f(): return 1
def change(): f.__code__ = (lambda: 2).__code__
""",
    "code of a function that f calls": """
def helper(): return 1
def f(): return helper()
def change(): helper.__code__ = (lambda: 2).__code__
""",
    "default, mutated": """
def f(x=[1]): return list(x)
def change(): f.__defaults__[0].append(2)
""",
    "default, replaced": """
def f(x=1): return x
def change(): f.__defaults__ = (2,)
""",
    "default of a function that f calls": """
def helper(x=1): return x
def f(): return helper()
def change(): helper.__defaults__ = (2,)
""",
    "keyword default, replaced": """
def f(*, x=1): return x
def change(): f.__kwdefaults__ = {"x": 2}
""",
    "keyword default, mutated": """
def f(*, x=1): return x
def change(): f.__kwdefaults__["x"] = 2
""",
    "keyword default of a function that f calls": """
def helper(*, x=1): return x
def f(): return helper()
def change(): helper.__kwdefaults__["x"] = 2
""",
    "cell": """
def outer():
    k = 1
    def f(): return k
    def change():
        nonlocal k
        k = 2
    return f, change
f, change = outer()
""",
    "cell, mutated": """
def outer():
    k = [1]
    return (lambda: list(k)), (lambda: k.append(2))
f, change = outer()
""",
    "cell, assigned late": """
def outer():
    def f():
        try: return k
        except NameError: return None
    def change():
        nonlocal k
        k = 1
    if not f: k = 0
    return f, change
f, change = outer()
""",
    "cell of a function that f calls": """
def outer():
    k = 1
    def helper(): return k
    def change():
        nonlocal k
        k = 2
    return helper, change
helper, change = outer()
def f(): return helper()
""",
    "attribute of f": """
def f(): return f.k
f.k = 1
def change(): f.k = 2
""",
    "attribute of f, mutated": """
def f(): return list(f.k)
f.k = [1]
def change(): f.k.append(2)
""",
    "attribute of f, new": """
def f(): return hasattr(f, "k")
def change(): f.k = 1
""",
    "attribute of a function that f calls": """
def helper(): return 1
helper.k = 1
def f(): return helper.k
def change(): helper.k = 2
""",
    "decorated": """
import functools
def twice(g):
    @functools.wraps(g)
    def wrapper(): return 2 * g()
    return wrapper
k = 1
@twice
def f(): return k
def change():
    global k
    k = 2
""",
    "partial": """
import functools
held = [1]
f = functools.partial(list, held)
def change(): held.append(2)
""",
    "bound method": """
class Model:
    def __init__(self): self.k = 1
    def get(self): return self.k
model = Model()
f = model.get
def change(): model.k = 2
""",
    "instance": """
class Model:
    k = 1
    def __call__(self): return self.k
f = Model()
def change(): f.k = 2
""",
    "class": """
class f:
    k = 1
    def __eq__(self, other): return self.k == other.k
    __hash__ = None
def change(): f.k = 2
""",
    "name": """
def f(): return f.__name__
def change(): f.__name__ = "g"
""",
    "qualified name": """
def f(): return f.__qualname__
def change(): f.__qualname__ = "g"
""",
    "module it says it is of": """
def f(): return f.__module__
def change(): f.__module__ = "other"
""",
    "attribute of f, renamed": """
def f(): return sorted(f.__dict__)
f.k = 1
def change():
    del f.k
    f.m = 1
""",
    "annotation": """
def f(x: int = 1): return f.__annotations__["x"] is int
def change(): f.__annotations__["x"] = str
""",
    "documentation": """
def f(): "Old."; return f.__doc__
def change(): f.__doc__ = "New."
""",
    "module": """
import math as m
def f(): return m.__name__
def change():
    global m
    import cmath as m
""",
}


class TestNeverStale:
    """A change is seen by the next call, whatever it was."""

    @pytest.mark.parametrize("name", CHANGES)
    def test_change_is_seen(self, script: Script, cache: FunctionCache, name: str) -> None:
        """``k = 1; map(f); k = 2; map(f)`` sees both values, wherever k is."""
        names = script(CHANGES[name])

        def now() -> Any:
            value = call(cache, names["f"])
            return vars(type(value))["k"] if name == "class" else value

        before = now()
        assert now() == before
        names["change"]()
        assert now() != before, "the form from before the change was used again"
        assert now() == now()

    def test_back_again(self, script: Script, cache: FunctionCache) -> None:
        """A value that returns is seen as well, and has the digest it had."""
        names = script("k = 1\ndef f(): return k")
        first = cache.encode(names["f"])
        names["k"] = 2
        second = cache.encode(names["f"])
        names["k"] = 1
        assert cache.encode(names["f"]) == first != second

    def test_equal_is_not_the_same(self, script: Script, cache: FunctionCache) -> None:
        """``1 == True``, and yet the function must see which."""
        names = script("k = 1\ndef f(): return k")
        assert call(cache, names["f"]) is not True
        names["k"] = True
        assert call(cache, names["f"]) is True

    def test_two_functions_of_one_code(self, script: Script, cache: FunctionCache) -> None:
        """Closures of one factory are told apart by what they hold."""
        make = script("def make(k):\n  return lambda: k")["make"]
        first, second = make(1), make(2)
        assert [call(cache, f) for f in (first, second, first)] == [1, 2, 1]

    def test_two_namespaces_of_one_code(self, script: Script, cache: FunctionCache) -> None:
        """The same code in two modules is two functions."""
        first = script("k = 1\ndef f(): return k")
        second = {"__name__": "__main__", "k": 2}
        other = types.FunctionType(first["f"].__code__, second, "f")
        assert [call(cache, f) for f in (first["f"], other, first["f"])] == [1, 2, 1]

    def test_function_replaced_in_its_module(
        self, monkeypatch: pytest.MonkeyPatch, cache: FunctionCache
    ) -> None:
        """What was importable when it was first used, and is no more, goes by value."""
        module = types.ModuleType("some_module")
        exec("def f(): return 1", vars(module))
        module.f.__module__ = "some_module"
        monkeypatch.setitem(sys.modules, "some_module", module)
        f = module.f
        _, by_name = cache.encode(f)
        module.f = lambda: 2
        _, by_value = cache.encode(f)
        assert len(by_name) < 60 < len(by_value)

    def test_module_registered_in_between(self, cache: FunctionCache) -> None:
        """So does one whose module is registered with cloudpickle later."""
        _, by_name = cache.encode(json.dumps)
        cloudpickle.register_pickle_by_value(json)
        try:
            _, by_value = cache.encode(json.dumps)
            assert by_value != by_name
        finally:
            cloudpickle.unregister_pickle_by_value(json)
        assert cache.encode(json.dumps)[1] == by_name

    def test_helper_replaced_in_its_module(
        self, script: Script, monkeypatch: pytest.MonkeyPatch, cache: FunctionCache
    ) -> None:
        """A function imported by the script is by value once its module has another."""
        names = script("from shlex import quote\ndef f(x): return quote(x)")
        _, before = cache.encode(names["f"])
        monkeypatch.setattr("shlex.quote", lambda _: None)
        _, after = cache.encode(names["f"])
        assert len(after) > len(before)

    def test_module_in_use_registered_in_between(
        self, script: Script, monkeypatch: pytest.MonkeyPatch, cache: FunctionCache
    ) -> None:
        """A module that the function uses goes by value once it is registered."""
        module = types.ModuleType("some_module")
        monkeypatch.setitem(sys.modules, "some_module", module)
        monkeypatch.setattr(module, "k", "content of the module", raising=False)
        f = script("import some_module\ndef f(): return some_module.k")["f"]
        assert b"content" not in cache.encode(f)[1]
        cloudpickle.register_pickle_by_value(module)
        try:
            assert b"content" in cache.encode(f)[1]
        finally:
            cloudpickle.unregister_pickle_by_value(module)
        assert b"content" not in cache.encode(f)[1]

    def test_submodule_imported_in_between(
        self, script: Script, monkeypatch: pytest.MonkeyPatch, cache: FunctionCache
    ) -> None:
        """A submodule that the function reaches through its package must come along."""
        package = types.ModuleType("some_package")
        package.__path__ = []
        package.__package__ = "some_package"
        monkeypatch.setitem(sys.modules, "some_package", package)
        f = script("import some_package\ndef f(): return some_package.part.k")["f"]
        assert b"some_package.part" not in cache.encode(f)[1]
        part = types.ModuleType("some_package.part")
        monkeypatch.setitem(sys.modules, "some_package.part", part)
        monkeypatch.setattr(package, "part", part, raising=False)
        assert b"some_package.part" in cache.encode(f)[1]

    def test_change_during_serialization(
        self, script: Script, monkeypatch: pytest.MonkeyPatch, cache: FunctionCache
    ) -> None:
        """A form made while another thread changed something is not kept."""
        names = script("k = 1\ndef f(): return k")
        real = functions.encode

        def racing(f: Callable[..., Any]) -> tuple[bytes, bytes]:
            names["k"] = 2
            return real(f)

        with monkeypatch.context() as patch:
            patch.setattr(functions, "encode", racing)
            assert call(cache, names["f"]) == 2
        names["k"] = 1
        assert call(cache, names["f"]) == 1
