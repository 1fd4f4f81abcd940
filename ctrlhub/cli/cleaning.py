"""``ctrl-hub clean``: remove what dead clusters have left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ctrlhub.cli.exits import Exit
from ctrlhub.cli.options import json_option, state_dir_option

if TYPE_CHECKING:
    from ctrlhub.cluster.cleaning import Leftover


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--logs", is_flag=True, help="Also the logs of profiles of which nothing runs.")
@json_option
@state_dir_option
@click.pass_context
def clean(
    ctx: click.Context, dry_run: bool, logs: bool, as_json: bool, state_dir: Path | None
) -> None:
    """Remove what dead clusters of all profiles have left.

    Sockets, connection files, records and directories of what was killed. Nothing is ended, and nothing
    is taken from what lives; keys, stores, configurations and logs stay.
    """
    from ctrlhub.cluster.cleaning import leftovers

    state = None if state_dir is None else state_dir.expanduser().absolute()
    done = [(each, _done(each, dry_run)) for each in leftovers(state, logs=logs)]
    if as_json:
        plain = [
            {"what": each.what, "path": str(each.path), "done": how, "why": why}
            for each, (how, why) in done
        ]
        click.echo(json.dumps(plain, indent=2))
    elif not done:
        click.echo("nothing to clean up")
    else:
        for each, (how, why) in done:
            click.echo(f"{how:<12} {each.path}: {each.what}{f'; {why}' if why else ''}")
    if any(how == "failed" for _, (how, _) in done):
        ctx.exit(Exit.ERROR)


def _done(leftover: Leftover, dry_run: bool) -> tuple[str, str]:
    """Remove something, unless it is to stay; say what was done, and why."""
    from ctrlhub.wire.errors import CtrlHubError

    if leftover.why_left:
        return "left", leftover.why_left
    if dry_run:
        return "would remove", ""
    try:
        return ("removed", "") if leftover.remove() else ("left", "it is in use again")
    except (OSError, CtrlHubError) as error:
        return "failed", str(error)


COMMANDS = {"clean": clean}
