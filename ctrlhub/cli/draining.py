"""``ctrl-hub drain``: engines leave when they have finished."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ctrlhub.cli.asking import connected, engine_ids
from ctrlhub.cli.configured import configured
from ctrlhub.cli.options import json_option, profile_option, state_dir_option


@click.command()
@click.argument("engines", metavar="[ENGINE]...", nargs=-1, callback=engine_ids)
@click.option("--all", "everything", is_flag=True, help="All engines.")
@click.option("--within", type=click.FloatRange(min=0), metavar="SECONDS", help="How long what runs may go on; then tasks are given back, and run elsewhere.  [default: as long as it takes]")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until they have left.")
@configured("status.timeout")
@profile_option
@json_option
@state_dir_option
def drain(
    engines: list[int],
    everything: bool,
    within: float | None,
    wait: bool,
    timeout: float,
    profile: str,
    as_json: bool,
    state_dir: Path | None,
) -> None:
    """Let engines finish what they run, and leave.

    ENGINE is an id, or a range such as 0-3. They begin nothing new: what they have been given and not begun
    runs elsewhere. Nobody starts others in their places; the hub goes on.
    """
    if everything == bool(engines):
        raise click.UsageError("name engines by their ids, or say --all")
    with connected(profile, state_dir, timeout) as client:
        ids = client.ids if everything else engines
        if ids:
            client.drain(ids, block=wait, timeout=within)
    if as_json:
        click.echo(json.dumps({"engines": ids, "left": wait}))
    elif not ids:
        click.echo("there are no engines")
    else:
        named = ("engine " if len(ids) == 1 else "engines ") + ", ".join(map(str, ids))
        click.echo(f"{named} {'left' if wait else 'will leave'}")


COMMANDS = {"drain": drain}
