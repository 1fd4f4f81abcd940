"""References: names that have their value where they arrive."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Iterator
from contextvars import Context
from typing import Any

import pytest

from ctrlhub.wire.references import Reference, arrive_in, arrived_in, resolved
from ctrlhub.wire.serialize import dumps, loads


class Home:
    """A namespace."""

    def __init__(self, **names: Any) -> None:
        self.names = names

    def adopt(self, call: Any) -> Any:
        """Return it as it is."""
        return call


@pytest.fixture
def home() -> Iterator[Home]:
    """The namespace in which this thread resolves references."""
    home = Home(x=[1, 2], y=3)
    arrive_in(home)
    yield home
    arrive_in(None)


def sent(value: Any) -> Any:
    """Return what arrives."""
    return loads(dumps(value))


def test_at_a_client_a_reference_stays_one() -> None:
    """There is no namespace."""
    elsewhere = Context()  # in this thread an engine may have been
    assert elsewhere.run(arrived_in) is None
    assert elsewhere.run(sent, [Reference("x")]) == [Reference("x")]


@pytest.mark.usefixtures("home")
def test_on_an_engine_it_is_its_value() -> None:
    """Wherever it stands, by name or as an expression; and the engine can tell that it was one."""
    before = resolved()
    assert sent(Reference("x")) == [1, 2]
    assert sent({"a": (Reference("x[0] + y"),)}) == {"a": (4,)}
    assert resolved() == before + 2


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("name", "error"), [("nowhere", NameError), ("y / 0", ZeroDivisionError), ("1 +", SyntaxError)]
)
def test_what_it_raises_is_raised(name: str, error: type[Exception]) -> None:
    """As itself, not as an error of pickling."""
    with pytest.raises(error):
        sent([Reference(name)])


@pytest.mark.usefixtures("home")
def test_each_thread_has_a_namespace_of_its_own() -> None:
    """One that never said where it is has none."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(sent(Reference("x"))))
    thread.start()
    thread.join()
    assert found == [Reference("x")]


def test_what_a_reference_is() -> None:
    """A value: equal, hashable, copied as itself, named by what it says; not to be called here."""
    reference = Reference("x + 1")
    assert {reference} == {Reference("x + 1")} != {Reference("x")}
    assert copy.copy(reference) is copy.deepcopy(reference) is reference
    assert pickle.loads(pickle.dumps(reference)) == reference
    assert repr(reference) == "Reference('x + 1')"
    assert reference.__name__ == "x + 1"
    with pytest.raises(TypeError, match="on engines only"):
        reference()
    with pytest.raises(TypeError, match="not int"):
        Reference(1)  # type: ignore[arg-type]
