"""What user code logs, on its way to the clients that have asked for it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from ctrlhub.wire.limits import MAX_TEXT, OUTPUT_MESSAGE_BYTES
from ctrlhub.wire.messages import LogRecords

INTERVAL = 0.1
"""How long (seconds) records gather while more come."""

MOST_AT_ONCE = 200
"""So many records leave at a time, if they are short; with `INTERVAL` this is a rate."""

MOST_WAITING = 2000
"""So many wait; of what comes beyond them, only the number is told."""

MOST_TRACEBACK = 16 * 1024
"""So many characters of a traceback are sent, of the end."""

LARGEST = (1 << 31) - 1
"""No level and no line has a greater number."""

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
        self._opened: dict[str, tuple[int, int]] = {}
        self._waiting: deque[dict[str, Any]] = deque()
        self._dropped = 0
        self.stopped = False

    def follow(self, levels: Mapping[str, int]) -> None:
        """Take the records of these loggers, and those beneath them, from these levels on; no others.

        A logger that keeps such records to itself is opened for as long.
        """
        known = self._levels.keys() | levels.keys()
        self._levels = dict(levels)
        for name in sorted(known):  # parents first: others inherit their levels
            logger, level = logging.getLogger(name or None), levels.get(name)
            self._open(name, logger, level)
            if level is None:
                logger.removeHandler(self)
            else:
                logger.addHandler(self)

    def _open(self, name: str, logger: logging.Logger, level: int | None) -> None:
        """Have a logger let pass what is wanted; a level that others have set since stays theirs."""
        former, ours = self._opened.pop(name, (logger.level, logger.level))
        own = former if logger.level == ours else logger.level
        inherits = own == logging.NOTSET and logger.parent is not None
        passes = logger.parent.getEffectiveLevel() if inherits and logger.parent else own
        least = own if level is None or passes <= level else max(level, 1)
        if least != own:
            self._opened[name] = (own, least)
        if logger.level != least:
            logger.setLevel(least)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record, unless another logger's handler has, or it came from an engine itself."""
        try:
            self._keep(record)
        except Exception:  # its fields and arguments are user code's, which is told as ever
            self.handleError(record)

    def _keep(self, record: logging.LogRecord) -> None:
        seen = record.__dict__
        if self.stopped or "engine_id" in seen or "_ctrlhub_taken" in seen:
            return
        if not self._is_wanted(_text(record.name), _whole(record.levelno)):
            return
        seen["_ctrlhub_taken"] = True
        if len(self._waiting) >= MOST_WAITING:
            self._dropped += 1
            return
        self._waiting.append(described(record))
        if len(self._waiting) == 1:
            self._announce()

    def _is_wanted(self, name: str, levelno: int) -> bool:
        return any(
            levelno >= level and (not above or name == above or name.startswith(f"{above}."))
            for above, level in self._levels.items()
        )

    def take(self) -> tuple[list[dict[str, Any]], bool]:
        """Take the next records, of about `OUTPUT_MESSAGE_BYTES` at most; tell whether others wait."""
        waiting = self._waiting
        records: list[dict[str, Any]] = []
        size = 0
        while waiting and size < OUTPUT_MESSAGE_BYTES and len(records) < MOST_AT_ONCE:
            records.append(waiting.popleft())
            size += _size(records[-1])
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
    """Return what is sent of a record: plain data, whatever user code has put into its fields."""
    try:
        text = record.getMessage()
    except Exception as error:  # user code: arguments that do not fit, a __str__ that raises
        text = f"{_shown(record.msg)} (its arguments do not fit: {type(error).__name__})"
    trace = record.exc_text
    if not trace and record.exc_info and record.exc_info[0] is not None:
        trace = _FORMATTER.formatException(record.exc_info)
    return {
        "name": _text(record.name)[:MAX_TEXT],
        "levelno": _whole(record.levelno),
        "levelname": _text(record.levelname)[:MAX_TEXT],
        "message": _text(text)[:MAX_TEXT],
        "created": _real(record.created),
        "pathname": _text(record.pathname)[-MAX_TEXT:],
        "lineno": _whole(record.lineno),
        "function": _text(record.funcName)[:MAX_TEXT],
        "traceback": _text(trace)[-MOST_TRACEBACK:],
    }


def _size(record: Mapping[str, Any]) -> int:
    return sum(len(value.encode()) for value in record.values() if type(value) is str)


def _shown(value: object) -> str:
    try:
        return f"{value!r:.1000}"
    except Exception as error:  # user code, again
        return f"a {type(value).__name__} whose repr raises {type(error).__name__}"


def _text(value: object) -> str:
    """Return a text that can be sent: lone surrogates cannot."""
    text = "" if value is None else str(value)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _whole(value: object) -> int:
    number = value if isinstance(value, int) else 0
    return max(-LARGEST, min(LARGEST, int(number)))


def _real(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


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
