"""Which engines are meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, SupportsIndex, TypeAlias, TypeGuard

from ctrlhub.wire.errors import InvalidEngineID, NoEnginesRegistered

Targets: TypeAlias = SupportsIndex | slice | Iterable[SupportsIndex] | str | None
"""An engine id, several, a slice of the ids there are, or ``'all'``."""


def is_single(targets: object) -> TypeGuard[SupportsIndex]:
    """Say whether targets mean one engine, and so its bare value."""
    # By hand: to ask whether something is a `SupportsIndex` takes longer than the rest of a call.
    if type(targets) is int:
        return True
    return hasattr(targets, "__index__") and not isinstance(targets, Iterable | bool)


def chosen(
    targets: Targets, ids: Sequence[int], absent: Mapping[int, str] = MappingProxyType({})
) -> list[int]:
    """Return the ids that are meant.

    Parameters
    ----------
    targets
        An id (a negative one counts from the end), several, a slice, or ``'all'`` or None.
    ids
        The engines there are, in order.
    absent
        What is to be said of engines that are away for a while, by id.

    Raises
    ------
    NoEnginesRegistered
        There are none at all.
    InvalidEngineID
        There is no such engine.
    TypeError
        That is no way to name engines.
    ValueError
        No engine is named.
    """
    if isinstance(targets, str) and targets != "all":
        raise TypeError(f"engines are named by numbers or 'all', not {targets!r}")
    if not ids:
        if absent:
            number = next(iter(absent))
            raise NoEnginesRegistered(
                f"there are no engines now: engine {number} {absent[number]}; wait with "
                f"client.wait_for_engines({len(absent)})"
            )
        raise NoEnginesRegistered(
            "there are no engines: start some with `ctrl-hub engine -n 4`, and wait for them with "
            "client.wait_for_engines(4)"
        )
    if targets is None or isinstance(targets, str):
        return list(ids)
    if isinstance(targets, slice):
        wanted = list(ids[targets])
    elif isinstance(targets, Iterable):
        wanted = [_one(target, ids, absent) for target in targets]
    elif is_single(targets):
        wanted = [_one(targets, ids, absent)]
    else:
        raise TypeError(f"engines are named by numbers or 'all', not by {type(targets).__name__}")
    if not wanted:
        raise ValueError(f"no engine is named by {targets!r}; there are {_listed(ids)}")
    return wanted


def states_of(absent: Iterable[Mapping[str, Any]]) -> dict[int, str]:
    """Return what is to be said of engines that are away, by id."""
    return {each["id"]: each["state"] for each in absent}


def staying(ids: Sequence[int], engines: Mapping[int, Mapping[str, Any]]) -> Sequence[int]:
    """Return the engines that are not draining, and so take commands; all, if all are leaving."""
    stay = [n for n in ids if engines.get(n, {}).get("state") != "draining"]
    return stay or ids


def _one(target: object, ids: Sequence[int], absent: Mapping[int, str]) -> int:
    if not is_single(target):
        raise TypeError(f"an engine is named by a number, not by {target!r}")
    number = target.__index__()
    if number < 0 and -number <= len(ids):
        return ids[number]
    if number not in ids:
        raise InvalidEngineID.of(number, absent, f"; there are {_listed(ids)}")
    return number


def _listed(ids: Sequence[int]) -> str:
    if len(ids) > 8:
        return f"{len(ids)} engines from {ids[0]} to {ids[-1]}"
    return "engines " + ", ".join(map(str, ids)) if len(ids) > 1 else f"engine {ids[0]} only"
