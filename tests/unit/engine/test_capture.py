"""What one request puts out: bounded for its result, bounded for showing, in order."""

from __future__ import annotations

from typing import Any

import pytest

from ctrlhub.engine.capture import QUEUED_BYTES, Capture
from ctrlhub.engine.kept import MOST_PIECES
from ctrlhub.wire.errors import LimitExceeded
from ctrlhub.wire.limits import OUTPUT_DISPLAY_BYTES, OUTPUT_TEXT_BYTES, OUTPUT_WINDOW


def shown(text: str) -> dict[str, Any]:
    """Something displayed."""
    return {"output_type": "display_data", "data": {"text/plain": text}, "metadata": {}}


def taken(capture: Capture, most: int = 1000) -> list[tuple[str, int, Any]]:
    """All that is to be shown."""
    items = []
    while capture.waits:
        some, _ = capture.take(most)
        items += some
    return items


def test_nothing_is_nothing() -> None:
    """A capture without output has no extras."""
    assert Capture(1).extras() == {}
    assert not Capture(1).waits


def test_text_of_one_stream_needs_no_order() -> None:
    """However it was written."""
    capture = Capture(1)
    for part in ("a", "b", "\n"):
        capture.add_text("stdout", part)

    assert capture.extras() == {"stdout": "ab\n"}


def test_the_order_of_all_is_kept() -> None:
    """Text by its length, in characters, and what was displayed."""
    capture = Capture(1)
    capture.add_text("stdout", "ä")
    capture.add_text("stdout", "b")
    capture.add_display(shown("figure"))
    capture.add_text("stderr", "c")

    extras = capture.extras()
    assert (extras["stdout"], extras["stderr"]) == ("äb", "c")
    assert extras["outputs"] == [
        {"output_type": "stream", "name": "stdout", "length": 2},
        shown("figure"),
        {"output_type": "stream", "name": "stderr", "length": 1},
    ]


def test_text_in_many_pieces_is_bounded_too() -> None:
    """The order of the first pieces is kept, and all of the text."""
    capture = Capture(1)
    for _ in range(MOST_PIECES):
        capture.add_text("stdout", "o")
        capture.add_text("stderr", "e")

    extras = capture.extras()
    assert len(extras["outputs"]) == MOST_PIECES
    assert extras["stdout"] == "o" * MOST_PIECES


def test_a_limit_counts_bytes_and_cuts_between_characters() -> None:
    """What is missing is counted in characters."""
    capture = Capture(1, text_limit=5)
    capture.add_text("stdout", "äää")

    extras = capture.extras()
    assert extras["stdout"].startswith("ää\n[1 more characters were printed")
    assert extras["cut"] == {"stdout": [2, 1, len(extras["stdout"]) - 2]}


def test_what_is_kept_has_no_gaps() -> None:
    """Once something was too long to be kept, what is shorter is not kept, either."""
    capture = Capture(1, text_limit=5)
    for text in ("ää", "ä", "b"):
        capture.add_text("stdout", text)

    assert capture.extras()["stdout"].startswith("ää\n[2 more characters were printed")
    assert taken(capture) == [("stdout", 0, "äääb")]


def test_what_is_too_large_to_display_is_told() -> None:
    """With its size and types; what is small is displayed still."""
    capture = Capture(1)
    capture.add_display(shown("x" * OUTPUT_DISPLAY_BYTES))
    capture.add_display(shown("small"))

    first, second = capture.extras()["outputs"]
    assert first["data"]["text/plain"].startswith("[not shown: a display of 4194")
    assert "text/plain" in first["data"]["text/plain"]
    assert second == shown("small")


def test_any_number_of_displays_is_bounded() -> None:
    """Also of those that are told to be too many."""
    capture = Capture(1)
    for _ in range(300):
        capture.add_display(shown("x" * 50_000))

    assert sum(len(str(each)) for each in capture.extras()["outputs"]) < 1.1 * OUTPUT_DISPLAY_BYTES


def test_published_data_is_the_last_of_each_name() -> None:
    """And too much of it is refused, which changes nothing."""
    capture = Capture(1)
    capture.add_data({"a": b"1", "b": b"2"})
    capture.add_data({"a": b"3"})

    with pytest.raises(LimitExceeded, match="pull"):
        capture.add_data({"c": b"x" * OUTPUT_DISPLAY_BYTES})
    assert capture.extras()["data"] == {"a": b"3", "b": b"2"}


def test_what_waits_is_joined_and_placed() -> None:
    """Text that was written in pieces is one item; positions count characters and displays."""
    capture = Capture(1)
    for text in ("a", "b\n"):
        capture.add_text("stdout", text)
    capture.add_display(shown("f"))
    capture.add_text("stdout", "c")
    capture.add_display(shown("g"))
    capture.add_data({"x": b"1"})

    assert taken(capture) == [
        ("stdout", 0, "ab\n"),
        ("display", 0, shown("f")),
        ("stdout", 3, "c"),
        ("display", 1, shown("g")),
        ("data", 0, {"x": b"1"}),
    ]
    assert not capture.waits


def test_a_long_text_is_taken_in_parts() -> None:
    """Each where the last one ended."""
    capture = Capture(1)
    capture.add_text("stdout", "ä" * 100)

    items = [item for _ in range(7) for item in capture.take(30)[0]]
    assert "".join(item[2] for item in items) == "ä" * 100
    assert [item[1] for item in items] == list(range(0, 100, 15))


def test_all_that_is_kept_is_shown_however_late() -> None:
    """Nobody looks until the end; nothing of what the result has is missing."""
    capture = Capture(1)
    lines = [f"line {n}\n" for n in range(200_000)]
    for line in lines:
        capture.add_text("stdout", line)

    items = taken(capture, 60_000)
    text = "".join(item[2] for item in items)
    assert text == "".join(lines)[: len(text)]
    assert len(text) >= OUTPUT_TEXT_BYTES
    assert [item[1] for item in items[1:]] == [item[1] + len(item[2]) for item in items[:-1]]


def test_the_order_in_which_it_is_shown_is_that_of_writing() -> None:
    """As it grows, whatever fits into a message."""
    capture = Capture(1)
    written, seen = [], []
    for n in range(300):
        name = "stdout" if n % 3 else "stderr"
        written.append((name, f"<{n}>"))
        capture.add_text(name, f"<{n}>")
        if n % 7 == 0:
            capture.add_display(shown(str(n)))
            written.append(("display", str(n)))
        if n % 5 == 0:
            seen += capture.take(9)[0]
    seen += taken(capture, 9)

    flat = [
        (kind, value if kind != "display" else value["data"]["text/plain"])
        for kind, _, value in seen
    ]
    assert "".join(f"{kind}{text}" for kind, text in joined(flat)) == "".join(
        f"{kind}{text}" for kind, text in joined(written)
    )


def joined(pieces: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Neighbouring texts of one stream as one."""
    found: list[tuple[str, str]] = []
    for kind, text in pieces:
        if found and kind != "display" and found[-1][0] == kind:
            found[-1] = (kind, found[-1][1] + text)
        else:
            found.append((kind, text))
    return found


def test_what_was_shown_is_shown_again_from_a_mark_on() -> None:
    """With what has come since: text, displays, and the last of what was published."""
    capture = Capture(1)
    capture.add_text("stdout", "one ")
    taken(capture)
    mark = capture.mark
    capture.add_text("stdout", "two ")
    capture.add_display(shown("figure"))
    capture.add_data({"x": b"1"})
    taken(capture)
    capture.add_text("stdout", "three")

    capture.go_back(mark)

    assert taken(capture) == [
        ("stdout", 4, "two "),
        ("display", 0, shown("figure")),
        ("stdout", 8, "three"),
        ("data", 1, {"x": b"1"}),
    ]


def test_text_whose_order_is_not_kept_is_shown_all_the_same() -> None:
    """Beyond so many pieces."""
    capture = Capture(1)
    for _ in range(MOST_PIECES):
        capture.add_text("stdout", "o")
        capture.add_text("stderr", "e")
        if capture.waits:
            capture.take(1000)
    capture.add_text("stdout", "end")
    items = taken(capture)
    assert items[-1] == ("stdout", MOST_PIECES, "end")


def test_what_is_not_kept_waits_within_bounds_and_positions_tell_what_was_left_out() -> None:
    """A client that does not follow costs an engine no memory."""
    capture = Capture(1, text_limit=1000)
    written = 0
    while written < 3 * QUEUED_BYTES:
        capture.add_text("stdout", "x" * 1000)
        written += 1000

    shown_before = sum(len(item[2]) for item in taken(capture, 100_000))
    assert 0.5 * QUEUED_BYTES < shown_before <= QUEUED_BYTES + 1000
    capture.add_text("stdout", "later")
    assert taken(capture) == [("stdout", written, "later")]


def test_what_is_larger_than_the_window_is_kept_and_not_queued() -> None:
    """It comes with the result; the position of the next one tells."""
    capture = Capture(1)
    large = shown("x" * OUTPUT_WINDOW)
    capture.add_display(large)
    capture.add_display(shown("small"))

    assert taken(capture) == [("display", 1, shown("small"))]
    assert capture.extras()["outputs"] == [large, shown("small")]


def test_what_never_came_is_told_behind_what_did() -> None:
    """Also where nothing did, and where there was too much of it."""
    capture = Capture(1, text_limit=4)
    capture.miss_text("stderr", 5)
    capture.add_text("stdout", "much more")
    capture.miss_text("stdout", 1)
    capture.miss_text("stdout", 2)

    extras = capture.extras()

    missed = "more bytes were written by code that let nobody read them; the last of them are in the engine's log]\n"
    assert extras["stderr"] == f"\n[5 {missed}"
    assert extras["stdout"].startswith("much\n[5 more characters")
    assert extras["stdout"].endswith(f"\n[3 {missed}")
