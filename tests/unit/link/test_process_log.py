"""The log of a process: JSON that says whose it is, or text."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime

import pytest

from ctrlhub.link.process_log import JsonLines, check_log_format, start_logging


def record(message: str = "hello %s", *arguments: object, error: BaseException | None = None) -> logging.LogRecord:
    """Return a record."""
    info = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord("ctrlhub.part", logging.WARNING, "file.py", 1, message, arguments, info)


def test_a_record_is_one_object_on_one_line() -> None:
    """Time in UTC, level, logger and message; whatever is in the message, it is one line."""
    line = JsonLines().format(record("two\nlines of %s", 'a "text" with \x1b[31m and é'))
    assert "\n" not in line
    assert line.isascii()
    said = json.loads(line)
    assert datetime.fromisoformat(said.pop("time")).utcoffset() == datetime.now().astimezone().utcoffset() * 0
    assert said == {
        "level": "warning", "logger": "ctrlhub.part", "message": 'two\nlines of a "text" with \x1b[31m and é',
    }  # fmt: skip


def test_what_is_told_of_the_process_is_as_it_is_then() -> None:
    """An engine has its number once it has registered."""
    about: dict[str, object] = {"process": "engine", "profile": "night"}
    lines = JsonLines(lambda: about)
    assert "engine" not in json.loads(lines.format(record("x")))
    about["engine"] = 3
    said = json.loads(lines.format(record("x")))
    assert (said["process"], said["profile"], said["engine"]) == ("engine", "night", 3)


def test_an_exception_has_its_name_and_its_traceback() -> None:
    """Both are in the one line."""
    try:
        raise ValueError("wrong\nvalue")
    except ValueError as error:
        line = JsonLines().format(record("failed", error=error))
    assert "\n" not in line
    said = json.loads(line)
    assert said["exception"] == "ValueError: wrong\nvalue"
    assert said["traceback"].startswith("Traceback (most recent call last):\n")


@pytest.mark.parametrize("form", ["json", "text"])
def test_both_forms_go_to_standard_error(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And the root logger, which is user code's, hears of nothing."""
    name = f"ctrlhub.test_{form}"
    logger = logging.getLogger(name)
    try:
        start_logging("warning", form, lambda: {"process": "hub"}, logger=name)
        logger.info("not this")
        logger.warning("but %d", 1)
    finally:
        logger.handlers[:] = []
        logger.propagate = True
    [line] = capsys.readouterr().err.splitlines()
    if form == "json":
        assert json.loads(line)["message"] == "but 1"
        assert json.loads(line)["process"] == "hub"
    else:
        assert line.endswith(f"WARNING {name}: but 1")


def test_a_programs_own_handlers_of_the_root_stay() -> None:
    """The supervisor logs by the root logger, but where somebody has said how, it stays so."""
    root = logging.getLogger()
    mine, level = logging.StreamHandler(sys.stderr), root.level
    root.addHandler(mine)
    try:
        before = list(root.handlers)
        start_logging("WARNING", "json", logger="")
        assert root.handlers == before
    finally:
        root.removeHandler(mine)
        root.setLevel(level)


@pytest.mark.parametrize("form", ["xml", "JSON", "json "])
def test_no_other_form(form: str) -> None:
    """What there is is named."""
    with pytest.raises(ValueError, match="json, text"):
        check_log_format(form)
