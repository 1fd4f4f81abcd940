"""How values are shown on a terminal."""

from __future__ import annotations

import time

import pytest

from ctrlhub.cli.text import moment, table


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
