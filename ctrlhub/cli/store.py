"""``ctrl-hub store``: what a hub has stored, also when none runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TextIO

import click

from ctrlhub.cli.options import find_profile, json_option, profile_option, state_dir_option

directory_option = click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIRECTORY",
    help="Of a store elsewhere: the one of `--store sqlite:DIRECTORY`.",
)


def _directory(profile: str, state_dir: Path | None, directory: Path | None) -> Path:
    return find_profile(profile, state_dir).store if directory is None else directory.absolute()


@click.group()
def store() -> None:
    """Look at what the hub of a profile has stored, or make room."""


@store.command()
@profile_option
@state_dir_option
@directory_option
@json_option
def stats(profile: str, state_dir: Path | None, directory: Path | None, as_json: bool) -> None:
    """Say how much there is; also while the hub runs."""
    from ctrlhub.controller.stores.looking import figures, look, size_on_disk

    place = _directory(profile, state_dir, directory)
    found = {**figures(look(place)), "bytes": size_on_disk(place)}
    if as_json:
        click.echo(json.dumps({"where": str(place), **found}, indent=2))
        return
    click.echo(str(place))
    for name, count in found.items():
        click.echo(f"{count:>15,}  {name}")


@store.command()
@profile_option
@state_dir_option
@directory_option
@click.argument("file", type=click.File("w"), default="-")
def export(
    profile: str, state_dir: Path | None, directory: Path | None, file: TextIO
) -> None:
    """Write a line of JSON for each request to FILE, or to standard output; without its values."""
    from ctrlhub.controller.stores.looking import look, records

    for record in records(look(_directory(profile, state_dir, directory))):
        file.write(json.dumps(record) + "\n")


@store.command()
@profile_option
@state_dir_option
@directory_option
def purge(profile: str, state_dir: Path | None, directory: Path | None) -> None:
    """Forget the requests that have ended, fetched or not. No hub may run.

    In Python `client.purge_hub_results("all")` does it while one runs.
    """
    from ctrlhub.controller.stores.looking import look
    from ctrlhub.controller.stores.looking import purge as forget

    place = find_profile(profile, state_dir)
    look(_directory(profile, state_dir, directory))  # else there is nothing to lock
    with place.hub_lock():
        count = forget(_directory(profile, state_dir, directory))
    click.echo(f"profile {profile}: {count} requests forgotten")


COMMANDS = {"store": store}
