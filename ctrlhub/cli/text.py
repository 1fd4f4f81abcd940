"""How values are shown on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Give the lines of a table; numbers stand to the right."""
    body = [["-" if cell is None else cell for cell in row] for row in rows]
    texts = [[name.upper() for name in head], *([str(cell) for cell in row] for row in body)]
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


def moment(when: float | str | None) -> str:
    """Give a moment (Unix time, or a text that says it already) in local time."""
    if when is None:
        return "-"
    if isinstance(when, str):
        return when
    return datetime.fromtimestamp(when).astimezone().isoformat(sep=" ", timespec="seconds")
