"""The tree of errors."""

from __future__ import annotations

import copy
import pickle

import pytest

from ctrlhub.wire import error_base, errors
from ctrlhub.wire.errors import (
    AlreadyDisplayedError,
    AlreadyRunning,
    CompositeError,
    CtrlHubError,
    EngineError,
    Failure,
    HubNotFound,
    HubUnavailable,
    ImpossibleDependency,
    InvalidEngineID,
    NoEnginesRegistered,
    RemoteError,
    RequestError,
    TaskTimeout,
    UnmetDependency,
    error_for,
    pack_failure,
    unpack_failure,
)
from ctrlhub.wire.rebuild import exception_from

CLASSES = [
    cls
    for cls in vars(errors).values()
    if isinstance(cls, type) and issubclass(cls, CtrlHubError) and cls is not CtrlHubError
]
SENT = [
    cls for cls in CLASSES if cls not in (AlreadyDisplayedError, AlreadyRunning, RequestError)
]


def remote(number: int) -> RemoteError:
    """Give an error of an engine's."""
    return RemoteError("ValueError", f"text {number}", f"trace {number}", {"engine_id": number})


@pytest.mark.parametrize("cls", SENT, ids=lambda cls: cls.__name__)
def test_code_names_one_class(cls: type[CtrlHubError]) -> None:
    """Each class has a code of its own, and the code leads back to it."""
    assert error_for(cls.code) is cls


@pytest.mark.parametrize("cls", [c for c in SENT if issubclass(c, RequestError)])
def test_what_became_of_a_request_is_a_remote_error(cls: type[RequestError]) -> None:
    """As in ipyparallel: with the name of its class, its text, and where it was."""
    failure = Failure.from_error(cls("what happened", 3), method="apply")
    error = exception_from(unpack_failure(pack_failure(failure)))
    assert type(error) is cls
    assert isinstance(error, RemoteError)
    assert (str(error), error.ename, error.evalue) == ("what happened", cls.__name__, "what happened")
    assert (error.engine_id, error.engine_info) == (3, {"engine_id": 3, "method": "apply"})
    assert error.render_traceback() == [f"{cls.__name__}: what happened"]


@pytest.mark.parametrize("cls", SENT, ids=lambda cls: cls.__name__)
def test_made_from_a_message_alone(cls: type[CtrlHubError]) -> None:
    """A client can raise any of them with what came over the wire, pickle it and copy it."""
    error = cls("what happened")
    for other in (error, pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(other) is cls
        assert "what happened" in str(other)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_tree_is_complete(cls: type[CtrlHubError]) -> None:
    """The tree at the head of the module names every class."""
    assert errors.__doc__ is not None
    assert f" {cls.__name__} " in errors.__doc__.replace("\n", " ")


def test_unknown_code_is_a_plain_error() -> None:
    """A code from a newer hub is an error still, and no KeyError."""
    assert error_for("something_new") is CtrlHubError


def test_code_cannot_be_taken_twice() -> None:
    """Two classes with one code are refused where the second is defined."""
    with pytest.raises(ValueError, match="EngineError has the code 'engine_error'"):
        type("Impostor", (CtrlHubError,), {}, code="engine_error")


def test_class_of_ones_own() -> None:
    """An interface of one's own may add a code; a class without one has that of its base."""
    own = type("Busy", (CtrlHubError,), {"__module__": "m"}, code="busy")
    try:
        assert error_for("busy") is own
        assert type("VeryBusy", (own,), {}).code == "busy"
        again = type("Busy", (CtrlHubError,), {"__module__": "m"}, code="busy")
        assert error_for("busy") is again, "a reloaded module defines its classes again"
    finally:
        del error_base._CLASSES["busy"]


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        (InvalidEngineID, IndexError),
        (HubUnavailable, ConnectionError),
        (HubNotFound, ConnectionError),
        (ImpossibleDependency, UnmetDependency),
        (CompositeError, RemoteError),
    ],
)
def test_also_what_python_would_raise(cls: type, builtin: type) -> None:
    """``except IndexError`` and its like catch what they should."""
    assert issubclass(cls, builtin)


def test_task_timeout_is_no_timeout_error() -> None:
    """A loop that polls with a timeout must not take a task's end for "not yet"."""
    assert not issubclass(TaskTimeout, TimeoutError)


def test_engine_error_names_its_engine() -> None:
    """The engine's id is kept when the error is pickled."""
    error = pickle.loads(pickle.dumps(EngineError("killed by SIGKILL", 3)))
    assert (str(error), error.engine_id) == ("killed by SIGKILL", 3)


def test_already_running_says_where_and_what_to_do() -> None:
    """The message has the pid of the first, and the command that stops it."""
    error = pickle.loads(pickle.dumps(AlreadyRunning(4711, "lab")))
    assert (error.pid, error.profile) == (4711, "lab")
    assert "a cluster of profile 'lab' is running (pid 4711)" in str(error)
    assert "ctrl-hub stop --profile lab" in str(error)


class TestRemoteError:
    """What user code raised, as text."""

    def test_attributes_of_ipyparallel(self) -> None:
        """The attributes that code for ipyparallel reads."""
        error = RemoteError("ValueError", "text", "trace", {"engine_id": 3, "method": "apply"})
        assert (error.ename, error.evalue, error.traceback) == ("ValueError", "text", "trace")
        assert error.engine_info == {"engine_id": 3, "method": "apply"}
        assert error.engine_id == 3
        assert error.args == ("ValueError", "text")

    def test_text(self) -> None:
        """The text names class, text and engine."""
        assert str(remote(3)) == "ValueError(text 3) on engine 3"
        assert str(RemoteError("ValueError", "text")) == "ValueError(text)"

    def test_survives_pickling_whole(self) -> None:
        """Nothing is lost in a pickle, though ``args`` has but two of the four."""
        error = pickle.loads(pickle.dumps(remote(3)))
        assert vars(error) == vars(remote(3))

    def test_ipython_shows_the_remote_traceback(self, capsys: pytest.CaptureFixture[str]) -> None:
        """IPython's hook and print_traceback give the engine's lines."""
        error = RemoteError("ValueError", "text", "line 1\nline 2")
        assert error._render_traceback_() == ["line 1", "line 2"]
        error.print_traceback()
        assert capsys.readouterr().out == "line 1\nline 2\n"

    def test_without_traceback(self) -> None:
        """Where there is no traceback the text stands in."""
        assert RemoteError("ValueError", "text").render_traceback() == ["ValueError: text"]


class TestCompositeError:
    """The errors of several engines."""

    def test_one_line_an_error(self) -> None:
        """Each error is a line with engine and method."""
        error = CompositeError(
            "one or more exceptions",
            [
                ("ValueError", "text", "", {"engine_id": 3, "method": "apply"}),
                ("KeyError", "'x'", "", {}),
            ],
        )
        assert str(error).splitlines() == [
            "one or more exceptions",
            "[3:apply]: ValueError: text",
            "KeyError: 'x'",
        ]

    @pytest.mark.parametrize(
        ("count", "last"),
        [
            (4, "[3]: ValueError: text 3"),
            (5, "… and one more"),
            (300, "… and 296 more"),
        ],
    )
    def test_abbreviates(self, count: int, last: str) -> None:
        """Beyond four the errors are only counted, in text and traceback."""
        error = CompositeError("many", map(remote, range(count)))
        lines = str(error).splitlines()
        assert lines[-1] == last
        assert len(lines) == 1 + min(count, 5)
        assert "trace 3" in error.render_traceback()
        assert "trace 4" not in error.render_traceback()

    def test_takes_exceptions_and_tuples(self) -> None:
        """Both forms are available, whichever was given."""
        given = [remote(1), EngineError("died", 2), ("KeyError", "'x'", "tb", {"engine_id": 0})]
        error = CompositeError("mixed", given)
        assert error.elist == [
            ("ValueError", "text 1", "trace 1", {"engine_id": 1}),
            ("EngineError", "died", "", {"engine_id": 2}),
            ("KeyError", "'x'", "tb", {"engine_id": 0}),
        ]
        assert error.errors[:2] == given[:2]
        assert isinstance(error.errors[2], RemoteError)

    def test_raise_exception(self) -> None:
        """One of them can be raised as itself."""
        died = EngineError("died", 2)
        error = CompositeError("mixed", [remote(1), died])
        with pytest.raises(RemoteError, match="text 1"):
            error.raise_exception()
        with pytest.raises(EngineError) as caught:
            error.raise_exception(1)
        assert caught.value is died

    @pytest.mark.parametrize("excid", [2, -3])
    def test_no_such_error(self, excid: int) -> None:
        """An index beyond the list says how many there are."""
        error = CompositeError("two", [remote(0), remote(1)])
        with pytest.raises(IndexError, match="holds 2"):
            error.raise_exception(excid)
        with pytest.raises(IndexError, match="holds 2"):
            error.print_traceback(excid)

    def test_print_one_traceback(self, capsys: pytest.CaptureFixture[str]) -> None:
        """``print_traceback(i)`` prints that one, without all of them."""
        error = CompositeError("two", [remote(0), remote(1)])
        error.print_traceback(1)
        assert capsys.readouterr().out == "[1]:\ntrace 1\n"
        error.print_traceback()
        assert "trace 0" in capsys.readouterr().out

    def test_survives_pickling(self) -> None:
        """Message, tuples and exceptions come through a pickle."""
        error = CompositeError("mixed", [remote(1), NoEnginesRegistered("none")])
        again = pickle.loads(pickle.dumps(error))
        assert str(again) == str(error)
        assert again.elist == error.elist
        assert [type(e) for e in again.errors] == [RemoteError, NoEnginesRegistered]


def test_an_error_that_was_displayed_is_one_line() -> None:
    """It stands for one error, or for several, and says that they are above."""
    assert str(AlreadyDisplayedError(remote(1))) == "1 error shown above"
    several = AlreadyDisplayedError(CompositeError("f", [remote(1), remote(2)]))
    assert several.render_traceback() == ["2 errors shown above"]
    assert several.original_error.elist[1][1] == "text 2"  # type: ignore[attr-defined]
    assert pickle.loads(pickle.dumps(several)).args[0].evalue == "f"
