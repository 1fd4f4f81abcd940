"""JSON of strangers: not too deep, not too many parts, no numbers without end. No I/O."""

from __future__ import annotations

import json
import re
from typing import Any

MOST_DEPTH = 64
MOST_PARTS = 200_000
MOST_DIGITS = 400

_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)


def checked_json(data: bytes) -> Any:
    """Return the value of a JSON text.

    Raises
    ------
    ValueError
        It is none, or more than is taken; the message says what.
    """
    plain = _TEXT.sub(b'""', data)
    if plain.count(b",") + plain.count(b"[") + plain.count(b"{") > MOST_PARTS:
        raise ValueError(f"it has more than {MOST_PARTS} parts")
    depth = 0
    for byte in plain:
        if byte in b"[{":
            depth += 1
            if depth > MOST_DEPTH:
                raise ValueError(f"it is nested deeper than {MOST_DEPTH}")
        elif byte in b"]}":
            depth -= 1
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_no_constant, parse_int=_whole)
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at character {error.pos}") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _whole(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number has more than {MOST_DIGITS} digits")
    return int(text)
