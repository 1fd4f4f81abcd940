"""The log of a process of ctrl-hub, on standard error: lines of text, or one JSON object per line."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ctrlhub.wire.private import StateError

if TYPE_CHECKING:
    from ctrlhub.link.log_file import LogFiles

LOG_FORMATS = ("json", "text")
"""How a log can be written."""

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

About = Callable[[], Mapping[str, Any]]
"""Says what each line tells of its process: at the moment when it is written."""


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON.

    Each has ``time`` (ISO 8601, UTC), ``level``, ``logger`` and ``message``, then what is told of the process,
    and of an exception ``exception`` (its class and text) and ``traceback``.

    Parameters
    ----------
    about
        What is told of the process.
    """

    def __init__(self, about: About = dict) -> None:
        super().__init__()
        self._about = about

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._about(),
        }
        if record.exc_info and record.exc_info[0] is not None:
            kind, error, _ = record.exc_info
            line["exception"] = f"{kind.__name__}: {error}"
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def start_logging(
    level: str,
    form: str,
    about: About = dict,
    *,
    logger: str = "ctrlhub",
    libraries: Sequence[str] = (),
    files: LogFiles | None = None,
) -> None:
    """Log at a level, by name, to standard error, and leave the root logger to user code.

    Parameters
    ----------
    level
        The level.
    form
        One of `LOG_FORMATS`.
    about
        What each line of JSON tells of the process: ``process`` (which part of ctrl-hub it is), ``profile``,
        ``engine``, as far as it has them. Nothing secret.
    logger
        Whose records.
    libraries
        Whose errors are told as well.
    files
        Standard error is set aside when it has grown long, if it is one of these files.
    """
    handler = _handler(files)
    handler.setFormatter(JsonLines(about) if form == "json" else logging.Formatter(TEXT))
    whose = logging.getLogger(logger)
    whose.setLevel(level.upper())
    whose.propagate = not logger
    if logger or not whose.handlers:  # as `logging.basicConfig` does: a program's own handlers stay
        whose.handlers[:] = [handler]
    for library in map(logging.getLogger, libraries):
        library.setLevel(logging.ERROR)
        library.propagate = False
        library.handlers[:] = [handler]


def _handler(files: LogFiles | None) -> logging.Handler:
    """Return what writes to standard error."""
    # Windows lets nobody rename a file that is written to.
    log = None if files is None or sys.platform == "win32" else files.own()
    if files is None or log is None:
        return logging.StreamHandler(sys.stderr)
    from ctrlhub.link.log_file import RotatingLog

    try:
        return RotatingLog(log, files.most)
    except (OSError, StateError) as error:
        print(f"ctrl-hub: this log is not set aside when it has grown long: {error}", file=sys.stderr, flush=True)
        return logging.StreamHandler(sys.stderr)


def check_log_format(form: str) -> None:
    """See that a log can be written so; empty is as it is by default.

    Raises
    ------
    ValueError
        It cannot.
    """
    if form and form not in LOG_FORMATS:
        raise ValueError(f"log_format must be one of {', '.join(LOG_FORMATS)}, not {form!r:.40}")
