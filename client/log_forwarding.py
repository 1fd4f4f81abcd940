"""What engines log, handed to this program's own logging."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from ctrlhub.client.connection import Connection
from ctrlhub.client.targets import Targets
from ctrlhub.link.guarded_log import report
from ctrlhub.wire.errors import HubUnavailable
from ctrlhub.wire.messages import LogRecords

LOOK = 0.1
"""How soon (seconds) to ask the hub again for a sign on the stream of notifications."""

_FIELDS: Mapping[str, tuple[str, type | tuple[type, ...]]] = {
    "levelname": ("levelname", str),
    "message": ("msg", str),
    "created": ("created", (int, float)),
    "pathname": ("pathname", str),
    "lineno": ("lineno", int),
    "function": ("funcName", str),
    "traceback": ("exc_text", str),
}
"""What of a record is taken over: its name there, its name here, its type."""


class LogForwarding:
    """The part of a client that follows what engines log."""

    _connection: Connection

    def _resolve(self, targets: Targets) -> list[int]:
        raise NotImplementedError

    def forward_logging(
        self, level: int | str = "INFO", logger: str = "", targets: Targets = "all"
    ) -> None:
        """Hand what user code logs on engines to this program's own logging, as it comes.

        A record is handled by the logger of the same name here, as far as that and its handlers take
        its level; it has an attribute ``engine_id``. Where an engine's logger keeps records of that
        level to itself, it is opened for as long. Of a flood only the number is told.

        Parameters
        ----------
        level
            From which level on, as a number or name.
        logger
            Which logger, with all those beneath it; the root by default.
        targets
            Which engines; of all, those that come later as well.

        Examples
        --------
        >>> logging.basicConfig(level="INFO")  # doctest: +SKIP
        >>> client.forward_logging("INFO")  # doctest: +SKIP
        """
        number = level_number(level)
        if not isinstance(logger, str):
            raise TypeError(f"a logger is named by a text, not {type(logger).__name__}")
        ids = None if isinstance(targets, str) and targets == "all" else self._resolve(targets)
        wish = {"logger": logger, "level": number, "targets": ids}
        end = time.monotonic() + self._connection.timeout
        self._connection.call("logs", "forward", wish)
        while not self._connection.hears_logs(LOOK):
            # Our subscription was not in force yet: what is logged now would be lost.
            if time.monotonic() >= end:
                raise HubUnavailable("the hub's notifications do not reach this client")
            self._connection.call("logs", "forward", wish)
        # Said again to each hub that follows.
        self._connection.standing_calls["logs", logger] = ("logs", "forward", wish)

    def unforward_logging(self, logger: str = "") -> None:
        """Take no more of what a logger logs on engines."""
        self._connection.standing_calls.pop(("logs", logger), None)
        self._connection.call("logs", "unforward", {"logger": logger})


def level_number(level: int | str) -> int:
    """Return the number of a level.

    Raises
    ------
    ValueError
        There is none of this name.
    TypeError
        That is no way to name one.
    """
    if isinstance(level, bool) or not isinstance(level, int | str):
        raise TypeError(f"a level is a number or a name, not {type(level).__name__}")
    if isinstance(level, int):
        return level
    known = logging.getLevelNamesMapping()
    if level.upper() not in known:
        raise ValueError(f"there is no level {level!r}; there are {', '.join(known)}")
    return known[level.upper()]


def handle(message: LogRecords) -> None:
    """Have the logging of this program handle what came."""
    for each in message.records:
        name, level = each.get("name"), each.get("levelno")
        if not isinstance(name, str) or type(level) is not int:
            continue
        logger = logging.getLogger(name if name != "root" else None)
        if logger.isEnabledFor(level):
            record = _record(name, level, each, message.engine)
            try:
                logger.handle(record)
            except (Exception, SystemExit):  # which costs neither the others nor this thread
                report(record.getMessage())


def _record(name: str, level: int, fields: Mapping[str, Any], engine: int) -> logging.LogRecord:
    known = {
        here: fields[there]
        for there, (here, kind) in _FIELDS.items()
        if isinstance(fields.get(there), kind)
    }
    return logging.makeLogRecord({"name": name, "levelno": level, "engine_id": engine, **known})
