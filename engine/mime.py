"""What is displayed, by type, as plain data that can travel."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from ctrlhub.wire.limits import MAX_DEPTH

MOST_INT = (1 << 63) - 1

MOST_LEVELS = MAX_DEPTH - 8
"""So deep may what is displayed go; around it there are the levels of a message."""


def plain(value: Any, levels: int = MOST_LEVELS) -> Any:
    """Return a value as numbers, texts, lists and maps; binary data as text in Base64.

    What is none of these is its text; what lies too deep is not shown.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return b64encode(value).decode("ascii")
    if isinstance(value, float):
        return float(value)
    if isinstance(value, int) and abs(value) <= MOST_INT:
        return int(value)
    if isinstance(value, Mapping | list | tuple | set | frozenset) and not levels:
        return f"[a {type(value).__name__} that lies too deep to be shown]"
    if isinstance(value, Mapping):
        return {str(name): plain(each, levels - 1) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each, levels - 1) for each in value]
    return str(value)
