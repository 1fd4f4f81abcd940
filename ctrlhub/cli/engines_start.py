"""``ctrl-hub engines start``: the options of launchers, and what they mean."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ctrlhub.cli.engines import engines, place_options
from ctrlhub.cli.options import find_profile


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
        "--launcher",
        metavar="NAME",
        default="local",
        show_default=True,
        help="What starts them: `ctrl-hub engines launchers` lists what there is.",
    ),
    click.option(
        "-o",
        "--option",
        "options",
        multiple=True,
        callback=_pairs,
        metavar="NAME=VALUE",
        help="An option of the launcher; again for each further one, or line of one.",
    ),
)


def with_launcher(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the choice of a launcher, as its arguments `launcher` and `options`."""
    for each in reversed(_OPTIONS):
        command = each(command)
    return command


@engines.command()
@click.option("-n", "--engines", "n", type=click.IntRange(min=1), metavar="N", default=1, show_default=True,
              help="How many engines.")  # fmt: skip
@click.option("--name", metavar="NAME", help="What the set is called.  [default: like its launcher]")
@click.option("--dry-run", is_flag=True, help="Print the exact script or command, and start nothing.")
@with_launcher
@place_options
def start(
    n: int,
    name: str | None,
    dry_run: bool,
    launcher: str,
    options: dict[str, Any],
    profile: str,
    state_dir: Path | None,
) -> None:
    """Start a set of engines for a hub that runs."""
    from ctrlhub.cluster.launchers.sets import make_set, start_set

    place = find_profile(profile, state_dir)
    try:
        made = make_set(place, launcher, n, options, name=name)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if dry_run:
        click.echo(made.plan(), nl=False)
        return
    start_set(made)
    many = "1 engine" if n == 1 else f"{n} engines"
    click.echo(f"engines {made.spec.key}: {many} asked of {launcher} ({made.described()})")


@engines.command()
@click.argument("name", required=False)
def launchers(name: str | None) -> None:
    """List the launchers there are, or the options of one."""
    from ctrlhub.cli.text import table
    from ctrlhub.cluster.launchers.options import described
    from ctrlhub.cluster.launchers.registry import launcher_named, launcher_names

    if name is None:
        click.echo("\n".join(launcher_names()))
        return
    try:
        kind = launcher_named(name)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    click.echo("\n".join(table(("option", "default", "meaning"), described(kind.options_type))))


COMMANDS = {"engines": engines}
