"""What settings mean to launchers: their options, of which each launcher has some."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

OF_LAUNCHERS = (
    "nodes", "engines_per_node", "account", "queue", "time", "memory", "grace", "prologue", "extra", "template",
    "python", "hosts", "mpiexec",
)  # fmt: skip
"""Settings that are options of launchers, too; every other one of a launcher is given as NAME=VALUE."""


def options_known_to(launcher: str) -> set[str]:
    """Return the names of a launcher's options.

    Raises
    ------
    ValueError
        There is no such launcher.
    """
    from dataclasses import fields

    from ctrlhub.cluster.launchers.registry import launcher_named

    return {each.name for each in fields(launcher_named(launcher).options_type)}


def plain(name: str, value: Any) -> Any:
    """Return the value of a setting as launchers take it: a template as a whole path, several texts as a list."""
    if name == "template":
        return str(Path(value).expanduser().absolute())
    if name == "engines_per_node":
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def pairs(given: Iterable[str]) -> dict[str, Any]:
    """Read ``NAME=VALUE``; one given several times is a list.

    Raises
    ------
    ValueError
        It is none.
    """
    found: dict[str, Any] = {}
    for each in given:
        name, sign, value = each.partition("=")
        if not sign:
            raise ValueError(f"{each!r} is not NAME=VALUE")
        name = name.strip().replace("-", "_")
        found[name] = f"{found[name]}\n{value}" if name in found else value
    return found
