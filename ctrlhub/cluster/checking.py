"""Arguments of `Cluster`, checked before anything is started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ctrlhub.controller.advertising import outward_address
from ctrlhub.wire.errors import TooManyEngines
from ctrlhub.wire.options import checked_resources


def checked_count(n: Any, max_engines: int) -> int:
    """Return a number of engines.

    Raises
    ------
    ValueError
        It is none.
    TooManyEngines
        The hub would not register so many.
    """
    if type(n) is not int or n < 0:
        raise ValueError(f"n must be an integer of at least 0, not {n!r}")
    if n > max_engines:
        raise TooManyEngines(f"{n} engines are more than max_engines={max_engines}")
    return n


def checked_wait(wait_for: Any) -> int | None:
    """Return with how many engines work begins; None for all."""
    if wait_for is not None and (type(wait_for) is not int or wait_for < 0):
        raise ValueError(f"wait_for is a number of engines, or None for all, not {wait_for!r}")
    return wait_for


def checked_resources_of(
    resources: Mapping[str, float] | Sequence[Mapping[str, float]], n: int
) -> tuple[Mapping[str, float], ...]:
    """Return what engines have: one map for all, or one for each."""
    found = (resources,) if isinstance(resources, Mapping) else tuple(resources)
    if len(found) not in (0, 1, n):
        raise ValueError(f"resources are one map for all, or one for each of {n} engines")
    for each in found:
        checked_resources(each)
    return found


def checked_launcher(launcher: str, options: Mapping[str, Any], listen: str | None) -> str | None:
    """Make sure that there is such a launcher, with such options; return where the hub is to listen.

    Raises
    ------
    ValueError
        There is not.
    """
    from ctrlhub.cluster.launchers.options import options_from
    from ctrlhub.cluster.launchers.registry import launcher_named

    kind = launcher_named(launcher)
    options_from(kind.options_type, options, launcher)
    return outward_address() if listen is None and kind.is_remote else listen
