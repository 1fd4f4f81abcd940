"""Lines of logs: made readable, and how grave they are."""

from __future__ import annotations

import json
import logging

from ctrlhub.cluster.log_lines import Levels, readable


def test_a_line_of_json_is_made_readable() -> None:
    """Time, level, logger and message come first, then what else is said, and a traceback on lines of its own."""
    said = {"time": "2026-11-27T12:14:55.879+00:00", "level": "error", "logger": "hub", "message": "no", "process": "engine", "profile": "p",
        "engine": 3, "more": 4, "exception": "E: no", "traceback": "a\nb",
    }  # fmt: skip
    text = readable(json.dumps(said))
    assert text.split(" ", 2)[2] == "ERROR hub: no more=4\na\nb"
    assert Levels().of(text) == logging.ERROR


def test_what_is_no_such_json_stays_as_it_is() -> None:
    """Somebody else's line, JSON or not, is shown as it was written."""
    for line in ("printed", "{cut off", '{"time": 3}', '{"time": "x", "level": "info"}', "{}"):
        assert readable(line) == line


def test_a_line_without_a_level_is_information() -> None:
    """What user code prints says no level; what a program logs does."""
    levels = Levels()
    lines = ("2026-11-27 12:14:55,963 WARNING ctrlhub.engine: slow", "printed", "2026-11-27 12:14:55,963 CHATTY x")
    assert [levels.of(line) for line in lines] == [logging.WARNING, logging.INFO, logging.INFO]


def test_a_traceback_is_an_error_to_its_end() -> None:
    """Its last line, which says the error, belongs to it; the next does not."""
    levels = Levels()
    lines = ("Traceback (most recent call last):", '  File "x.py", line 1', "ValueError: no", "printed")
    assert [levels.of(line) for line in lines] == [logging.ERROR] * 3 + [logging.INFO]
