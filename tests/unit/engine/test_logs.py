"""The logs of engines."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctrlhub.engine.logs import (
    KEPT_BYTES,
    LAST_BYTES,
    LAST_LINES,
    LOOK_BYTES,
    LastWords,
    LogBound,
    bound,
    last_lines,
    lock,
    size_of,
)


def test_the_last_lines_are_few_and_short(tmp_path: Path) -> None:
    """Enough to see what happened, not more than a message should carry."""
    log = tmp_path / "engine-0.log"
    log.write_text("".join(f"line {n}\n" for n in range(1000)))

    assert last_lines(log).splitlines() == [f"line {n}" for n in range(1000 - LAST_LINES, 1000)]

    log.write_bytes(b"\xff" * 100_000)
    assert len(last_lines(log)) == LAST_BYTES


def test_the_lines_of_an_earlier_writer_are_not_quoted(tmp_path: Path) -> None:
    """A log serves one process after another; one that was cut meanwhile is all the last one's."""
    log = tmp_path / "engine-0.log"
    assert size_of(log) == 0
    log.write_text("the first one\n")
    start = size_of(log)
    with log.open("a") as file:
        file.write("the second one\n")
    assert last_lines(log, start) == "the second one"

    log.write_text("cut\n")

    assert last_lines(log, start) == "cut"


def test_last_words_are_of_late(tmp_path: Path) -> None:
    """What a process has written long before its end, or another one before it, are none."""
    log = tmp_path / "engine-0.log"
    log.write_text("the former process\n")
    words = LastWords(log)
    words.begin()
    assert words.text() == ""
    with log.open("a") as file:
        file.write("hello\n")
    words.mark()
    assert words.text() == "hello"
    with log.open("a") as file:
        file.write("Segmentation fault\n")
    assert words.text() == "hello\nSegmentation fault"

    words.mark()
    assert words.text() == "Segmentation fault"
    words.mark()
    assert words.text() == ""


def test_last_words_are_those_of_what_ran(tmp_path: Path) -> None:
    """What others have written before is not quoted, cut or not."""
    log = tmp_path / "engine-0.log"
    log.write_text("of another\n")
    words = LastWords(log, most=20)
    since = size_of(log)
    with log.open("a") as file:
        assert words.text(since) == ""
        file.write("mine\n")
        file.flush()
        assert words.text(since) == "mine"
        file.write("and mine, too\n")
        file.flush()
        bound(log, most=20)
        # The log had 20 bytes at least, 9 of them behind the other's.
        assert words.text(since) == "ine, too"
        file.write("end\n")
        file.flush()
        assert words.text(since) == "ine, too\nend"
        assert words.text(size_of(log)) == ""


def test_a_log_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    """A report of a death goes out all the same."""
    assert last_lines(tmp_path / "engine-0.log") == ""


def test_a_large_log_is_cut_and_its_end_kept(tmp_path: Path) -> None:
    """Beside it, and closed to others."""
    log = tmp_path / "engine-0.log"
    with open(log, "ab", buffering=0) as writer:
        writer.write(b"a" * KEPT_BYTES + b"b" * KEPT_BYTES)
        bound(log, most=KEPT_BYTES)
        writer.write(b"c")

    kept = tmp_path / "engine-0.old.log"
    assert log.read_bytes() == b"c"
    assert kept.read_bytes() == b"b" * KEPT_BYTES
    assert kept.stat().st_mode & 0o777 == 0o600


def test_other_logs_stay(tmp_path: Path) -> None:
    """Small ones, and ones that are not there."""
    log = tmp_path / "engine-0.log"
    bound(log)
    log.write_text("hello")
    bound(log)

    assert log.read_text() == "hello"


def test_a_writer_looks_after_so_many_bytes(tmp_path: Path) -> None:
    """Of its own: so the bound holds however fast it writes."""
    log = tmp_path / "engine-0.log"
    bounded = LogBound(log, most=KEPT_BYTES)
    with open(log, "ab", buffering=0) as writer:
        writer.write(b"a" * (KEPT_BYTES + 1))
        bounded.wrote(LOOK_BYTES - 1)
        assert size_of(log) == KEPT_BYTES + 1
        bounded.wrote(1)
        assert size_of(log) == 0

        writer.write(b"b" * (KEPT_BYTES + 1))
        bounded.wrote(LOOK_BYTES - 1)
        assert size_of(log) == KEPT_BYTES + 1


def test_one_at_a_time_cuts_a_log(tmp_path: Path) -> None:
    """Else the end that the first one kept would be replaced by nothing."""
    log = tmp_path / "engine-0.log"
    log.write_bytes(b"a" * 100)
    with log.open() as other:
        assert lock(other.fileno())
        bound(log, most=10)
        assert size_of(log) == 100
    bound(log, most=10)
    assert size_of(log) == 0


def test_a_log_whose_end_cannot_be_kept_is_cut_nevertheless(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk is what it must not bring about; it is said."""
    log = tmp_path / "engine-0.log"
    log.write_bytes(b"a" * 100)
    log.with_suffix(".old.log").mkdir()

    LogBound(log, most=10).look()

    assert size_of(log) == 0
    assert "is lost: cannot write" in caplog.text


def test_last_words_before_a_cut_are_found_beside_the_log(tmp_path: Path) -> None:
    """Also where the log has grown beyond the mark again."""
    log = tmp_path / "engine-0.log"
    log.write_text("the former process\n")
    words = LastWords(log)
    words.begin()
    with log.open("a") as file:
        file.write("x" * LAST_BYTES + "\nfirst\n")
        file.flush()
        bound(log, most=10)
        assert words.text().splitlines()[-1] == "first"
        file.write("second\n")
    assert words.text().splitlines()[-2:] == ["first", "second"]

    with log.open("a") as file:
        file.write("y" * 100 + "\n")
    words.mark()
    words.mark()
    assert words.text() == ""
    with log.open("a") as file:
        file.write("third\n")
    assert words.text() == "third"
