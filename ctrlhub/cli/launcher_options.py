"""The options of launchers, for the commands that start engines."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click
from click.core import ParameterSource

from ctrlhub.cli.configured import configured
from ctrlhub.cluster.config.launcher import OF_LAUNCHERS, options_known_to, pairs, plain


def with_launcher(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the choice of a launcher, and that one's options, as its arguments `launcher` and `options`.

    What is set for batch systems does not concern other launchers, as long as it is not typed.
    """

    @wraps(command)
    def run(*args: Any, launcher: str, **rest: Any) -> Any:
        given = {name: rest.pop(name) for name in OF_LAUNCHERS}
        given = {
            name: plain(name, value)
            for name, value in given.items()
            if value not in (None, ()) and _concerns(launcher, name)
        }
        try:
            options = pairs(rest.pop("options") or ())
        except ValueError as error:
            raise click.UsageError(f"-o {error}") from error
        for name in options.keys() & given.keys():
            raise click.UsageError(f"{name} is given twice: as an option of its own, and by -o")
        return command(*args, launcher=launcher, options={**given, **options}, **rest)

    names = ("launcher", *OF_LAUNCHERS, "options")
    return configured(*(f"launcher.{name}" for name in names))(run)


def _concerns(launcher: str, name: str) -> bool:
    """Say whether a launcher is to be told something: what it has no option for only if that was typed."""
    if click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE:
        return True
    try:
        return name in options_known_to(launcher)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


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
