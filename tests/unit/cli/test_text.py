"""How values are shown on a terminal."""

from __future__ import annotations

import time

import pytest

from ctrlhub.cli.text import cores, duration, moment, size, table


def test_table_aligns_words_left_and_numbers_right() -> None:
    """Columns line up, and no line ends in blanks."""
    assert table(("id", "host"), [(1, "a"), (12, "node")]) == ["ID  HOST", " 1  a", "12  node"]


def test_table_shows_nothing_as_a_dash() -> None:
    """An unknown value leaves no hole."""
    assert table(("pid",), [(None,)]) == ["PID", "-"]


def test_table_of_nothing_is_its_head() -> None:
    """Without rows the head stands alone."""
    assert table(("id",), []) == ["ID"]


@pytest.fixture
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.mark.usefixtures("_utc")
def test_moment_is_local_time_with_its_offset() -> None:
    """A time can be read without knowing where the hub runs."""
    assert moment(0.0) == "1970-01-01 00:00:00+00:00"


def test_moment_that_is_text_or_unknown() -> None:
    """What the hub wrote out stays as it is."""
    assert (moment("today"), moment(None)) == ("today", "-")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0 ms"),
        (0.00123, "1.23 ms"),
        (1.26, "1.3 s"),
        (119.0, "119.0 s"),
        (125.0, "2 min"),
        (3 * 3600 + 7 * 60, "3 h 07 min"),
        (50 * 3600, "2 d 2 h"),
    ],
)
def test_duration_in_the_unit_that_suits(seconds: float, said: str) -> None:
    """From a thousandth of a second to days."""
    assert duration(seconds) == said


def test_names_of_others_do_nothing_to_the_terminal() -> None:
    """What controls a terminal is shown, not done."""
    assert table(("label",), [("a\x1b[2Jb\nc\x9b",)]) == ["LABEL", "a\\x1b[2Jb\\x0ac\\x9b"]


def test_what_is_used_in_the_unit_that_suits_it() -> None:
    """And a dash where that is unknown."""
    assert [cores(each) for each in (None, 0.0, 0.987, 12.0)] == ["-", "0%", "99%", "1200%"]
    sizes = (None, 0, 1023, 1024, 60 << 20, 3 << 29, 5 << 40)
    assert [size(each) for each in sizes] == ["-", "0 B", "1023 B", "1 KiB", "60 MiB", "1.5 GiB", "5.0 TiB"]
