"""JSON of strangers: not too deep, not too many parts, no numbers without end. No I/O."""

from __future__ import annotations

import json
from typing import Any

from ctrlhub.wire.json_shape import check_shape

MOST_DEPTH = 64
MOST_PARTS = 200_000
MOST_DIGITS = 400


def checked_json(data: bytes) -> Any:
    """Return the value of a JSON text.

    Raises
    ------
    ValueError
        It is none, or more than is taken; the message says what.
    """
    check_shape(data, MOST_PARTS, MOST_DEPTH)
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
