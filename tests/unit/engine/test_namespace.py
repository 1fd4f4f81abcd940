"""How functions that came from a client see the engine's namespace."""

from __future__ import annotations

import functools
import pickle
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import cloudpickle
import pytest

from ctrlhub.engine.namespace import Namespace

CLIENT = """
import functools
import math

k = 1
count = 10

def shout(text): return text.upper() + "!"
def captures(): return k
def uses_pushed(): return data * 2
def uses_both(): return [k * data + len(text) for text in ["a"]]
def nested(): return (lambda: data + k)()
def with_helper(): return helper() + k
def helper(): return data
def even(n): return True if n == 0 else odd(n - 1)
def odd(n): return False if n == 0 else even(n - 1)
def assigns():
    global made
    made = 7
def assigns_and_captures():
    global made
    made = math.sqrt(4)
def counts():
    global count
    count += k
    return count
def assigns_in_helper(): set_made(); return k
def set_made():
    global made
    made = k
def fails():
    global made
    made = k
    raise ValueError
def decorate(f):
    @functools.wraps(f)
    def wrapper(*args): return f(*args)
    return wrapper
@decorate
def decorated(): return data + k
def evaluates(): return eval("data")
def optional(a, b=2, *, c=3):
    "documented"
    return a, b, c
"""


class Client:
    """A client's ``__main__``, and the engine's namespace at the other end."""

    def __init__(self) -> None:
        self.main = ModuleType("__main__")
        self.engine = Namespace()
        exec(CLIENT, vars(self.main))

    def send(self, name: str) -> Any:
        """Send a function of the client's by name, and have the engine adopt it."""
        return self.sent(getattr(self.main, name))

    def sent(self, function: Any) -> Any:
        """Send a function by value, and have the engine adopt it."""
        sys.modules["__main__"] = self.main
        blob = cloudpickle.dumps(function)
        self.engine.install()
        return self.engine.adopt(pickle.loads(blob))


@pytest.fixture
def client() -> Iterator[Client]:
    """A client and an engine; afterwards the real ``__main__`` is back."""
    real = sys.modules["__main__"]
    yield Client()
    sys.modules["__main__"] = real


def test_a_function_that_needs_nothing_runs(client: Client) -> None:
    """Builtins and arguments are enough."""
    assert client.send("shout")("hey") == "HEY!"


def test_names_the_client_did_not_have_are_looked_up_in_the_namespace(client: Client) -> None:
    """A pushed name is visible in the function, as it is at the time of the call."""
    function = client.send("uses_pushed")

    client.engine.names["data"] = 5
    first = function()
    client.engine.names["data"] = 6

    assert (first, function()) == (10, 12)


def test_a_name_that_is_nowhere_is_a_name_error(client: Client) -> None:
    """The error is Python's own, whether or not something was captured."""
    with pytest.raises(NameError, match="'data' is not defined"):
        client.send("uses_pushed")()
    with pytest.raises(NameError, match="'data' is not defined"):
        client.send("uses_both")()


def test_each_version_of_a_function_has_its_own_captured_globals(client: Client) -> None:
    """A function sent with k = 1 and again with k = 2 is two functions."""
    first = client.send("captures")
    client.main.k = 2  # type: ignore[attr-defined]
    second = client.send("captures")
    client.engine.names["k"] = 100

    assert (first(), second(), first()) == (1, 2, 1)


@pytest.mark.parametrize(
    ("name", "expected"), [("uses_both", [6]), ("nested", 6), ("with_helper", 6), ("decorated", 6)]
)
def test_captured_and_pushed_names_mix(client: Client, name: str, expected: object) -> None:
    """In inner functions, helpers and wrapped functions alike."""
    client.engine.names["data"] = 5

    assert client.send(name)() == expected


def test_functions_that_call_each_other_are_adopted_together(client: Client) -> None:
    """A circle of functions is no endless loop."""
    assert client.send("even")(10) is True


def test_what_is_declared_global_and_assigned_persists(client: Client) -> None:
    """With or without captured names, directly or in a helper, also when the function raises."""
    for name, expected in (
        ("assigns", 7),
        ("assigns_and_captures", 2.0),
        ("assigns_in_helper", 1),
    ):
        client.engine.names.pop("made", None)
        client.send(name)()
        assert client.engine.names["made"] == expected
    client.engine.names.pop("made")
    with pytest.raises(ValueError):  # noqa: PT011 - it has no text
        client.send("fails")()
    assert client.engine.names["made"] == 1


def test_a_global_that_is_assigned_begins_with_the_captured_value(client: Client) -> None:
    """And is from then on a variable of the namespace, which all functions share."""
    first = client.send("counts")
    results = [first(), first(), client.send("counts")()]

    assert results == [11, 12, 13]
    assert client.engine.names["count"] == 13


def test_eval_sees_the_namespace(client: Client) -> None:
    """A function that captured nothing runs in the namespace itself."""
    client.engine.names["data"] = 5

    assert client.send("evaluates")() == 5


def test_an_adopted_function_keeps_its_signature(client: Client) -> None:
    """Defaults, keyword defaults, name and docstring."""
    function = client.send("optional")

    assert function(1) == (1, 2, 3)
    assert (function.__name__, function.__doc__) == ("optional", "documented")


def test_a_partial_is_adopted_with_its_function(client: Client) -> None:
    """Its arguments stay."""
    client.engine.names["data"] = 5
    sys.modules["__main__"] = client.main
    blob = cloudpickle.dumps(functools.partial(client.main.optional, 9, c=1))
    client.engine.install()

    assert client.engine.adopt(pickle.loads(blob))() == (9, 2, 1)


def test_what_is_imported_by_name_stays_what_it_is() -> None:
    """Functions of modules, builtins and classes are not touched."""
    import textwrap

    namespace = Namespace()

    assert namespace.adopt(textwrap.dedent) is textwrap.dedent
    assert namespace.adopt(len) is len
    assert namespace.adopt(dict) is dict


@pytest.mark.parametrize("wrapped", [lambda f: f, functools.partial])
def test_a_function_inside_another_module_s_is_adopted(
    client: Client, wrapped: Callable[[Any], Any]
) -> None:
    """A wrapper of another module, as `map` makes one for blocks, does not hide the namespace."""
    function = wrapped(client.main.uses_pushed)

    def wrapper() -> Any:
        return function()

    client.engine.names["data"] = 5

    assert client.sent(wrapper)() == 10


def test_lambdas_of_any_module_see_the_namespace(client: Client) -> None:
    """As those of ``__main__`` do: the engine has no other place for their names."""
    client.engine.names["data"] = 5

    assert client.sent(lambda: data)() == 5  # type: ignore[name-defined]  # noqa: F821


def test_what_was_defined_in_the_namespace_stays_what_it_is(client: Client) -> None:
    """The engine's own functions are found by name, and run where they were defined."""
    client.engine.install()
    exec("def f(): return data", client.engine.names)

    assert client.engine.adopt(client.engine.names["f"]) is client.engine.names["f"]


def test_clear_forgets_everything() -> None:
    """What is left is what was there at first."""
    namespace = Namespace()
    before = dict(namespace.names)
    namespace.names["x"] = 1
    del namespace.names["__doc__"]

    namespace.clear()

    assert namespace.names == before
