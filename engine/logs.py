"""The logs of engines: their last lines, and their bound."""

from __future__ import annotations

import os
from pathlib import Path

MOST_BYTES = 64 * 1024 * 1024
"""A log that has grown beyond this is cut; its end is kept beside it."""
KEPT_BYTES = 1024 * 1024
"""So much of it."""

LAST_BYTES = 4096
LAST_LINES = 40


def last_lines(log: Path) -> str:
    """Return the end of a log; empty if it cannot be read."""
    try:
        text = _end(log, LAST_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-LAST_LINES:])


def bound(log: Path, most: int = MOST_BYTES) -> None:
    """Cut a log that has grown too large. Its writer appends, so it need not know."""
    from ctrlhub.wire.private import write_private

    if not log.exists() or log.stat().st_size <= most:
        return
    write_private(log.with_suffix(".old.log"), _end(log, min(KEPT_BYTES, most)))
    os.truncate(log, 0)


def _end(log: Path, size: int) -> bytes:
    with open(log, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - size))
        return file.read()
