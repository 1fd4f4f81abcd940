"""How many parts a JSON text has, and how deep they lie in each other: known before it is unfolded."""

from __future__ import annotations

import re

_TEXT = re.compile(rb'"[^"]*"?')
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def most_parts(data: str | bytes) -> int:
    """Return how many values and keys a text has at most: what looks like them within texts counts as well."""
    if isinstance(data, str):
        return data.count(",") + data.count("[") + data.count("{")
    return data.count(b",") + data.count(b"[") + data.count(b"{")


def check_shape(data: bytes, parts: int, depth: int) -> None:
    """See that a text has no more than so many values and keys, and that they lie no deeper.

    Of what is no JSON only so much is looked at as anything reads of it.

    Raises
    ------
    ValueError
        It has, or they do; the message says what.
    """
    # Backslashes stand in texts alone, and go in pairs; without them texts end where they seem to.
    bare = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    # A value and its key are two texts, with two marks each.
    if bare.count(b'"') > 4 * (parts + 1) or most_parts(plain := _TEXT.sub(b"", bare)) > parts:
        raise ValueError(f"it has more than {parts} parts")
    now = 0
    for bracket in plain.translate(None, _NO_BRACKETS):
        if bracket in b"[{":
            now += 1
            if now > depth:
                raise ValueError(f"it is nested deeper than {depth}")
        else:
            now -= 1
            if now < 0:
                return  # here it is no JSON any more
