"""What goes wrong in user code, or on the way to it: each a named error, and nothing else is lost."""

from __future__ import annotations

import pickle
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from ctrlhub import Client, CompositeError, RemoteError, SerializationError
from tests.contract.conftest import ENGINES

WAIT = 60.0


@pytest.fixture(params=["one engine", "several", "task"])
def call(client: Client, request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Ways to call a function, which end with its own exception; all is well afterwards."""
    views = {"one engine": client[0], "several": client[[1]], "task": client.load_balanced_view()}
    yield views[request.param].apply_sync
    assert client[:].apply_sync(int, "7") == [7] * ENGINES
    assert client.load_balanced_view().map_sync(int, "123") == [1, 2, 3]


class Unpicklable:
    """It says so."""

    def __reduce__(self) -> str:
        raise TypeError("not this one")


def test_the_original_comes_back(call: Callable[..., Any]) -> None:
    """As its own class, so that ``except`` works, and as a RemoteError with the remote story."""

    def inner(text: str) -> int:
        return int(text)

    with pytest.raises(ValueError, match=r"invalid literal.*'seven'") as caught:
        call(inner, "seven")

    error = caught.value
    assert isinstance(error, RemoteError)
    assert error.ename == "ValueError"
    assert "in inner" in error.traceback
    assert error.engine_id in range(ENGINES)
    assert "in inner" in "".join(traceback.format_exception(error))


def test_attributes_of_an_exception_come_along(call: Callable[..., Any]) -> None:
    """Also of one with a constructor of its own."""

    class Own(Exception):
        def __init__(self, number: int) -> None:
            super().__init__(number)
            self.number = number

    def fail() -> None:
        raise Own(7)

    with pytest.raises(RemoteError) as caught:
        call(fail)
    assert (caught.value.ename, caught.value.number) == ("Own", 7)  # type: ignore[attr-defined]

    with pytest.raises(FileNotFoundError) as missing:
        call(open, "/nowhere/at/all")
    assert (missing.value.errno, missing.value.filename) == (2, "/nowhere/at/all")


def test_an_exception_that_cannot_be_pickled(call: Callable[..., Any]) -> None:
    """It is of its type all the same; what could not be sent of it has a stand-in with its text."""

    def fail() -> None:
        raise ValueError(threading.Lock())

    with pytest.raises(ValueError, match=r"lock object") as caught:
        call(fail)
    assert isinstance(caught.value, RemoteError)
    assert "in fail" in caught.value.traceback


def test_an_exception_that_pickle_cannot_rebuild(call: Callable[..., Any]) -> None:
    """Its constructor takes other arguments: it is rebuilt without it."""

    class Unfit(Exception):
        def __init__(self, a: int, b: int) -> None:
            super().__init__(f"{a} and {b}")
            self.b = b

    def fail() -> None:
        raise Unfit(1, 2)

    def refuse() -> None:
        raise HTTPError("http://here", 404, "not found", Message(), None)

    with pytest.raises(RemoteError, match=r"^1 and 2$") as caught:
        call(fail)
    assert (caught.value.ename, caught.value.b) == ("Unfit", 2)  # type: ignore[attr-defined]
    with pytest.raises(HTTPError, match="404: not found") as http:
        call(refuse)
    assert http.value.code == 404


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration])
def test_what_would_end_the_client(call: Callable[..., Any], kind: type[BaseException]) -> None:
    """`sys.exit` in a task ends neither engine nor client."""

    def leave() -> None:
        raise kind("from the engine")

    with pytest.raises(RemoteError) as caught:
        call(leave)

    assert caught.value.ename == kind.__name__
    assert not isinstance(caught.value, kind)


def test_a_syntax_error(client: Client) -> None:
    """In code to be executed, with the place."""
    with pytest.raises(SyntaxError):
        client[0].execute("1 +", block=True)
    with pytest.raises(CompositeError, match="SyntaxError"):
        client[:].execute("1 +", block=True)


def test_execution_fails_in_its_line(client: Client) -> None:
    """The traceback shows the code."""
    with pytest.raises(ZeroDivisionError) as caught:
        client[0].execute("x = 1\ny = x / 0", block=True)

    assert isinstance(caught.value, RemoteError)
    assert "y = x / 0" in caught.value.traceback
    assert client[0]["x"] == 1


def test_a_module_that_is_missing(call: Callable[..., Any]) -> None:
    """An import in user code fails as it does anywhere."""

    def needs() -> None:
        import no_such_module_anywhere  # type: ignore[import-not-found]  # noqa: F401

    with pytest.raises(ModuleNotFoundError) as caught:
        call(needs)
    assert caught.value.name == "no_such_module_anywhere"


@pytest.mark.usefixtures("needs_processes")
def test_a_function_of_a_module_the_engine_lacks(
    call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says which module, where, and two ways out; so does that of an argument."""
    (tmp_path / "only_here.py").write_text("class Thing: pass\ndef f(): return Thing()\n")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here  # type: ignore[import-not-found]

    try:
        for sent in ((only_here.f,), (id, only_here.Thing())):
            with pytest.raises(ModuleNotFoundError, match=r"only_here.*on the engine") as caught:
                call(*sent)
            assert "install it there" in str(caught.value)
            assert "register_pickle_by_value(only_here)" in str(caught.value)
    finally:
        del sys.modules["only_here"]


@pytest.mark.usefixtures("needs_processes")
def test_a_result_of_a_class_the_client_lacks(client: Client, tmp_path: Path) -> None:
    """The error is the client's, which can mend it and ask again."""
    (tmp_path / "only_there.py").write_text("class Thing:\n    size = 3\n")
    client[0].execute(f"import sys; sys.path.insert(0, {str(tmp_path)!r})", block=True)
    client[0].execute("import only_there; thing = only_there.Thing()", block=True)
    result = client[0].pull("thing")
    with pytest.raises(ModuleNotFoundError, match=r"only_there.*here"):
        result.get(WAIT)

    sys.path.insert(0, str(tmp_path))
    try:
        assert result.get(WAIT).size == 3
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("only_there", None)
        client[0].execute("sys.path.pop(0)", block=True)


# ---------------------------------------------------------------- what cannot be pickled


def test_a_function_that_cannot_be_pickled(client: Client) -> None:
    """It fails here, before anything is sent, and names the part."""
    lock = threading.Lock()
    for view in (client[0], client[:], client.load_balanced_view()):
        for send in (view.apply_async, lambda f, view=view: view.map_async(f, [1])):
            with pytest.raises(SerializationError, match=r"cannot be pickled.*lock.*on the engine"):
                send(lambda *_: lock)


def test_an_argument_that_cannot_be_pickled(client: Client) -> None:
    """The message says which."""
    for view in (client[0], client[:], client.load_balanced_view()):
        with pytest.raises(SerializationError, match=r"argument 1 .*cannot be pickled"):
            view.apply_async(max, 1, threading.Lock())
        with pytest.raises(SerializationError, match=r"'key'.* cannot be pickled"):
            view.apply_async(max, [1], key=threading.Lock())
        with pytest.raises(SerializationError, match="cannot be pickled"):
            view.map_async(id, [1, threading.Lock()])
    with pytest.raises(SerializationError, match=r"cannot be pickled.*'x'"):
        client[:].push({"y": 1, "x": threading.Lock()})
    with pytest.raises(SerializationError, match="cannot be pickled"):
        client[:].scatter("x", [1, Unpicklable()])


def test_a_result_that_cannot_be_pickled(call: Callable[..., Any]) -> None:
    """It fails there, and says that it was the result."""
    with pytest.raises(SerializationError, match=r"the result .*cannot be pickled.*lock"):
        call(lambda: [1, threading.Lock()])


def test_a_value_that_cannot_be_pulled(client: Client) -> None:
    """It fails there; the others can be had."""
    client[0].execute("import threading; lock = threading.Lock(); x = 1", block=True)

    with pytest.raises(SerializationError, match=r"'lock'.*cannot be pickled"):
        client[0].pull("lock", block=True)
    assert client[0]["x"] == 1


def test_one_that_cannot_be_pickled_takes_no_other_along(client: Client) -> None:
    """Tasks of the same map end well."""
    values = client.load_balanced_view().map_sync(
        lambda n: threading.Lock() if n == 3 else n, range(6), return_exceptions=True
    )

    assert [v for v in values if not isinstance(v, Exception)] == [0, 1, 2, 4, 5]
    assert isinstance(values[3], SerializationError)


# ---------------------------------------------------------------- several engines


def test_all_targets_answer_before_any_error_is_raised(client: Client, work: Any) -> None:
    """Errors are collected; what others computed is done."""
    client[:].scatter("me", range(ENGINES), flatten=True, block=True)
    held = work.held()

    def fail() -> None:
        if me == 2:  # type: ignore[name-defined]  # noqa: F821
            held()
        globals()["seen"] = True
        raise ValueError(me)  # type: ignore[name-defined]  # noqa: F821

    result = client[:].apply_async(fail)
    work.begun("held")
    assert not result.wait(0.02)
    work.release()
    with pytest.raises(CompositeError) as caught:
        result.get(WAIT)

    error = caught.value
    assert [(ename, evalue) for ename, evalue, _, _ in error.elist] == [
        ("ValueError", str(n)) for n in range(ENGINES)
    ]
    assert [info["engine_id"] for *_, info in error.elist] == list(range(ENGINES))
    assert "[1:apply]: ValueError: 1" in str(error)
    with pytest.raises(ValueError, match="2"):
        error.raise_exception(2)
    with pytest.raises(IndexError):
        error.raise_exception(ENGINES)


def test_one_failing_engine_of_several(client: Client) -> None:
    """The values of the others can be had all the same."""
    client[:].scatter("me", range(ENGINES), flatten=True, block=True)
    result: Any = client[:].apply_async(lambda: 1 // me)  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(CompositeError, match="ZeroDivisionError") as caught:
        result.get(WAIT)
    assert len(caught.value.elist) == 1
    assert result[1:] == [1, 0]
    assert result.status == ["error", "ok", "ok"]


def test_errors_can_be_pickled(client: Client) -> None:
    """So that they can be logged, or cross to another process."""
    with pytest.raises(CompositeError) as caught:
        client[:].apply_sync(int, "x")

    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), str(copy)) == (CompositeError, str(caught.value))
    one = pickle.loads(pickle.dumps(caught.value.errors[0]))
    assert isinstance(one, ValueError)
    assert isinstance(one, RemoteError)


# ---------------------------------------------------------------- retries


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (3, 4)])
def test_retries(client: Client, tmp_path: Path, retries: int, attempts: int) -> None:
    """A task that raises runs again so often, and ends with its last error."""
    record = str(tmp_path / "attempts")

    def fail() -> None:
        with open(record, "a") as file:
            file.write("x")
        with open(record) as file:
            raise ValueError(len(file.read()))

    view = client.load_balanced_view(retries=retries)
    with pytest.raises(ValueError, match=str(attempts)):
        view.apply_sync(fail)
    assert len(Path(record).read_text()) == attempts


def test_a_retry_that_succeeds(client: Client, tmp_path: Path) -> None:
    """The result is as if nothing had happened."""
    marker = str(tmp_path / "marker")

    def second_time() -> str:
        import pathlib

        tried = pathlib.Path(marker)
        if tried.exists():
            return "done"
        tried.touch()
        raise OSError("not yet")

    assert client.load_balanced_view(retries=1).apply_sync(second_time) == "done"


def test_a_traceback_has_the_source(call: Callable[..., Any]) -> None:
    """Of a function that travelled by value, from the file that it was defined in."""

    def fail() -> None:
        raise ValueError("here")  # this very line

    with pytest.raises(ValueError, match="here") as caught:
        call(fail)
    assert isinstance(caught.value, RemoteError)
    assert __file__ in caught.value.traceback
    assert 'raise ValueError("here")  # this very line' in caught.value.traceback


def test_user_code_handles_no_exception(call: Callable[..., Any]) -> None:
    """The engine's own are its own: a bare raise is the error that it is anywhere."""

    def look() -> Any:
        import sys

        return sys.exc_info()

    def fail() -> None:
        raise ValueError("alone")

    def reraise() -> None:
        raise

    assert call(look) in ((None, None, None), [(None, None, None)])
    with pytest.raises(RemoteError) as caught:
        call(fail)
    assert "During handling" not in caught.value.traceback
    with pytest.raises(RuntimeError, match="No active exception"):
        call(reraise)
