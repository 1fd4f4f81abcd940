"""How values are shown on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Give the lines of a table; numbers stand to the right."""
    body = [["-" if cell is None else cell for cell in row] for row in rows]
    texts = [[name.upper() for name in head], *([plain(cell) for cell in row] for row in body)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(head))]
    to_the_right = [
        bool(body) and all(isinstance(row[column], int | float) for row in body)
        for column in range(len(head))
    ]
    return [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, to_the_right, strict=True)
        ).rstrip()
        for row in texts
    ]


def plain(value: object) -> str:
    """Give a value as text that does nothing to a terminal: names and errors are others' to choose."""
    return "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in str(value))


def count(number: int, what: str) -> str:
    """Say how many there are of something."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def moment(when: float | str | None) -> str:
    """Give a moment (Unix time, or a text that says it already) in local time."""
    if when is None:
        return "-"
    if isinstance(when, str):
        return when
    return datetime.fromtimestamp(when).astimezone().isoformat(sep=" ", timespec="seconds")


def duration(seconds: float) -> str:
    """Give a time in the unit that suits it."""
    if seconds < 1.0:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 120.0:
        return f"{seconds:.1f} s"
    minutes, hours = round(seconds) // 60, round(seconds) // 3600
    if hours < 1:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60:02} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
def cores(used: float | None) -> str:
    """Give how many cores are used, as the percent of one."""
    return "-" if used is None else f"{100 * used:.0f}%"


def size(nbytes: float | None) -> str:
    """Give a number of bytes in the unit that suits it."""
    if nbytes is None:
        return "-"
    unit = "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if nbytes < 1024:
            break
        nbytes, unit = nbytes / 1024, larger
    return f"{nbytes:.0f} {unit}" if unit in ("B", "KiB", "MiB") else f"{nbytes:.1f} {unit}"
