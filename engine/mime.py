"""What is displayed, by type, as plain data that can travel."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

MOST_INT = (1 << 63) - 1


def plain(value: Any) -> Any:
    """Return a value as numbers, texts, lists and maps; binary data as text in Base64.

    What is none of these is its text.
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
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    return str(value)
