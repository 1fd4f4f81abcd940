"""What is printed: to the log, and bounded, to whoever asked."""

from __future__ import annotations

import io
import sys

import pytest

from ctrlhub.engine.output import Output


def make(limit: int = 100) -> tuple[Output, io.StringIO, io.StringIO]:
    """An output on two logs."""
    out, err = io.StringIO(), io.StringIO()
    return Output(out, err, limit), out, err


def test_nothing_printed_is_nothing_to_take() -> None:
    """Requests that print nothing look at one attribute."""
    output, _, _ = make()

    assert output.dirty is False
    assert output.take() is None


def test_each_stream_is_kept_and_logged() -> None:
    """What goes to the one is not mixed with the other."""
    output, out, err = make()

    print("one", file=output.out)
    print("two", file=output.err)

    assert output.dirty is True
    taken = output.take() or {}
    assert (taken["stdout"], taken["stderr"]) == ("one\n", "two\n")
    assert (out.getvalue(), err.getvalue()) == ("one\n", "two\n")


def test_taking_begins_anew() -> None:
    """The next request has its own output only."""
    output, _, _ = make()
    print("one", file=output.out)
    output.take()

    print("two", file=output.out)

    assert output.take() == {"stdout": "two\n"}


def test_too_much_is_cut_and_counted() -> None:
    """The log has all of it, the result as much as there is room for, and says so."""
    output, out, _ = make(limit=4)

    output.out.write("abcdef")
    output.out.write("gh")

    taken = output.take() or {}
    assert taken["stdout"].startswith("abcd\n[4 more characters were printed")
    assert out.getvalue() == "abcdefgh"


def test_a_log_that_cannot_be_written_is_not_the_users_trouble() -> None:
    """A closed log or a full disk leaves the copy."""
    output, out, _ = make()
    out.close()

    print("one", file=output.out, flush=True)

    assert output.take() == {"stdout": "one\n"}


def test_text_that_is_no_utf8_can_travel() -> None:
    """Half a surrogate pair is escaped."""
    output, _, _ = make()

    output.out.write("\ud800")

    assert output.take() == {"stdout": "\\ud800"}


def test_only_text_is_written() -> None:
    """As with any text stream."""
    output, _, _ = make()

    with pytest.raises(TypeError, match="must be str"):
        output.out.write(b"bytes")  # type: ignore[arg-type]


def test_the_streams_behave_like_those_they_stand_in_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed, they take what is printed."""
    output, _, _ = make()
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)

    output.install()
    print("hello")

    assert output.take() == {"stdout": "hello\n"}
    assert output.out.writable()
    assert not output.out.isatty()


def test_the_log_is_marked_where_a_request_ends() -> None:
    """With all that it has printed; one that prints nothing does not look."""
    output, out, _ = make()
    marked: list[str] = []
    output.mark = lambda: marked.append(out.getvalue())

    print("one", end="", file=output.out)
    output.take()
    assert marked == ["one"]
    assert not output.dirty


# ---------------------------------------------------------------- telling whoever shows it


def test_a_complete_line_is_announced_once_until_somebody_looks() -> None:
    """Not before it is complete, and again after a look; `flush` announces what has no end."""
    output, _, _ = make()
    told: list[int] = []
    output.runs = lambda: 7
    output.announce = lambda: told.append(1)

    output.out.write("a")
    assert told == []
    output.out.write("\n")
    print("b", file=output.err)
    assert told == [1]

    capture = output.look()
    assert capture is not None
    assert (capture.request, capture.waits) == (7, True)
    output.out.write("c")
    output.out.flush()
    assert told == [1, 1]


def test_what_has_no_end_of_line_is_announced_as_such() -> None:
    """Once until it has one, or somebody looks."""
    output, _, _ = make()
    told: list[str] = []
    output.runs = lambda: 7
    output.announce = lambda: told.append("line")
    output.announce_begin = lambda: told.append("begin")

    output.out.write(".")
    output.out.write(".")
    assert told == ["begin"]
    output.out.write("\n")
    output.out.write(".")
    assert told == ["begin", "line"]
    output.look()
    output.out.write(".")
    assert told == ["begin", "line", "begin"]


def test_what_is_on_hold_is_not_announced_but_the_next_request_is() -> None:
    """A client that does not follow costs no announcements."""
    output, _, _ = make()
    told: list[int] = []
    running = 7
    output.runs = lambda: running
    output.announce = lambda: told.append(running)

    print("a", file=output.out)
    output.look()
    output.hold(7)
    print("b", file=output.out)
    assert told == [7]

    output.take()
    running = 8
    print("c", file=output.out)
    assert told == [7, 8]


def test_where_nothing_runs_nothing_is_announced() -> None:
    """What a thread prints between two requests is nobody's; within one it is that one's."""
    output, _, _ = make()
    told: list[int] = []
    running = 0
    output.runs = lambda: running
    output.announce = lambda: told.append(1)

    print("a", file=output.out)
    assert told == []
    running = 7
    print("b", file=output.out)
    assert told == [1]
