"""The options of launchers, for the commands that start engines."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ctrlhub.cli.configured import configured

OF_LAUNCHERS = (
    "nodes", "engines_per_node", "account", "queue", "time", "memory", "grace", "prologue", "extra", "template",
    "python", "hosts", "mpiexec",
)  # fmt: skip
"""Settings that are options of launchers, too; every other one of a launcher is given by `-o`."""


def with_launcher(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the choice of a launcher, and that one's options, as its arguments `launcher` and `options`.

    What is set for batch systems does not concern other launchers, as long as it is not typed.
    """

    @wraps(command)
    def run(*args: Any, launcher: str, **rest: Any) -> Any:
        given = {name: rest.pop(name) for name in OF_LAUNCHERS}
        given = {
            name: _plain(name, value)
            for name, value in given.items()
            if value not in (None, ()) and _concerns(launcher, name)
        }
        options = _pairs(rest.pop("options") or ())
        for name in options.keys() & given.keys():
            raise click.UsageError(f"{name} is given twice: as an option of its own, and by -o")
        return command(*args, launcher=launcher, options={**given, **options}, **rest)

    names = ("launcher", *OF_LAUNCHERS, "options")
    return configured(*(f"launcher.{name}" for name in names))(run)


def _concerns(launcher: str, name: str) -> bool:
    """Say whether a launcher is to be told something: what it has no option for only if that was typed."""
    from dataclasses import fields

    from ctrlhub.cluster.launchers.registry import launcher_named

    if click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE:
        return True
    try:
        kind = launcher_named(launcher)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return name in {each.name for each in fields(kind.options_type)}


def _plain(name: str, value: Any) -> Any:
    if name == "template":
        return str(Path(value).expanduser().absolute())
    if name == "engines_per_node":
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _pairs(given: tuple[str, ...]) -> dict[str, Any]:
    """Read ``NAME=VALUE``; one given several times is a list."""
    found: dict[str, Any] = {}
    for each in given:
        name, sign, value = each.partition("=")
        if not sign:
            raise click.UsageError(f"-o {each!r} is not NAME=VALUE")
        name = name.strip().replace("-", "_")
        found[name] = f"{found[name]}\n{value}" if name in found else value
    return found


def count_of(n: int | None, options: dict[str, Any], otherwise: int = 1) -> int:
    """Return how many engines are meant: so many, or those of all nodes."""
    if n is not None:
        return n
    if "hosts" in options:
        from ctrlhub.cluster.launchers.hosts import hosts_of

        return sum(host.engines or 1 for host in hosts_of(str(options["hosts"])))
    each = str(options.get("engines_per_node", ""))
    if "nodes" not in options:
        return int(each) if each.isdecimal() else otherwise
    return int(options["nodes"]) * (int(each) if each.isdecimal() else 1)
