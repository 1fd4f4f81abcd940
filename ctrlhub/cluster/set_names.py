"""What sets of engines are called that nobody has named."""

from __future__ import annotations

from collections.abc import Container


def free_name(stem: str, taken: Container[str]) -> str:
    """Return a name that none has yet: the stem, numbered from the second on."""
    number, name = 1, stem
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    return name
