"""What the flags of a load-balanced view say of its tasks, checked, and as the hub is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ctrlhub.client.dependency import Dependency
from ctrlhub.client.seconds import check_seconds
from ctrlhub.wire.errors import InvalidRequest
from ctrlhub.wire.ids import number_of, to_ranges
from ctrlhub.wire.options import (
    MOST_PLACES,
    MOST_PRIORITY,
    MOST_RANGES,
    PLAIN,
    Condition,
    TaskOptions,
    checked_resources,
    is_priority,
)

FLAGS: Mapping[str, Any] = {
    "targets": None,
    "follow": None,
    "after": None,
    "timeout": None,
    "time_limit": None,
    "grace": None,
    "priority": 0,
    "resources": None,
}
"""The flags, and what they are as long as nobody has set them."""


def check(name: str, value: Any) -> None:
    """Make sure that a flag can have a value.

    Raises
    ------
    TypeError
        It is of another type.
    ValueError
        It is out of range.
    """
    if name in ("timeout", "time_limit", "grace"):
        check_seconds(name, value)
    elif name == "priority":
        if type(value) is not int:
            raise TypeError(f"priority must be a whole number, not {value!r}")
        if not is_priority(value):
            raise ValueError(f"priority must lie between -{MOST_PRIORITY} and {MOST_PRIORITY}")
    elif name == "resources" and value is not None:
        _check_resources(value)
    elif name in ("follow", "after"):
        conditions(value)


def _check_resources(value: Any) -> None:
    if not isinstance(value, Mapping):
        raise TypeError(f"resources must be a map such as {{'gpu': 1}}, not {value!r}")
    try:
        checked_resources(value)
    except InvalidRequest as error:
        raise ValueError(str(error)) from None


def conditions(value: Any) -> tuple[Condition, ...]:
    """Return what a task waits for: results, ids, or a `Dependency`.

    Raises
    ------
    TypeError
        It is something else.
    ValueError
        It is not the id of a request, or they lie in too many ranges of ids.
    """
    if value is None:
        return ()
    wanted = value if isinstance(value, Dependency) else Dependency(value)
    if not wanted:
        return ()
    requests = to_ranges(sorted(map(number_of, wanted)))
    if len(requests) > MOST_RANGES:
        raise ValueError(
            f"a task waits for requests in {MOST_RANGES} ranges of ids at most, and these lie in {len(requests)}: "
            "let it wait for tasks that wait for some of them each"
        )
    known = sorted((number_of(text), engine) for text, engine in wanted.places.items())
    flags = bool(wanted.all), bool(wanted.success), bool(wanted.failure)
    return (Condition(requests, *flags, places=tuple(known[-MOST_PLACES:])),)


def options_of(flags: Mapping[str, Any]) -> TaskOptions:
    """Return the options that checked flags say; `targets` are ids by now."""
    if all(flags[name] == plain for name, plain in FLAGS.items()):
        return PLAIN
    targets = flags["targets"]
    return TaskOptions(
        priority=flags["priority"],
        timeout=flags["timeout"],
        time_limit=flags["time_limit"],
        grace=flags["grace"],
        targets=None if targets is None else tuple(targets),
        resources=checked_resources(flags["resources"] or {}),
        after=conditions(flags["after"]),
        follow=conditions(flags["follow"]),
    )
