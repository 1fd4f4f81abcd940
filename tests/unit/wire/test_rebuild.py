"""Exceptions that cross from an engine to a client."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import linecache
import os
import pickle
import subprocess
import sys
import threading
import traceback
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.message import Message
from typing import Any
from urllib.error import HTTPError

import pytest

from ctrlhub.wire import rebuild
from ctrlhub.wire.errors import (
    CompositeError,
    CtrlHubError,
    EngineError,
    NoEnginesRegistered,
    RemoteError,
)
from ctrlhub.wire.failure import Failure, pack_failure, unpack_failure
from ctrlhub.wire.rebuild import (
    RemoteTraceback,
    exception_from,
    failure_from_exception,
    with_sources,
)


class Plain(Exception):
    """The simplest of a user's own."""


class TwoArguments(Exception):
    """Its arguments are not those of its base, and it says how to pickle it."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a}-{b}")
        self.a, self.b = a, b

    def __reduce__(self) -> Any:
        return TwoArguments, (self.a, self.b)


class Unbuildable(Exception):
    """As above, but it pickles without complaint and fails when unpickled."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a}-{b}")


class Slotted(ValueError):
    """An attribute in a slot."""

    __slots__ = ("extra",)

    def __init__(self, extra: int) -> None:
        super().__init__(extra)
        self.extra = extra


class Cooperative(OSError):
    """Passes its arguments on with keywords, which RemoteError's __init__ would not take."""

    def __init__(self, number: int = 1, text: str = "t") -> None:
        super().__init__(number, text)
        self.extra = "kept"


class SaysItself(Exception):
    """Has a text of its own."""

    def __str__(self) -> str:
        return "my own words"


@dataclass(frozen=True)
class Frozen(Exception):
    """Attributes cannot be set, not even by the interpreter's own code."""

    a: int

    def __reduce__(self) -> Any:
        return Frozen, (self.a,)


class ReadOnlyNames(Exception):
    """Has properties where a RemoteError has attributes."""

    @property
    def traceback(self) -> str:
        """Say something else."""
        return "its own"


class Final(type):
    """A metaclass that allows no subclass."""

    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> Final:
        """Refuse a second."""
        if any(isinstance(base, Final) for base in bases):
            raise TypeError(f"{name} is final")
        return super().__new__(mcs, name, bases, body)


class Sealed(Exception, metaclass=Final):
    """Refuses to be inherited from."""


class Unprintable(Exception):
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Unpicklable(Exception):
    """Its own method of pickling raises."""

    def __reduce__(self) -> Any:
        raise RuntimeError("no pickle")


class Changeling(Exception):
    """Unpickles as something else."""

    def __reduce__(self) -> Any:
        return KeyError, ("unrelated",)


def raised(error: BaseException) -> BaseException:
    """Give an exception a traceback."""
    try:
        raise error
    except BaseException as caught:
        return caught


def caught(f: Callable[[], Any]) -> BaseException:
    """Give what a function raises."""
    try:
        f()
    except BaseException as error:
        return error
    raise AssertionError("it raised nothing")


def across(error: BaseException) -> CtrlHubError:
    """Take an exception from an engine to a client."""
    failure = failure_from_exception(error, 3, "apply")
    return exception_from(unpack_failure(pack_failure(failure)))


ORIGINALS: list[BaseException] = [
    caught(lambda: 1 / 0),
    caught(lambda: {}["x"]),
    caught(lambda: os.stat("/does/not/exist")),
    caught(lambda: __import__("no_such_module")),
    caught(lambda: b"\xff".decode()),
    caught(lambda: compile("a b", "<f>", "exec")),
    caught(lambda: json.loads("{")),
    caught(lambda: subprocess.run(["false"], check=True)),
    raised(UnicodeEncodeError("utf8", "abc", 0, 1, "why")),
    raised(TimeoutError("slow")),
    raised(BlockingIOError(11, "again")),
    raised(Plain("text", 2)),
    raised(TwoArguments(1, 2)),
    raised(Slotted(5)),
    raised(Cooperative(2, "text")),
    raised(SaysItself(1)),
    raised(Frozen(1)),
    raised(NoEnginesRegistered("nested cluster")),
    raised(EngineError("nested cluster", 9)),
]


@pytest.mark.parametrize("original", ORIGINALS, ids=lambda e: type(e).__name__)
class TestRebuilt:
    """What arrives as itself."""

    def test_is_the_original_and_remote(self, original: Exception) -> None:
        """``except ValueError`` catches it, ``except RemoteError`` too."""
        error = across(original)
        assert isinstance(error, type(original))
        assert isinstance(error, RemoteError)
        assert type(error).__name__ == type(original).__name__

    def test_has_text_arguments_and_attributes(self, original: Exception) -> None:
        """It reads like the original."""
        error = across(original)
        assert (str(error), repr(error)) == (str(original), repr(original))
        assert error.args == original.args
        where = ("engine_id", "engine_info", "traceback")  # that of the engine takes their place
        own = {name: value for name, value in vars(original).items() if name not in where}
        assert own == {name: vars(error)[name] for name in own}
        for name in ("errno", "filename", "name", "path", "msg", "lineno", "start", "extra"):
            assert getattr(error, name, None) == getattr(original, name, None)

    def test_knows_where_it_was_raised(self, original: Exception) -> None:
        """It has the attributes of a RemoteError, and the remote traceback as its cause."""
        error = across(original)
        assert isinstance(error, RemoteError)
        assert (error.ename, error.evalue) == (type(original).__name__, str(original))
        assert (error.engine_id, error.engine_info["method"]) == (3, "apply")
        assert error.traceback.rstrip().splitlines()[0] == "Traceback (most recent call last):"
        assert isinstance(error.__cause__, RemoteTraceback)
        shown = "".join(traceback.format_exception(error))
        assert f"[3:apply]\n{error.traceback}" in shown

    def test_can_be_pickled_and_copied(self, original: Exception) -> None:
        """Its class cannot be found by name, and yet it comes through."""
        error = across(original)
        for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
            assert again is not error
            assert type(again) is type(error)
            assert str(again) == str(error)
            assert again.engine_info == error.engine_info
            assert isinstance(again.__cause__, RemoteTraceback)


@pytest.mark.parametrize(
    "original",
    [
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        asyncio.CancelledError(),
        StopIteration(5),
        StopAsyncIteration(),
        Sealed("sealed"),
        Plain(b"x" * 2**21),
    ],
    ids=lambda e: type(e).__name__,
)
def test_arrives_as_text(original: BaseException) -> None:
    """What acts on the client, or cannot be rebuilt, is a RemoteError and nothing else."""
    error = across(raised(original))
    assert type(error) is RemoteError
    assert error.ename == type(original).__name__
    assert error.evalue[:4] == str(original)[:4]
    assert error.engine_id == 3
    assert isinstance(error.__cause__, RemoteTraceback)


class Doubles(Exception):
    """Pickles, but pickle's own way gives it another text."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no file {name!r}")


class Lends(Exception):
    """Looks for attributes in another one, which it may not have."""

    def __init__(self, text: str, file: object) -> None:
        super().__init__(text)
        self.file = file

    def __getattr__(self, name: str) -> object:
        return getattr(self.__dict__["file"], name)


@pytest.mark.parametrize(
    "original",
    [
        Unbuildable(1, 2),
        Unpicklable("x"),
        Changeling("x"),
        Plain(threading.Lock()),
        Doubles("x"),
        Lends("x", threading.Lock()),
        HTTPError("http://here", 404, "not found", Message(), None),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    ],
    ids=lambda e: type(e).__name__,
)
def test_what_pickles_own_way_does_not_bring_back_is_put_together(original: Exception) -> None:
    """Without calling its constructor; what could not be sent of it has a stand-in."""
    error = across(raised(original))

    assert isinstance(error, type(original))
    assert str(error) == str(original)
    assert error.engine_id == 3
    assert isinstance(error.__cause__, RemoteTraceback)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))


def test_an_http_error_has_its_parts() -> None:
    """All but the body, which stayed where it was; asking for it says so."""
    headers = Message()
    headers["Retry-After"] = "7"
    with open(os.devnull, "rb") as file:
        error = across(raised(HTTPError("http://here", 503, "busy", headers, file)))

    assert isinstance(error, HTTPError)
    assert (error.code, error.reason, error.url) == (503, "busy", "http://here")
    assert error.headers["Retry-After"] == "7"
    with pytest.raises(AttributeError, match="of an exception was not sent"):
        error.read()


def test_text_that_cannot_be_had_is_survived() -> None:
    """An exception whose __str__ raises is reported, with its name."""
    error = across(raised(Unprintable()))
    assert isinstance(error, RemoteError)
    assert (error.ename, error.evalue) == ("Unprintable", "<its __str__ raised RuntimeError>")
    assert "Unprintable" in error.traceback


def test_names_in_the_way_are_left_alone() -> None:
    """A property of the original keeps its meaning; what RemoteError says is in its cause."""
    error = across(raised(ReadOnlyNames("x")))
    assert isinstance(error, ReadOnlyNames)
    assert error.traceback == "its own"
    assert "ReadOnlyNames: x" in str(error.__cause__)


def test_groups_keep_their_members() -> None:
    """``except*`` works on what arrives."""
    error = across(raised(ExceptionGroup("g", [ValueError(1), KeyError("x")])))
    assert isinstance(error, ExceptionGroup)
    assert isinstance(error, RemoteError)
    assert [repr(member) for member in error.exceptions] == ["ValueError(1)", "KeyError('x')"]
    matching, rest = error.split(KeyError)
    assert matching is not None
    assert rest is not None


def test_making_another_of_its_type_is_local() -> None:
    """``raise type(e)(text) from e`` gives the original class, not one that claims to be remote."""
    error = type(across(raised(TwoArguments(1, 2))))(3, 4)
    assert type(error) is TwoArguments
    assert (error.a, error.b) == (3, 4)


def test_added_notes_survive_pickling() -> None:
    """What was added at the client is kept in a copy."""
    error = across(raised(Plain("x")))
    error.add_note("while fitting")
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["while fitting"]


def test_notes_of_the_engine_arrive() -> None:
    """Notes that user code added are part of the exception."""
    original = raised(Plain("x"))
    original.add_note("row 7")
    assert across(original).__notes__ == ["row 7"]


def test_remote_of_remote() -> None:
    """An engine that uses a cluster itself passes on what came from there, as raised by itself."""
    inner = across(raised(ValueError("deep")))
    assert isinstance(inner, RemoteError)
    failure = failure_from_exception(raised(inner), 8, "execute")
    error = exception_from(unpack_failure(pack_failure(failure)))
    assert isinstance(error, ValueError)
    assert (str(error), error.engine_id) == ("deep", 8)
    assert inner.traceback in str(error.__cause__)
    assert pickle.loads(pickle.dumps(error)).engine_id == 8


def test_composite_of_a_nested_cluster_arrives_whole() -> None:
    """The errors in it can be looked at one by one."""
    inner = CompositeError("many", [RemoteError("ValueError", "a", "", {"engine_id": 0})])
    error = across(raised(inner))
    assert isinstance(error, CompositeError)
    assert error.elist == inner.elist
    assert error.engine_id == 3


def test_class_made_for_the_purpose_is_reused_and_dies_with_its_original() -> None:
    """One class for both, whatever the number of errors; and none is kept for ever."""
    local = type("Local", (Exception,), {})
    assert rebuild._both(local) is rebuild._both(local)
    gone = weakref.ref(local)
    del local
    gc.collect()  # finds the class that is both, …
    gc.collect()  # … which held the original
    assert gone() is None


def test_unknown_class_arrives_as_text() -> None:
    """A class that cannot be imported here does not become an ImportError."""
    pickled = pickle.dumps(Plain("x")).replace(b"Plain", b"Plane")
    error = exception_from(Failure("remote", "Plane", "x", "trace", 3, pickled=pickled))
    assert type(error) is RemoteError
    assert str(error) == "Plane(x) on engine 3"


@pytest.mark.parametrize("pickled", [b"", b"junk", pickle.dumps("no exception")])
def test_damaged_pickle_arrives_as_text(pickled: bytes) -> None:
    """Whatever is wrong with the pickle, the text is what counts."""
    assert type(exception_from(Failure("remote", "E", "x", pickled=pickled))) is RemoteError


class TestOfOurOwn:
    """Failures that the hub made."""

    def test_has_class_and_engine(self) -> None:
        """The code gives the class; text and engine are there."""
        error = exception_from(Failure.from_error(EngineError("killed by SIGKILL", 3)))
        assert type(error) is EngineError
        assert (str(error), error.engine_id) == ("killed by SIGKILL", 3)

    def test_traceback_is_a_note(self) -> None:
        """If there is more to read, Python prints it."""
        error = exception_from(Failure("internal", "InternalError", "bug", "the story"))
        assert error.__notes__ == ["the story"]

    @pytest.mark.parametrize("code", ["from_the_future", "composite"])
    def test_unknown_code(self, code: str) -> None:
        """A code this version cannot make an error of keeps its name in the text."""
        error = exception_from(Failure(code, "Newer", "text"))
        assert type(error) is CtrlHubError
        assert str(error) == "Newer: text"


class TestTraceback:
    """What the engine formats."""

    def failure(self, script: Callable[[str], dict[str, Any]], source: str) -> Failure:
        """Run source text under frames of the engine's (here: of this test)."""
        f = script(source)["f"]
        error = caught(f)
        return failure_from_exception(error, internal=(__name__.partition(".")[0],))

    def test_begins_in_user_code(self, script: Callable[[str], dict[str, Any]]) -> None:
        """Frames of the engine's own above user code are left out, those below are not."""
        text = self.failure(script, "def g(): 1 / 0\ndef f(): g()").traceback
        lines = [line.strip() for line in text.splitlines() if line.startswith("  File")]
        assert lines == [
            'File "<script>", line 2, in f',
            'File "<script>", line 1, in g',
        ]

    def test_keeps_what_is_below_user_code(self, script: Callable[[str], dict[str, Any]]) -> None:
        """A callback that leads back into the engine's packages shows as what it is."""
        names = script("def f(): inner()")
        names["inner"] = lambda: 1 / 0
        failure = failure_from_exception(caught(names["f"]), internal=(__name__.partition(".")[0],))
        assert "<lambda>" in failure.traceback

    def test_shows_causes(self, script: Callable[[str], dict[str, Any]]) -> None:
        """``raise … from …`` arrives as written."""
        source = """
def f():
    try:
        {}["key"]
    except KeyError as e:
        raise ValueError("bad") from e
"""
        text = self.failure(script, source).traceback
        assert text.index("KeyError: 'key'") < text.index("direct cause") < text.index("bad")
        assert __file__ not in text

    def test_of_the_engine_alone(self) -> None:
        """An error before any user code has no frames, but its text, and its cause's."""

        def fails() -> None:
            try:
                {}["key"]  # type: ignore[index]
            except KeyError as error:
                raise ValueError("bad") from error

        error = caught(fails)
        failure = failure_from_exception(error, internal=(__name__.partition(".")[0],))
        assert __file__ not in failure.traceback
        assert "KeyError: 'key'" in failure.traceback
        assert failure.traceback.rstrip().endswith("ValueError: bad")

    def test_deep_recursion_is_short(self, script: Callable[[str], dict[str, Any]]) -> None:
        """A thousand equal frames are told as a number."""
        failure = self.failure(script, "def f(): f()")
        assert failure.ename == "RecursionError"
        assert len(failure.traceback) < 10_000


class TestFromAnotherProcess:
    """Engines do not have the classes of a user's script."""

    SOURCE = """
class Mine(Exception):
    def __init__(self, a, b=0):
        super().__init__(a, b)
        self.a = a

def f(a):
    raise Mine(a)
"""

    def test_class_of_the_users_script(
        self, script: Callable[[str], dict[str, Any]], elsewhere: Callable[..., Any]
    ) -> None:
        """``except Mine`` catches what an engine raised, though Mine was sent there by value."""
        names = script(self.SOURCE)
        with pytest.raises(names["Mine"]) as error:
            elsewhere(names["f"], 7)
        assert isinstance(error.value, RemoteError)
        assert error.value.a == 7
        assert "in f" in error.value.traceback

    def test_exit_does_not_exit(
        self, script: Callable[[str], dict[str, Any]], elsewhere: Callable[..., Any]
    ) -> None:
        """``sys.exit()`` in a task ends neither the engine nor the client."""
        f = script("import sys\ndef f(): sys.exit(3)")["f"]
        with pytest.raises(RemoteError, match=r"SystemExit\(3\) on engine 3"):
            elsewhere(f)
        assert elsewhere(len, "abc") == 3


def test_failure_of_a_failure_is_not_modified() -> None:
    """Making an exception leaves the failure as it was: it may be delivered twice."""
    failure = failure_from_exception(raised(Plain("x")), 3)
    before = replace(failure)
    first, second = exception_from(failure), exception_from(failure)
    assert failure == before
    assert first is not second


# ---------------------------------------------------------------- hostile exceptions


class Interrupts(Exception):
    """Interrupts whoever pickles it."""

    def __reduce__(self) -> Any:
        raise KeyboardInterrupt


class Leaves(Exception):
    """Pickles, and ends whoever unpickles it."""

    def __reduce__(self) -> Any:
        return sys.exit, (9,)


class Untouchable(Exception):
    """Nothing of it can be looked at."""

    def __getattribute__(self, name: str) -> Any:
        raise KeyboardInterrupt


class Unspeakable(Exception):
    """Its text is an end, too."""

    def __str__(self) -> str:
        raise SystemExit(3)


@pytest.mark.parametrize("kind", [Interrupts, Leaves, Untouchable, Unspeakable])
def test_an_exception_cannot_end_who_describes_it(kind: type[Exception]) -> None:
    """Not even with SystemExit or KeyboardInterrupt: its text goes, as far as there is one."""
    failure = failure_from_exception(kind("words"))

    assert failure.ename == kind.__name__
    arrived = exception_from(unpack_failure(pack_failure(failure)))
    assert isinstance(arrived, RemoteError)
    assert arrived.ename == kind.__name__


def test_an_exception_cannot_end_who_rebuilds_it() -> None:
    """What arrives from an engine that did not look is a plain RemoteError with the text."""
    failure = replace(failure_from_exception(ValueError("words")), pickled=pickle.dumps(Leaves()))

    arrived = exception_from(failure)

    assert type(arrived) is RemoteError
    assert arrived.evalue == "words"


class _Refusing(type):
    """A metaclass that lets nobody ask."""

    def __instancecheck__(cls, instance: object) -> bool:
        raise ZeroDivisionError

    def __subclasscheck__(cls, subclass: type) -> bool:
        raise ZeroDivisionError


class Unaskable(Exception, metaclass=_Refusing):
    """Whether anything is one of these cannot be asked."""


def test_a_class_that_cannot_be_asked_arrives_with_its_text() -> None:
    """Its metaclass raises at isinstance and issubclass."""
    arrived = exception_from(failure_from_exception(Unaskable("words")))

    with pytest.raises(RemoteError, match="words") as caught:
        raise arrived
    assert caught.value.ename == "Unaskable"
    assert "words" in "".join(traceback.format_exception(caught.value))


def test_source_lines_that_are_known_here_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a notebook's cell, which has no file on the engine; files are left to themselves."""
    code = ["def f(x):\n", "    return 1 / x\n"]
    monkeypatch.setitem(linecache.cache, "<cell 1>", (27, None, code, "<cell 1>"))
    monkeypatch.setitem(linecache.cache, "file.py", (27, 1.0, code, "file.py"))
    there = (
        'Traceback (most recent call last):\n  File "<cell 1>", line 2, in f\n'
        '  File "<cell 1>", line 3, in g\n  File "file.py", line 2, in h\n'
        '  | File "<cell 1>", line 2, in f\n'
        '  File "<cell 1>", line 2, in f\n    something else\nZeroDivisionError: x\n'
    )
    error = exception_from(Failure("remote", "ZeroDivisionError", "x", there))
    assert isinstance(error, RemoteError)
    lines = error.traceback.splitlines()
    assert lines[1:4] == ['  File "<cell 1>", line 2, in f', "    return 1 / x", there.split("\n")[2]]
    assert len(lines) == len(there.splitlines()) + 1
    assert with_sources("") == ""
    assert with_sources(f'  File "<cell 1>", line {"9" * 5000}, in f') != ""


def test_a_long_text_does_not_cost_an_exception_its_type() -> None:
    """It is cut, and ``except ValueError`` works."""
    try:
        raise ValueError("x" * 10_000_000, 7)
    except ValueError as error:
        failure = failure_from_exception(error)

    found = exception_from(failure)

    assert isinstance(found, ValueError)
    assert found.args[0].endswith("x[…]")
    assert found.args[1] == 7
