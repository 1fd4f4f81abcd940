"""Lines of logs, as people read them: each process writes JSON, or text. No I/O."""

from __future__ import annotations

import json
import logging
import re
from datetime import datetime

_SHOWN = ("time", "level", "logger", "message")
_OF_THE_FILE = ("process", "profile", "engine", "exception")
"""What the name of the file says as well, or the traceback."""
_LEVEL = re.compile(r"\d{4}-\d\d-\d\d[ T]\S+ (DEBUG|INFO|WARNING|ERROR|CRITICAL) ")
_TRACEBACK = "Traceback (most recent call last):"


def readable(line: str) -> str:
    """Give a line for people: of JSON, whose line ends are escaped, what is to be read."""
    if not line.startswith("{"):
        return line
    try:
        said = json.loads(line)
        when = datetime.fromisoformat(said["time"]).astimezone().isoformat(sep=" ", timespec="seconds")
        text = f"{when} {said['level'].upper()} {said['logger']}: {said['message']}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return line  # it is somebody else's, or cut off
    more = {key: value for key, value in said.items() if key not in (*_SHOWN, *_OF_THE_FILE)}
    return text + "".join(f"\n{value}" if key == "traceback" else f" {key}={value}" for key, value in more.items())


class Levels:
    """How grave the lines of one log are, one after the other.

    What says no level itself is something that was printed, which is `logging.INFO`; a traceback is
    `logging.ERROR` to its end.
    """

    def __init__(self) -> None:
        self._in_traceback = False

    def of(self, text: str) -> int:
        """Return the level of the next line, which is readable."""
        said = _LEVEL.match(text)
        if said is not None:
            self._in_traceback = False
            return logging.getLevelNamesMapping()[said[1]]
        if text.startswith(_TRACEBACK):
            self._in_traceback = True
            return logging.ERROR
        was_in_traceback = self._in_traceback
        self._in_traceback = was_in_traceback and text.startswith(" ")  # its last line says the error
        return logging.ERROR if was_in_traceback else logging.INFO
