"""JSON of strangers: not too deep, not too many parts, no numbers without end. No I/O.

It says one thing only: of an object that has a key twice some readers take the first value and some the last, and
whoever has looked at it before may have read something else than what is done.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from math import isinf
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
        return json.loads(
            data.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_real, parse_int=_whole
        )
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at character {error.pos}") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"an object has the key {twice!r:.80} twice")
    return found


def _real(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise ValueError(f"the number {text:.40} is larger than any float")
    return number


def _whole(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number has more than {MOST_DIGITS} digits")
    return int(text)
