"""Checks of what messages hold, for the codec: nothing is trusted, and what came is checked once.

A field of a message is checked by its annotation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ctrlhub.wire.limits import MAX_CONTAINERS, MAX_DEPTH, MAX_ID, MAX_TEXT
from ctrlhub.wire.messages import OUTPUT_STREAMS, Status

_LAST_STATUS = max(Status)

Check = Callable[[Any, int], bool]
"""(value, number of frames behind the header) -> is it well formed?"""


def _is_int(value: Any, _: int) -> bool:
    return type(value) is int and -1 <= value <= MAX_ID


def _is_str(value: Any, _: int) -> bool:
    return type(value) is str


def _is_bytes(value: Any, _: int) -> bool:
    return type(value) is bytes


def _is_bool(value: Any, _: int) -> bool:
    return type(value) is bool


def _is_float(value: Any, _: int) -> bool:
    return type(value) in (float, int)


_CONTAINERS = frozenset({dict, tuple, list})


def is_shallow(value: Any, levels: int = MAX_DEPTH) -> bool:
    """Tell whether maps and lists are no more, and lie no deeper in each other, than can be walked through.

    It goes from level to level and looks at what holds others alone, since whoever sends a million
    of numbers, or of empty lists, is not to have a function called for each.
    """
    level = [value] if type(value) in _CONTAINERS else ()
    left = MAX_CONTAINERS
    while level:
        left -= len(level)
        if levels <= 0 or left < 0:
            return False
        levels -= 1
        level = [
            inner
            for each in level
            for inner in (each.values() if type(each) is dict else each)
            if type(inner) in _CONTAINERS
        ]
    return True


def _is_anything(value: Any, _: int) -> bool:
    return is_shallow(value)


def _is_map(value: Any, _: int) -> bool:
    return type(value) is dict and all(type(key) is str for key in value) and is_shallow(value)


def _is_text_map(value: Any, _: int) -> bool:
    return _is_map(value, _) and all(type(v) is str and len(v) <= MAX_TEXT for v in value.values())


def _sequence_of(check: Check) -> Check:
    def is_sequence(value: Any, n: int) -> bool:
        if type(value) is not tuple:
            return False
        for item in value:  # noqa: SIM110 - a generator costs more than most sequences here
            if not check(item, n):
                return False
        return True

    return is_sequence


def _is_payload(value: Any, n: int) -> bool:
    if type(value) is bytes:
        return True
    if type(value) is not tuple or len(value) != 2:
        return False
    first, count = value
    return type(first) is int and type(count) is int and first >= 0 and 0 < count <= n - first


def _is_ranges(value: Any, _: int) -> bool:
    if type(value) is not tuple:
        return False
    for pair in value:
        if type(pair) is not tuple or len(pair) != 2:
            return False
        first, last = pair
        if type(first) is not int or type(last) is not int or not 0 <= first <= last <= MAX_ID:
            return False
    return True


def _is_function_row(row: Any, n: int) -> bool:
    return (
        type(row) is tuple and len(row) == 2 and type(row[0]) is bytes and _is_payload(row[1], n)
    )


def _is_resource_row(row: Any, _: int) -> bool:
    return (
        type(row) is tuple
        and len(row) == 2
        and type(row[0]) is str
        and len(row[0]) <= MAX_TEXT
        and type(row[1]) in (int, float)
    )


def _is_usage_row(row: Any, _: int) -> bool:
    return (
        type(row) is tuple
        and len(row) >= 3
        and type(row[0]) is str
        and len(row[0]) <= MAX_TEXT
        and type(row[1]) in (int, float)
        and _is_int(row[2], 0)
    )


def _is_value_row(row: Any, n: int) -> bool:
    return (
        type(row) is tuple
        and len(row) == 2
        and type(row[0]) is int
        and row[0] >= 0
        and _is_payload(row[1], n)
    )


def _is_template_rows(value: Any, _: int) -> bool:
    return type(value) is tuple and all(
        type(row) is tuple
        and len(row) >= 4
        and type(row[0]) is bytes
        and _is_int(row[1], 0)
        and _is_int(row[2], 0)
        and type(row[3]) is str
        and len(row[3]) <= MAX_TEXT
        and (len(row) == 4 or _is_map(row[4], 0))
        for row in value
    )


# The rows of hot messages. Written out column by column: they are most of what a hub decodes.


def _is_submit_rows(value: Any, n: int) -> bool:
    if type(value) is not tuple:
        return False
    for row in value:
        if type(row) is not tuple or len(row) != 3:
            return False
        request, template, payload = row
        if type(request) is not int or type(template) is not int or request < 0:
            return False
        if type(payload) is not bytes and not _is_payload(payload, n):
            return False
    return True


def _is_run_rows(value: Any, n: int) -> bool:
    if type(value) is not tuple:
        return False
    for row in value:
        if type(row) is not tuple or len(row) != 4:
            return False
        request, attempt, template, payload = row
        if type(request) is not int or type(attempt) is not int or type(template) is not int:
            return False
        if request < 0 or (type(payload) is not bytes and not _is_payload(payload, n)):
            return False
    return True


def _is_result_rows(value: Any, n: int) -> bool:
    if type(value) is not tuple:
        return False
    for row in value:
        if type(row) is not tuple or len(row) != 7:
            return False
        request, attempt, status, payload, started, elapsed, extras = row
        if type(request) is not int or type(attempt) is not int or type(status) is not int:
            return False
        if request < 0 or not 0 <= status <= _LAST_STATUS:
            return False
        if type(started) is not float or type(elapsed) is not float:
            return False
        if type(payload) is not bytes and not _is_payload(payload, n):
            return False
        if extras is not None and not _is_map(extras, n):
            return False
    return True


def _is_completed_rows(value: Any, n: int) -> bool:
    if type(value) is not tuple:
        return False
    for row in value:
        if type(row) is not tuple or len(row) != 7:
            return False
        request, status, payload, engine, started, elapsed, extras = row
        if type(request) is not int or type(status) is not int or type(engine) is not int:
            return False
        if request < 0 or not 0 <= status <= _LAST_STATUS:
            return False
        if type(started) is not float or type(elapsed) is not float:
            return False
        if type(payload) is not bytes and not _is_payload(payload, n):
            return False
        if extras is not None and not _is_map(extras, n):
            return False
    return True


def _is_output_items(value: Any, _: int) -> bool:
    return type(value) is tuple and all(
        type(item) is tuple
        and len(item) >= 3
        and type(item[0]) is str
        and type(item[1]) is int
        and 0 <= item[1] <= MAX_ID
        and (type(item[2]) is str if item[0] in OUTPUT_STREAMS else _is_map(item[2], 0))
        for item in value
    )


def _is_watched_rows(value: Any, n: int) -> bool:
    return type(value) is tuple and all(
        type(row) is tuple
        and len(row) >= 4
        and type(row[0]) is int
        and 0 <= row[0] <= MAX_ID
        and _is_int(row[1], 0)
        and _is_int(row[2], 0)
        and _is_output_items(row[3], n)
        for row in value
    )


CHECKS: Mapping[str, Check] = {
    "int": _is_int,
    "str": _is_str,
    "bytes": _is_bytes,
    "bool": _is_bool,
    "float": _is_float,
    "Any": _is_anything,
    "Ranges": _is_ranges,
    "PayloadRef": _is_payload,
    "Mapping[str, str]": _is_text_map,
    "Mapping[str, Any]": _is_map,
    "Sequence[str]": _sequence_of(_is_str),
    "Sequence[int]": _sequence_of(_is_int),
    "Sequence[bytes]": _sequence_of(_is_bytes),
    "Sequence[PayloadRef]": _sequence_of(_is_payload),
    "Sequence[Mapping[str, Any]]": _sequence_of(_is_map),
    "Sequence[FunctionRow]": _sequence_of(_is_function_row),
    "Sequence[ResourceRow]": _sequence_of(_is_resource_row),
    "Sequence[UsageRow]": _sequence_of(_is_usage_row),
    "Sequence[ValueRow]": _sequence_of(_is_value_row),
    "Sequence[TemplateRow]": _is_template_rows,
    "Sequence[SubmitRow]": _is_submit_rows,
    "Sequence[RunRow]": _is_run_rows,
    "Sequence[ResultRow]": _is_result_rows,
    "Sequence[CompletedRow]": _is_completed_rows,
    "Sequence[OutputItem]": _is_output_items,
    "Sequence[WatchedRow]": _is_watched_rows,
}
"""A check for every annotation that a message's field may have."""
