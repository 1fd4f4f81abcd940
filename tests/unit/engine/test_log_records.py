"""What user code logs, on its way to clients."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest

from ctrlhub.engine import log_records
from ctrlhub.engine.log_records import INTERVAL, NEVER, ForwardedLogs, LogStream
from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.limits import OUTPUT_MESSAGE_BYTES
from ctrlhub.wire.messages import LogRecords

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
def logger() -> Iterator[logging.Logger]:
    """The logger of user code, which has its own level again afterwards."""
    logger = logging.getLogger(NAME)
    before = logger.level
    yield logger
    logger.setLevel(before)


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


class Stubborn:
    """Raises whatever is asked of it."""

    def __str__(self) -> str:
        raise ValueError("no text")

    def __repr__(self) -> str:
        raise KeyError("nor this")


@pytest.mark.parametrize(
    "field",
    [
        {"lineno": Fraction(1, 2)}, {"lineno": None}, {"lineno": 1 << 70}, {"levelno": 1 << 70},
        {"levelno": True}, {"created": "now"}, {"created": Fraction(1, 2)}, {"pathname": None},
        {"pathname": 5}, {"funcName": 5}, {"funcName": b"f"}, {"levelname": None}, {"name": "user.code"},
        {"msg": "\udc80 is half a character"}, {"msg": Stubborn()}, {"msg": b"bytes", "args": None},
        {"exc_text": 5}, {"exc_info": None},
    ],
    ids=lambda field: next(iter(field)),
)  # fmt: skip
def test_a_record_with_an_odd_field(followed: Followed, field: dict[str, Any]) -> None:
    """User code may put anything there; it is told of all the same, and can be sent."""
    followed.logs.follow({NAME: 1})
    record = logging.makeLogRecord({"name": NAME, "levelno": 20, "msg": "odd", **field})

    followed.logs.handle(record)  # pytest's own handlers take no such record

    (sent,) = followed.logs.take()[0]
    header, *frames = encode(LogRecords([sent]))
    message = decode(header, frames)
    assert isinstance(message, LogRecords)
    assert list(message.records) == [sent]
    assert {key: type(value) for key, value in sent.items()} == {
        "name": str, "levelno": int, "levelname": str, "message": str, "created": float,
        "pathname": str, "lineno": int, "function": str, "traceback": str,
    }  # fmt: skip


def test_a_record_that_cannot_be_told_of(
    followed: Followed, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever logs it goes on, and sees why on the engine, as with any handler of logging."""
    followed.logs.follow({NAME: 1})
    record = logging.makeLogRecord({"name": NAME, "levelno": 20, "levelname": Stubborn()})

    followed.logs.handle(record)  # pytest's own handlers take no such record

    assert followed.messages() == []
    assert "no text" in capsys.readouterr().err


def test_a_level_that_was_set_meanwhile_stays(followed: Followed, logger: logging.Logger) -> None:
    """It is user code's own wish, and nobody's business afterwards."""
    followed.logs.follow({NAME: logging.DEBUG})
    logger.setLevel(logging.ERROR)
    followed.logs.follow({})
    assert logger.level == logging.ERROR


def test_a_wish_that_rises(followed: Followed, logger: logging.Logger) -> None:
    """The logger is no more open than it has to be, and in the end as it was."""
    logger.setLevel(logging.CRITICAL)
    followed.logs.follow({NAME: logging.DEBUG})
    followed.logs.follow({NAME: logging.ERROR})
    assert logger.level == logging.ERROR
    followed.logs.follow({})
    assert logger.level == logging.CRITICAL


def test_a_wish_that_another_one_has_served(followed: Followed) -> None:
    """A logger inherits from one above; when that is as it was, it is opened itself."""
    root, logger = logging.getLogger(), logging.getLogger(NAME)
    before = root.level
    followed.logs.follow({ROOT: logging.DEBUG, NAME: logging.DEBUG})
    followed.logs.follow({NAME: logging.DEBUG})
    assert root.level == before
    logger.debug("still wanted")
    assert followed.messages() == ["still wanted"]


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


def test_long_records_leave_few_at_a_time(followed: Followed) -> None:
    """A message is bounded by its bytes: the hub may have to keep a thousand for a client that stands."""
    followed.logs.follow({NAME: logging.INFO})
    for _ in range(100):
        logging.getLogger(NAME).info("%s", "\N{SNOWMAN}" * 10_000)

    sizes, more = [], True
    while more:
        records, more = followed.logs.take()
        sizes.append(sum(map(len, encode(LogRecords(records)))))

    assert len(sizes) > 1
    assert max(sizes) < 2 * OUTPUT_MESSAGE_BYTES


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
