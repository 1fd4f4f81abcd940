"""The ends of files, and what comes: whole lines, each once, also across rotations and cuts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.cluster import tailing
from ctrlhub.cluster.tailing import Tail


def add(path: Path, text: str) -> None:
    """Append to a file."""
    with path.open("a") as file:
        file.write(text)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that is not there yet."""
    return tmp_path / "some.log"


@given(
    st.lists(st.text(st.characters(codec="ascii", exclude_characters="\n\r"), max_size=30), max_size=12),
    st.booleans(),
    st.integers(0, 14),
    st.integers(1, 40),
)  # fmt: skip
def test_the_last_lines(tmp_path_factory: pytest.TempPathFactory, lines: list[str], ends: bool, count: int, block: int) -> None:
    """Those that are wanted, whatever their lengths, and whether or not the last has an end."""
    path = tmp_path_factory.getbasetemp() / "lines.log"
    text = "\n".join(lines) + ("\n" if ends and lines else "")
    path.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tailing, "BLOCK", block)
        tail = Tail(path, count)
        found = tail.finish()
        tail.close()

    whole = text.split("\n")
    there = whole if whole[-1] else whole[:-1]
    assert found == (there[-count:] if count else [])


def test_what_is_added(path: Path) -> None:
    """Each line once it has an end."""
    path.write_text("one\ntwo\n")
    tail = Tail(path, 1)
    assert tail.read() == ["two"]
    add(path, "thr")
    assert tail.read() == []
    add(path, "ee\nfour\n")
    assert tail.read() == ["three", "four"]
    add(path, "five")
    assert tail.finish() == ["five"]
    tail.close()


def test_a_file_that_is_set_aside(path: Path) -> None:
    """It is read to its end, and then the one that has its name, from the beginning."""
    path.write_text("one\n")
    tail = Tail(path, 5)
    assert tail.read() == ["one"]
    add(path, "two\nlast words")
    os.replace(path, path.with_name("some.log.old"))
    assert tail.read() == ["two"]  # nobody has its name yet: it may be written to
    path.write_text("three\n")
    assert tail.read() == ["last words", "three"]
    tail.close()


def test_two_files_that_are_set_aside_between_two_looks(path: Path) -> None:
    """The second is read as well, from where it was put."""
    path.write_text("one\n")
    tail = Tail(path, 5)
    assert tail.read() == ["one"]
    add(path, "two\n")
    for text in ("three\nfour\n", "five\n"):
        os.replace(path, path.with_name("some.log.old"))
        path.write_text(text)
    assert tail.read() == ["two", "three", "four", "five"]
    add(path, "six\n")
    assert tail.read() == ["six"]
    tail.close()


def test_what_was_set_aside_long_before_is_no_follower(path: Path) -> None:
    """A file that somebody has removed is followed by the one that has its name."""
    aside = path.with_name("some.log.old")
    aside.write_text("zero\n")
    os.utime(aside, (1, 1))
    path.write_text("one\n")
    tail = Tail(path, 1)
    assert tail.read() == ["one"]
    path.unlink()
    path.write_text("two\n")
    assert tail.read() == ["two"]
    tail.close()


@pytest.mark.parametrize("lines", range(6))
def test_the_last_lines_of_two_files(path: Path, lines: int) -> None:
    """Where one is too short, the one that was set aside before it is begun with."""
    path.with_name("some.log.old").write_text("one\ntwo\nthree\n")
    path.write_text("four\n")
    tail = Tail(path, lines)
    assert tail.read() == ["one", "two", "three", "four"][max(0, 4 - lines) :]
    add(path, "five\n")
    assert tail.read() == ["five"]
    tail.close()


def test_a_file_that_is_cut(path: Path) -> None:
    """It is read from its new beginning."""
    path.write_text("one\ntwo\nthree\n")
    tail = Tail(path, 5)
    assert tail.read() == ["one", "two", "three"]
    path.write_text("four\n")  # the same file, shorter
    assert tail.read() == ["four"]
    tail.close()


def test_a_file_that_comes_later(path: Path) -> None:
    """It is read from its beginning."""
    tail = Tail(path, 1)
    assert tail.read() == []
    path.write_text("one\ntwo\n")
    assert tail.read() == ["one", "two"]
    path.unlink()
    assert tail.read() == []
    path.write_text("three\n")
    assert tail.read() == ["three"]
    tail.close()


def test_a_line_without_end_is_shown_in_pieces(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded."""
    monkeypatch.setattr(tailing, "LONGEST_LINE", 10)
    monkeypatch.setattr(tailing, "BLOCK", 6)
    path.write_text("x" * 30)
    tail = Tail(path, 1)
    assert tail.read() == ["x" * 12, "x" * 12]
    assert tail.finish() == ["x" * 6]
    tail.close()
