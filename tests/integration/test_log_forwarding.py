"""What user code logs on engines, in the client's own logging."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ctrlhub import Client, InvalidEngineID
from tests.support.processes import until

LOG = "import logging; logging.getLogger('user.code').{}"


@pytest.fixture(autouse=True)
def unchanged(client: Client) -> Iterator[None]:
    """Nothing is forwarded when a test is over."""
    yield
    client.unforward_logging()
    client.unforward_logging("user")


def records(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int]]:
    """What has come: text and engine."""
    return [
        (record.getMessage(), record.__dict__["engine_id"])
        for record in caplog.records
        if "engine_id" in record.__dict__
    ]


def test_records_come_as_they_are_logged(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """While the code runs, with logger, level, text and engine."""
    caplog.set_level("INFO")
    client.forward_logging("INFO")
    result = client[1].execute(
        LOG.format("info('number %d', 5)") + "\nimport time; time.sleep(600)"
    )

    until(lambda: records(caplog) == [("number 5", 1)], "the record")
    assert not result.done()
    (record,) = [r for r in caplog.records if "engine_id" in r.__dict__]
    assert (record.name, record.levelname) == ("user.code", "INFO")
    client.interrupt(1)
    result.wait(60)


def test_a_traceback_comes_along(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """As text."""
    client.forward_logging("ERROR", "user")
    client[0].execute("try:\n    1 / 0\nexcept ZeroDivisionError:\n    " + LOG.format("exception('x')"))

    until(lambda: "ZeroDivisionError: division by zero" in caplog.text, "the traceback")


ODD = """
import logging
from fractions import Fraction

class Stubborn:
    def __str__(self): raise ValueError
    def __repr__(self): raise ValueError

def _odd(**fields):
    record = logging.makeLogRecord({"name": "user.code", "levelno": 40, "msg": "odd", **fields})
    logging.getLogger("user.code").handle(record)

_odd(lineno=Fraction(1, 2))
_odd(levelname=Stubborn())
logging.getLogger("user.code").error(Stubborn())
logging.getLogger("user.code").error("and the next")
"""


def test_odd_records(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """They cost neither the engine nor the code that logs them, nor the records behind them."""
    client.forward_logging("ERROR", "user")
    client[0].execute(ODD, block=True)

    until(lambda: ("and the next", 0) in records(caplog), f"the last record, not {records(caplog)}")
    assert ("odd", 0) in records(caplog)
    assert client[0].apply_sync(int, "7") == 7


def test_some_engines_and_loggers(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """No others; and none any more after that."""
    caplog.set_level("INFO")
    client[0].forward_logging("INFO", "user")
    client[:].execute(LOG.format("info('one')"), block=True)
    client[:].execute("logging.getLogger('other').error('two')", block=True)
    until(lambda: records(caplog) == [("one", 0)], f"the record, not {records(caplog)}")

    client.unforward_logging("user")
    client.forward_logging("INFO", "marker")
    client[:].execute(LOG.format("error('three')"), block=True)
    client[0].execute("logging.getLogger('marker').error('four')", block=True)
    until(lambda: ("four", 0) in records(caplog), "the last record")
    client.unforward_logging("marker")
    assert records(caplog) == [("one", 0), ("four", 0)]


def test_engines_that_come_later(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """They are told before they do anything."""
    client.forward_logging("WARNING")
    client.restart(1)
    client[1].execute(LOG.format("warning('from the new one')"), block=True)
    until(lambda: ("from the new one", 1) in records(caplog), "the record")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [(("LOUD",), ValueError), ((None,), TypeError), ((True,), TypeError), (("INFO", 5), TypeError),
     (("INFO", "", [99]), InvalidEngineID)],
)  # fmt: skip
def test_what_cannot_be_forwarded(
    client: Client, arguments: tuple[object, ...], error: type[Exception]
) -> None:
    """It is said at once."""
    with pytest.raises(error):
        client.forward_logging(*arguments)  # type: ignore[arg-type]
