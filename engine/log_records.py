"""What user code logs, on its way to the clients that have asked for it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from ctrlhub.wire.limits import MAX_TEXT
from ctrlhub.wire.messages import LogRecords

INTERVAL = 0.1
"""How long (seconds) records gather while more come."""

MOST_AT_ONCE = 200
"""So many records leave at a time; with `INTERVAL` this is a rate."""

MOST_WAITING = 2000
"""So many wait; of what comes beyond them, only the number is told."""

MOST_TRACEBACK = 16 * 1024
"""So many characters of a traceback are sent, of the end."""

NEVER = float("inf")

_FORMATTER = logging.Formatter()


class ForwardedLogs(logging.Handler):
    """Takes the records of the loggers that clients follow. In the threads that log.

    Parameters
    ----------
    announce
        Called when there is a first record to be taken.
    """

    def __init__(self, announce: Callable[[], None]) -> None:
        super().__init__()
        self._announce = announce
        self._levels: dict[str, int] = {}
        self._former: dict[str, int] = {}
        self._waiting: deque[dict[str, Any]] = deque()
        self._dropped = 0
        self.stopped = False

    def follow(self, levels: Mapping[str, int]) -> None:
        """Take the records of these loggers, and those beneath them, from these levels on; no others.

        A logger that keeps such records to itself is opened for as long.
        """
        for name in self._levels.keys() - levels.keys():
            logger = logging.getLogger(name or None)
            logger.removeHandler(self)
            if name in self._former:
                logger.setLevel(self._former.pop(name))
        self._levels = dict(levels)
        for name, level in levels.items():
            logger = logging.getLogger(name or None)
            if logger.getEffectiveLevel() > level:
                self._former.setdefault(name, logger.level)
                logger.setLevel(level)
            logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record, unless another logger's handler has, or it came from an engine itself."""
        seen = record.__dict__
        if self.stopped or "engine_id" in seen or "_ctrlhub_taken" in seen:
            return
        if not self._is_wanted(record):
            return
        seen["_ctrlhub_taken"] = True
        if len(self._waiting) >= MOST_WAITING:
            self._dropped += 1
            return
        self._waiting.append(described(record))
        if len(self._waiting) == 1:
            self._announce()

    def _is_wanted(self, record: logging.LogRecord) -> bool:
        return any(
            record.levelno >= level
            and (not name or record.name == name or record.name.startswith(f"{name}."))
            for name, level in self._levels.items()
        )

    def take(self) -> tuple[list[dict[str, Any]], bool]:
        """Take the next records; tell whether others wait."""
        waiting = self._waiting
        records = [waiting.popleft() for _ in range(min(MOST_AT_ONCE, len(waiting)))]
        if self._dropped and not waiting:
            dropped, self._dropped = self._dropped, 0
            text = f"{dropped} more records were logged than can be forwarded"
            records.append(
                described(logging.makeLogRecord(
                    {"name": "ctrlhub.engine", "levelno": logging.WARNING, "levelname": "WARNING",
                     "msg": text}
                ))
            )  # fmt: skip
        return records, bool(waiting)


def described(record: logging.LogRecord) -> dict[str, Any]:
    """Return what is sent of a record: plain data."""
    try:
        text = record.getMessage()
    except Exception as error:  # user code: arguments that do not fit, a __str__ that raises
        text = f"{record.msg!r:.1000} (its arguments do not fit: {type(error).__name__})"
    trace = record.exc_text
    if not trace and record.exc_info and record.exc_info[0] is not None:
        trace = _FORMATTER.formatException(record.exc_info)
    return {
        "name": record.name[:MAX_TEXT],
        "levelno": record.levelno,
        "levelname": str(record.levelname)[:MAX_TEXT],
        "message": text[:MAX_TEXT],
        "created": record.created,
        "pathname": record.pathname[-MAX_TEXT:],
        "lineno": record.lineno,
        "function": record.funcName or "",
        "traceback": (trace or "")[-MOST_TRACEBACK:],
    }


class LogStream:
    """When records leave for the hub. No I/O.

    Attributes
    ----------
    due : float
        When `messages` should be asked.
    """

    def __init__(self) -> None:
        self.due = NEVER
        self._last = -NEVER

    def written(self, now: float) -> None:
        """Take note that there are records."""
        self.due = min(self.due, max(now, self._last + INTERVAL))

    def messages(
        self, take: Callable[[], tuple[list[dict[str, Any]], bool]], now: float
    ) -> list[LogRecords]:
        """Return what is to be sent now."""
        self._last = now
        records, more = take()
        self.due = now + INTERVAL if more else NEVER
        return [LogRecords(records)] if records else []
