"""Live output at a client: kept while its request runs, shown as it comes, healed by the result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ctrlhub.client.live_output import (
    ACKNOWLEDGE,
    ASK_AGAIN,
    LiveOutputs,
    LiveRequest,
    Reached,
    gap,
)
from ctrlhub.client.output_stream import OutputStream
from ctrlhub.client.rows import Row
from ctrlhub.client.terminal import Terminal
from ctrlhub.wire.limits import OUTPUT_TEXT_BYTES
from ctrlhub.wire.messages import Output, OutputItem, OutputReceived


def displayed(text: str) -> dict[str, Any]:
    """Something displayed."""
    return {"output_type": "display_data", "data": {"text/plain": text}, "metadata": {}}


class Listener:
    """Takes note of what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def output(
        self, request: int, engine: int, items: Sequence[OutputItem], attempt: int = 0
    ) -> None:
        """Take note."""
        self.told += items

    def ended(self, request: int) -> None:
        """Take note."""
        self.told.append(f"{request} ended")


def test_reached_tells_what_is_missing_and_what_has_come_before() -> None:
    """By positions alone, for each kind."""
    progress = Reached()

    assert progress.take(("stdout", 0, "abc")) == (0, "abc")
    assert progress.take(("stdout", 1, "bcd")) == (0, "d")
    assert progress.take(("stdout", 2, "cd")) == (0, None)
    assert progress.take(("stdout", 10, "k")) == (6, "k")
    assert progress.take(("display", 1, displayed("f"))) == (1, displayed("f"))
    assert progress.take(("display", 1, displayed("f"))) == (0, None)


def test_a_display_that_was_missing_may_come_late() -> None:
    """Once; none that was there, or is beyond."""
    progress = Reached()
    progress.take(("display", 3, displayed("d")))

    assert progress.take(("display", 1, displayed("b"))) == (0, displayed("b"))
    assert progress.take(("display", 1, displayed("b"))) == (0, None)
    assert progress.take(("display", 0, displayed("a"))) == (0, displayed("a"))
    assert progress.take(("display", 3, displayed("d"))) == (0, None)
    assert progress.take(("display", 2, displayed("c"))) == (0, displayed("c"))
    assert progress.take(("display", 2, displayed("c"))) == (0, None)


def test_what_has_come_has_the_form_of_extras() -> None:
    """Gaps are told; the last value of each name counts."""
    live = LiveRequest(engine=4)
    live.take(Output(1, 1, [("stdout", 0, "a"), ("data", 0, {"x": b"1"})], 4))
    live.take(Output(1, 2, [("stdout", 3, "b"), ("display", 0, displayed("f"))], 4, after=1))
    live.take(Output(1, 3, [("data", 1, {"x": b"2"})], 4, after=2))

    extras = live.extras()
    assert extras["stdout"] == f"a{gap(2)}b"
    assert (extras["outputs"], extras["data"]) == ([displayed("f")], {"x": b"2"})
    assert live.engine == 4


def test_what_was_lost_is_asked_for_and_what_follows_it_waits() -> None:
    """Once, until it has been ignored for long; then it goes on where it was broken off."""
    live = LiveRequest()
    live.take(Output(1, 1, [("stdout", 0, "a")], 4))

    lost = [Output(1, n, [("stdout", n, "x")], 4, after=n - 1) for n in range(3, 3 + ASK_AGAIN + 1)]
    told = [live.take(message) for message in lost]
    asked = OutputReceived(1, 1, 4, missed=True)
    assert told == [([], asked), *[([], None)] * (ASK_AGAIN - 1), ([], asked)]

    items, answer = live.take(Output(1, 99, [("stdout", 1, "bcd")], 4, after=1))
    assert (items, answer) == ([("stdout", 1, "bcd")], OutputReceived(1, 99, 4))
    assert live.extras()["stdout"] == "abcd"


def test_what_is_said_again_is_taken_once() -> None:
    """And acknowledged at once: its engine is not sure of us."""
    live = LiveRequest()
    live.take(Output(1, 1, [("stdout", 0, "ab"), ("display", 0, displayed("f"))], 4))
    live.take(Output(1, 2, [("stdout", 2, "c"), ("data", 0, {"x": b"1"})], 4, after=1))

    again = [("stdout", 0, "abcd"), ("display", 0, displayed("f")), ("data", 1, {"x": b"1"})]
    items, answer = live.take(Output(1, 3, again, 4, after=0))

    assert items == [("stdout", 3, "d"), ("data", 1, {"x": b"1"})]
    assert answer == OutputReceived(1, 3, 4)
    assert live.extras()["stdout"] == "abcd"


def test_what_is_kept_of_a_request_is_bounded() -> None:
    """However much comes; how much there was is told."""
    live = LiveRequest()
    for n in range(100):
        live.take(Output(1, n + 1, [("stdout", n * 50_000, "x" * 50_000)], 0, after=n))

    extras = live.extras()
    kept, more, note = extras["cut"]["stdout"]
    assert (kept <= OUTPUT_TEXT_BYTES, kept + more) == (True, 100 * 50_000)
    assert extras["stdout"][kept:] == f"\n[{more} more characters have come than are kept]\n"
    assert len(extras["stdout"]) == kept + note


def test_much_that_arrived_is_acknowledged_and_little_is_not() -> None:
    """With the number of the last one."""
    live = LiveRequest()
    half = "x" * (ACKNOWLEDGE // 2)

    assert live.take(Output(1, 1, [("stdout", 0, half)], 4))[1] is None
    second = Output(1, 2, [("stdout", len(half), half)], 4, after=1)
    assert live.take(second)[1] == OutputReceived(1, 2, 4)
    assert live.take(Output(1, 3, [("stdout", 2 * len(half), half)], 4, after=2))[1] is None


def test_who_follows_is_told_what_came_before_what_comes_and_the_end() -> None:
    """In this order; who has left is not."""
    live, late, gone = LiveOutputs(), Listener(), Listener()
    live.take(Output(1, 1, [("stdout", 0, "a")], 4))
    live.follow([1], late, [{1}])
    live.follow([1], gone, [{1}])
    live.leave([1], gone)
    live.take(Output(1, 2, [("stdout", 1, "b")], 4, after=1))
    live.take(Output(2, 1, [("stdout", 0, "of another")], 4))
    live.ended([1, 2])

    assert late.told == [("stdout", 0, "a"), ("stdout", 1, "b"), "1 ended"]
    assert gone.told == [("stdout", 0, "a")]
    assert not live
    assert live.requests == {}
    live.follow([1], late, [{2}])
    assert late.told[-2:] == ["1 ended", "1 ended"]


def test_what_runs_once_more_begins_anew() -> None:
    """Whether another engine has it, or the same one: nothing of the attempt before is kept."""
    live = LiveOutputs()
    live.take(Output(1, 1, [("stdout", 0, "first attempt")], 4))
    live.take(Output(1, 1, [("stdout", 0, "second")], 4, attempt=1))
    assert live.requests[1].extras()["stdout"] == "second"

    live.take(Output(1, 1, [("stdout", 0, "3rd")], 5, attempt=1))
    assert (live.requests[1].extras()["stdout"], live.requests[1].engine) == ("3rd", 5)


# ---------------------------------------------------------------- showing it


class Stream:
    """An `OutputStream` of requests that end as the test says."""

    def __init__(self, labelled: bool = True) -> None:
        self.rows: dict[int, Row] = {}
        self.live: dict[int, LiveRequest] = {}
        self.stream = OutputStream(labelled, self.rows.get, self.live.get, self.show_end)

    def show_end(self, terminal: Terminal, row: Row) -> None:
        """Say that it ended."""
        terminal.write_line(f"end of {row[0]}")

    def end(self, number: int, engine: int, extras: dict[str, Any]) -> None:
        """Let a request end."""
        self.rows[number] = (number, 0, b"", engine, 0.0, 0.0, extras)
        self.stream.ended(number)


def test_text_is_shown_with_its_engine(capsys: pytest.CaptureFixture[str]) -> None:
    """Line by line, as they are completed; what goes on needs no label."""
    shown = Stream()
    shown.stream.output(1, 0, [("stdout", 0, "a")])
    shown.stream.output(1, 0, [("stdout", 1, "b\n")])
    shown.stream.output(2, 1, [("stdout", 0, "c"), ("stderr", 0, "d\n")])
    shown.stream.output(1, 0, [("stdout", 3, "e\nf\n")])
    shown.stream.finish()

    out, err = capsys.readouterr()
    assert out.splitlines() == ["[stdout:0] ab", "[stdout:0]", "e", "f", "[stdout:1] c"]
    assert err == "[stderr:1] d\n"


def test_the_result_brings_what_was_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing twice; how it ended comes last."""
    shown = Stream(labelled=False)
    shown.stream.output(1, 0, [("stdout", 0, "one\n"), ("display", 0, displayed("first"))])
    shown.end(
        1,
        0,
        {
            "stdout": "one\ntwo\n",
            "outputs": [
                {"output_type": "stream", "name": "stdout", "length": 4},
                displayed("first"),
                displayed("second"),
                {"output_type": "stream", "name": "stdout", "length": 4},
            ],
        },
    )
    shown.stream.finish()

    assert capsys.readouterr().out.splitlines() == ["one", "first", "second", "two", "end of 1"]


@pytest.mark.parametrize(("attempt", "engine"), [(1, 0), (0, 1)])
def test_what_runs_once_more_is_shown_from_its_beginning(
    capsys: pytest.CaptureFixture[str], attempt: int, engine: int
) -> None:
    """Live, or by the result alone; nothing is taken for what was shown before."""
    shown = Stream(labelled=False)
    shown.stream.output(1, 0, [("stdout", 0, "one\ntwo\n")])
    shown.stream.output(1, engine, [("stdout", 0, "ONE\n")], attempt)
    shown.end(1, engine, {"stdout": "ONE\nTWO\n", "attempt": attempt})
    shown.stream.output(2, 0, [("stdout", 0, "one\ntwo\n")])
    shown.end(2, engine, {"stdout": "TWO\n", "attempt": attempt})
    shown.stream.finish()

    expected = ["one", "two", "ONE", "TWO", "end of 1", "one", "two", "TWO", "end of 2"]
    assert capsys.readouterr().out.splitlines() == expected


def test_a_gap_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """What comes behind it is shown all the same."""
    shown = Stream(labelled=False)
    shown.stream.output(1, 0, [("stdout", 0, "a\n"), ("stdout", 12, "b\n")])
    shown.stream.finish()

    assert capsys.readouterr().out == f"a\n{gap(10)}b\n"


def test_a_gap_of_ours_is_filled(capsys: pytest.CaptureFixture[str]) -> None:
    """There was no room in the queue of what is printed; the session has it, or the result."""
    shown = Stream(labelled=False)
    live = shown.live[1] = LiveRequest(engine=0)
    live.take(Output(1, 1, [("stdout", 0, "a\nb"), ("stdout", 3, "c\n"), ("stdout", 5, "d\n")], 0))
    shown.stream.output(1, 0, [("stdout", 0, "a\n"), ("stdout", 5, "d\n")])
    shown.rows[2] = (2, 0, b"", 0, 0.0, 0.0, {"stdout": "kept", "cut": {"stdout": [4, 2, 0]}})
    shown.stream.output(2, 0, [("stdout", 0, "k"), ("stdout", 5, "!\n")])
    shown.stream.finish()

    assert capsys.readouterr().out == f"a\nbc\nd\nkept{gap(1)}!\n"


def test_displays_that_were_missing_are_told_and_shown_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Those that were shown are not shown twice."""
    shown = Stream(labelled=False)
    shown.stream.output(1, 0, [("display", 0, displayed("a")), ("display", 3, displayed("d"))])
    shown.end(1, 0, {"outputs": [displayed(each) for each in "abcde"]})
    shown.stream.finish()

    assert capsys.readouterr().out.splitlines() == [
        "a",
        "[2 displays of engine 0 took too much room to be shown at once; they are shown when the "
        "result is there]",
        "d", "b", "c", "e", "end of 1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("came", "expected"),
    [
        (0, "kept\n[6 more characters were printed; the end of it is in the engine's log]\n"),
        (7, "kept234\n[3 more characters were printed; the end of it is in the engine's log]\n"),
        (10, "kept234567\n"),
    ],
)
def test_a_note_of_what_was_cut_counts_what_was_shown(
    capsys: pytest.CaptureFixture[str], came: int, expected: str
) -> None:
    """More may have been shown than the result has."""
    note = "\n[6 more characters]\n"
    shown = Stream(labelled=False)
    if came:
        shown.stream.output(1, 0, [("stdout", 0, "kept234567"[:came])])
    shown.end(1, 0, {"stdout": f"kept{note}[and]\n", "cut": {"stdout": [4, 6, len(note)]}})
    shown.stream.finish()

    rest = expected if expected.endswith("log]\n") else expected.rstrip("\n")
    assert capsys.readouterr().out == f"{rest}[and]\nend of 1\n"


def test_a_line_that_is_written_over_stays_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Carriage returns, as progress bars write them, pass through."""
    shown = Stream(labelled=False)
    shown.stream.output(1, 0, [("stderr", 0, "\r10%"), ("stderr", 4, "\r20%")])
    shown.stream.finish()

    assert capsys.readouterr().err.startswith("\r10%\r20%")


def test_a_line_that_is_written_over_keeps_its_label(capsys: pytest.CaptureFixture[str]) -> None:
    """And one of another engine does not write over it."""
    shown = Stream()
    shown.stream.output(1, 0, [("stderr", 0, "\r10%"), ("stderr", 4, "\r20%")])
    shown.stream.output(2, 1, [("stderr", 0, "\r10%\r\n")])
    shown.stream.finish()

    assert capsys.readouterr().err == (
        "\r[stderr:0] 10%\r[stderr:0] 20%\n\r[stderr:1] 10%\r\n\r[stderr:0] 20%\n"
    )


def test_a_terminal_that_is_gone_is_no_trouble(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The log says so, and the result has all of it."""
    shown = Stream(labelled=False)
    shown.stream.output(1, 0, [("display", 0, {"data": 5})])
    shown.stream.finish()

    assert "cannot be shown here" in caplog.text
