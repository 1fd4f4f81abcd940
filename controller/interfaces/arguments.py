"""Arguments of calls, checked: they come from clients."""

from __future__ import annotations

from typing import Any

from ctrlhub.wire.errors import InvalidRequest
from ctrlhub.wire.ids import Ranges
from ctrlhub.wire.options import LONGEST, is_duration


def checked_ranges(requests: Any) -> Ranges:
    """Return ranges of request ids.

    Raises
    ------
    InvalidRequest
        It is not a list of ``[first, last]`` pairs.
    """
    if not isinstance(requests, list | tuple):
        raise InvalidRequest("requests must be a list of [first, last] pairs")
    for pair in requests:
        if not (
            isinstance(pair, list | tuple)
            and len(pair) == 2
            and all(type(number) is int for number in pair)
            and 0 <= pair[0] <= pair[1]
        ):
            raise InvalidRequest("requests must be a list of [first, last] pairs")
    return tuple((pair[0], pair[1]) for pair in requests)


def checked_grace(grace: Any) -> float | None:
    """Return a time of grace in seconds, or None for none.

    Raises
    ------
    InvalidRequest
        It is neither.
    """
    if grace is not None and not is_duration(grace):
        raise InvalidRequest(f"grace is a number of seconds from 0 to {LONGEST:g}, not {grace!r:.80}")
    return None if grace is None else float(grace)


def checked_ids(targets: Any) -> list[int]:
    """Return engine ids.

    Raises
    ------
    InvalidRequest
        It is not a list of integers.
    """
    if not isinstance(targets, list | tuple) or not all(type(t) is int for t in targets):
        raise InvalidRequest("targets must be a list of engine ids")
    return list(targets)
