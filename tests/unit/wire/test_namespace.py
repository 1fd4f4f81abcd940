"""Functions sent by value, in the namespace of an engine."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import pytest

from ctrlhub.wire.functions import encode
from ctrlhub.wire.namespace import in_namespace
from ctrlhub.wire.serialize import loads

Script = Callable[[str], dict[str, Any]]


def sent(f: Callable[..., Any], namespace: dict[str, Any]) -> Callable[..., Any]:
    """Give a function as it is at an engine with a namespace."""
    return in_namespace(loads(encode(f)[1]), namespace)


# Every script defines f, which does not bring along "a".
USES_A = {
    "itself": "def f(): return a",
    "function inside": "def f(): return (lambda: [a for _ in 'x'][0])()",
    "function it calls": "def helper(): return a\ndef f(): return helper()",
    "partial": "import functools\nf = functools.partial(lambda x: a, 1)",
    "closure": "def make(g):\n  return lambda: g()\nf = make(lambda: a)",
    "default": "def f(g=lambda: a): return g()",
    "decorated": "import functools\ndef d(g):\n  @functools.wraps(g)\n  def w(): return g()\n"
    "  return w\n@d\ndef f(): return a",
    "cached": "import functools\n@functools.lru_cache(maxsize=0)\ndef f(): return a",
    "method": "class M:\n  def get(self): return a\nf = M().get",
    "instance": "class M:\n  def __call__(self): return a\nf = M()",
    "property": "class M:\n  @property\n  def get(self): return a\ndef f(): return M().get",
    "static": "class M:\n  @staticmethod\n  def get(): return a\ndef f(): return M.get()",
    "inherited": "class B:\n  def get(self): return a\nclass M(B): pass\ndef f(): return M().get()",
    "in a list": "gs = [lambda: a]\ndef f(): return gs[0]()",
    "in a dict": "gs = {'g': lambda: a}\ndef f(): return gs['g']()",
    "in an instance": "class M: pass\nm = M()\nm.g = lambda: a\ndef f(): return m.g()",
    "recursion": "def f(n=2): return f(n - 1) if n else a",
}


@pytest.mark.parametrize("name", USES_A)
def test_finds_what_it_did_not_bring(script: Script, name: str) -> None:
    """Names that were pushed are found at each call, wherever in the function they are used."""
    namespace: dict[str, Any] = {"a": 1}
    f = sent(script(USES_A[name])["f"], namespace)
    assert f() == 1
    namespace["a"] = 2
    assert f() == 2
    del namespace["a"]
    with pytest.raises(NameError, match="'a' is not defined"):
        f()


def test_keeps_what_it_brought(script: Script) -> None:
    """The client's own value wins, and the engine's is left alone."""
    namespace: dict[str, Any] = {"k": "engine"}
    names = script("k = 'client'\ndef f(): return k")
    assert sent(names["f"], namespace)() == "client"
    assert namespace == {"k": "engine"}


def test_namespace_hides_builtins(script: Script) -> None:
    """As in any Python program a global wins over a builtin of its name."""
    namespace: dict[str, Any] = {}
    f = sent(script("def f(): return len('abc')")["f"], namespace)
    assert f() == 3
    namespace["len"] = lambda _: "hidden"
    assert f() == "hidden"
    del namespace["len"]
    assert f() == 3


def test_global_statement_writes_there(script: Script) -> None:
    """``global model`` in one function is found by the next, and by the user."""
    namespace: dict[str, Any] = {}
    names = script(
        """
def load(value):
    global model
    model = value
def use(): return model
def count():
    global model
    model += 1
def drop():
    global model
    del model
"""
    )
    sent(names["load"], namespace)(1)
    assert namespace == {"model": 1}
    sent(names["count"], namespace)()
    assert sent(names["use"], namespace)() == 2
    sent(names["drop"], namespace)()
    assert namespace == {}


def test_written_before_an_exception(script: Script) -> None:
    """What was assigned before the function failed is kept, as in any Python program."""
    namespace: dict[str, Any] = {}
    f = sent(script("def f():\n  global done\n  done = 1\n  1 / 0")["f"], namespace)
    with pytest.raises(ZeroDivisionError):
        f()
    assert namespace == {"done": 1}


def test_reading_alone_writes_nothing(script: Script) -> None:
    """A function that only reads cannot change the namespace."""
    namespace: dict[str, Any] = {"a": 1}
    sent(script("def f(): return a")["f"], namespace)()
    assert namespace == {"a": 1}


@pytest.mark.parametrize("f", [json.loads, len, int, functools.partial(int, base=2)])
def test_imported_functions_are_themselves(f: Callable[..., Any]) -> None:
    """What the engine imports has a module of its own: it is not touched."""
    loaded = loads(encode(f)[1])
    assert in_namespace(loaded, {"JSONDecoder": None, "a": 1}) is loaded


def test_without_names_it_is_itself(script: Script) -> None:
    """A function that needs nothing is called without a detour."""
    loaded = loads(encode(script("k = 1\ndef f(x): return x + k")["f"])[1])
    assert in_namespace(loaded, {}) is loaded


def test_looks_like_the_function(script: Script) -> None:
    """Name and documentation can be asked for."""
    f = sent(script("def f(): 'What it does.'; return a")["f"], {"a": 1})
    assert (f.__name__, f.__doc__) == ("f", "What it does.")


def test_cycles_end(script: Script) -> None:
    """Functions and data that refer to each other are looked at once."""
    source = (
        "ring = []\nring.append(ring)\ndef g(): return f\ndef f(): return (a, len(ring), g)[:2]"
    )
    assert sent(script(source)["f"], {"a": 1})() == (1, 1)
