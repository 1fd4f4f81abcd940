"""The options of launchers, for the commands that start engines."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

GIVEN = (
    "nodes", "engines_per_node", "account", "queue", "time", "memory", "grace", "prologue", "extra", "template",
    "python",
)  # fmt: skip
"""Those that have an option of their own; every other one of a launcher is given by `-o`."""


def _pairs(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> dict[str, Any]:
    """Read ``NAME=VALUE``; one given several times is a list."""
    found: dict[str, Any] = {}
    for each in given:
        name, sign, value = each.partition("=")
        if not sign:
            raise click.BadParameter(f"{each!r} is not NAME=VALUE", ctx, param)
        name = name.strip().replace("-", "_")
        found[name] = f"{found[name]}\n{value}" if name in found else value
    return found


_OPTIONS = (
    click.option(
        "--nodes",
        type=click.IntRange(min=1),
        metavar="N",
        help="How many nodes.  [default: as the batch system sees fit]",
    ),
    click.option(
        "--engines-per-node",
        metavar="N",
        help="How many engines on each node; `auto`: as many as it was given GPUs, or cores.",
    ),
    click.option("--account", metavar="NAME", help="The account, or project, to charge."),
    click.option(
        "--queue", "--partition", metavar="NAME", help="The queue, or partition, of the batch system."
    ),
    click.option("--time", metavar="TIME", help="The wall time, as the batch system writes it: 2:00:00."),
    click.option("--memory", metavar="SIZE", help="Memory on each node, as the batch system writes it."),
    click.option(
        "--grace",
        type=click.IntRange(min=0),
        metavar="SECONDS",
        help="So long before the wall time is over engines finish or give back what they have, and leave.",
    ),
    click.option(
        "--prologue",
        multiple=True,
        metavar="LINE",
        help="A line of shell that comes before the engines, such as `module load python`; again for "
        "each further one.",
    ),
    click.option(
        "--extra",
        multiple=True,
        metavar="LINE",
        help="A further option of the batch system, as it would stand in the script: --gres=gpu:2.",
    ),
    click.option(
        "--template",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="The script's template, instead of the one that `ctrl-hub engines template` prints.",
    ),
    click.option("--python", metavar="PATH", help="The Python of the engines.  [default: this one]"),
    click.option(
        "-o",
        "--option",
        "others",
        multiple=True,
        callback=_pairs,
        metavar="NAME=VALUE",
        help="Any option of the launcher (`ctrl-hub engines launchers NAME` lists them); again for each "
        "further one, or further line of one.",
    ),
)


def with_launcher_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of launchers, as its argument `options`."""

    @wraps(command)
    def run(*args: Any, others: dict[str, Any], **rest: Any) -> Any:
        options = dict(others)
        for name in GIVEN:
            value = rest.pop(name)
            if value is None or value == ():
                continue
            if name in options:
                raise click.UsageError(f"{name} is given twice: as an option of its own, and by -o")
            options[name] = str(value.absolute()) if isinstance(value, Path) else value
            if isinstance(value, tuple):
                options[name] = list(value)
        return command(*args, options=options, **rest)

    for option in reversed(_OPTIONS):
        option(run)
    return run


def count_of(n: int | None, options: dict[str, Any], otherwise: int = 1) -> int:
    """Return how many engines are meant: so many, or those of all nodes."""
    if n is not None:
        return n
    each = str(options.get("engines_per_node", "1"))
    if "nodes" not in options:
        return int(each) if each.isdecimal() and "engines_per_node" in options else otherwise
    return int(options["nodes"]) * (int(each) if each.isdecimal() else 1)
