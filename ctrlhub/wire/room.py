"""Memory that very many requests at a time have needed, and that few do not need any more."""

from __future__ import annotations

from sys import getsizeof
from typing import Any

LITTLE = 512 * 1024
"""So much room (bytes) of a dictionary is never given back."""

PER_ENTRY = 512
"""So much room (bytes) for each entry, neither: it takes a few dozen."""


def shrink(table: dict[Any, Any]) -> None:
    """Give back the room for all that a dictionary has once held, if that is much: it keeps it."""
    if getsizeof(table) > LITTLE + PER_ENTRY * len(table):
        left = dict(table)
        table.clear()
        table.update(left)
