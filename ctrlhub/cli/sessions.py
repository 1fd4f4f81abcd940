"""``ctrl-hub sessions``: what clients have left, and how to end it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ctrlhub.cli.options import (
    check_connection,
    find_profile,
    json_option,
    profile_option,
    state_dir_option,
)
from ctrlhub.cli.text import table


@click.command()
@profile_option
@json_option
@state_dir_option
@click.option(
    "--end",
    type=click.IntRange(min=1),
    metavar="N",
    help="End this session: cancel its tasks, and forget its results. No client may be attached.",
)
def sessions(profile: str, as_json: bool, state_dir: Path | None, end: int | None) -> None:
    """List the sessions of clients, or end one.

    Attached ones, detached ones, and those whose client has vanished. In Python,
    Client(session=N) attaches to one.
    """
    place = find_profile(profile, state_dir)
    check_connection(place.connection_client)
    from ctrlhub.client.client import Client

    with Client(place.connection_client) as client:
        if end is not None:
            client.end_session(end)
            click.echo(f"profile {profile}: session {end} has ended")
            return
        found = [each for each in client.sessions() if each.session != client.session]
    plain = [
        {**each._asdict(), "expires": each.expires.isoformat(sep=" ", timespec="seconds")}
        if each.expires
        else each._asdict()
        for each in found
    ]
    if as_json:
        click.echo(json.dumps(plain, indent=2))
    elif not plain:
        click.echo("no sessions")
    else:
        columns = ("session", "state", "pid", "host", "outstanding", "results", "expires")
        click.echo("\n".join(table(columns, [[each[name] for name in columns] for each in plain])))


COMMANDS = {"sessions": sessions}
