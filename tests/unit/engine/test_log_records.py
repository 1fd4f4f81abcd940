"""What user code logs, on its way to clients."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from ctrlhub.engine import log_records
from ctrlhub.engine.log_records import INTERVAL, NEVER, ForwardedLogs, LogStream

ROOT, NAME = "", "user.code"


class Followed:
    """Forwarded logs, and how often they were announced."""

    def __init__(self) -> None:
        self.announced = 0
        self.logs = ForwardedLogs(self._announce)

    def _announce(self) -> None:
        self.announced += 1

    def messages(self) -> list[str]:
        """Take what there is, as text."""
        return [record["message"] for record in self.logs.take()[0]]


@pytest.fixture
def followed() -> Iterator[Followed]:
    """Forwarded logs, which follow nothing yet; no logger of this process stays changed."""
    made = Followed()
    yield made
    made.logs.follow({})


def test_records_from_a_level_on(followed: Followed) -> None:
    """Of a logger and those beneath it; one that keeps them to itself is opened."""
    logger, below = logging.getLogger(NAME), logging.getLogger(f"{NAME}.part")
    assert not logger.isEnabledFor(logging.INFO)
    followed.logs.follow({NAME: logging.INFO})

    logger.debug("too low")
    logger.info("%d is enough", 1)
    below.warning("from below")
    logging.getLogger("user.codes").error("another one")

    assert followed.announced == 1
    assert followed.messages() == ["1 is enough", "from below"]


def test_what_is_sent_of_one(followed: Followed) -> None:
    """All that a handler may want to show, the traceback as text."""
    followed.logs.follow({ROOT: logging.WARNING})
    try:
        raise ValueError("no good")
    except ValueError:
        logging.getLogger(NAME).exception("it failed")

    ((record,), more) = followed.logs.take()

    assert more is False
    assert (record["name"], record["levelno"], record["levelname"]) == (NAME, 40, "ERROR")
    assert record["traceback"].endswith("ValueError: no good")
    assert record["pathname"] == __file__
    assert record["function"] == "test_what_is_sent_of_one"


def test_two_loggers_that_both_see_it(followed: Followed) -> None:
    """It is sent once."""
    followed.logs.follow({ROOT: logging.INFO, NAME: logging.INFO})
    logging.getLogger(NAME).info("once")
    assert followed.messages() == ["once"]


def test_afterwards_loggers_are_as_before(followed: Followed) -> None:
    """Their levels and handlers."""
    logger = logging.getLogger(NAME)
    before = logger.level, list(logger.handlers)
    followed.logs.follow({NAME: logging.DEBUG})
    followed.logs.follow({})

    logger.error("nobody wants it")

    assert (logger.level, logger.handlers) == before
    assert followed.messages() == []


def test_what_came_from_an_engine_is_not_sent_again(followed: Followed) -> None:
    """A client in the same process hands it to the same loggers."""
    followed.logs.follow({ROOT: logging.INFO})
    logging.getLogger(NAME).error("from engine 0", extra={"engine_id": 0})
    assert followed.messages() == []


def test_a_record_whose_arguments_do_not_fit(followed: Followed) -> None:
    """It is told of all the same."""
    followed.logs.follow({NAME: logging.INFO})
    record = logging.LogRecord(NAME, logging.INFO, __file__, 1, "%d", ("text",), None)
    followed.logs.emit(record)
    assert followed.messages() == ["'%d' (its arguments do not fit: TypeError)"]


def test_of_a_flood_the_number_is_told(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits is bounded, and so is what leaves at a time."""
    monkeypatch.setattr(log_records, "MOST_WAITING", 3)
    monkeypatch.setattr(log_records, "MOST_AT_ONCE", 2)
    followed.logs.follow({NAME: logging.INFO})
    for number in range(10):
        logging.getLogger(NAME).info("%d", number)

    first, more = followed.logs.take()
    assert ([each["message"] for each in first], more) == (["0", "1"], True)
    last, more = followed.logs.take()
    assert more is False
    assert [each["message"] for each in last] == [
        "2", "7 more records were logged than can be forwarded"
    ]  # fmt: skip


def test_records_gather(followed: Followed) -> None:
    """The first leaves at once, those behind it after a moment."""
    stream = LogStream()
    followed.logs.follow({NAME: logging.INFO})
    logger = logging.getLogger(NAME)
    logger.info("one")
    stream.written(5.0)
    assert stream.due == 5.0
    (message,) = stream.messages(followed.logs.take, 5.0)
    assert [each["message"] for each in message.records] == ["one"]
    assert stream.due == NEVER

    logger.info("two")
    stream.written(5.01)
    assert stream.due == 5.0 + INTERVAL
