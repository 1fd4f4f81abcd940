"""``ctrl-hub store``: what a hub has stored, also when none runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import click

from ctrlhub.cli.configured import configured
from ctrlhub.cli.options import (
    find_profile,
    json_option,
    profile_option,
    state_dir_option,
)

directory_option = click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIRECTORY",
    help="The same as `--store sqlite:DIRECTORY`.",
)


def _place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Say which store is meant."""
    for option in (directory_option, configured("hub.store"), state_dir_option, profile_option):
        command = option(command)
    return command


def _which(store: str, directory: Path | None) -> str:
    return store if directory is None else f"sqlite:{directory.absolute()}"


@click.group()
def store() -> None:
    """Look at what the hub of a profile has stored, or make room."""


@store.command()
@_place_options
@json_option
def stats(
    profile: str, state_dir: Path | None, store: str, directory: Path | None, as_json: bool
) -> None:
    """Say how much there is; also while the hub runs."""
    from ctrlhub.controller.stores.looking import figures, look, name_of

    which, of = _which(store, directory), find_profile(profile, state_dir)
    saved, size = look(which, of)
    found, place = {**figures(saved), "bytes": size}, name_of(which, of)
    if as_json:
        click.echo(json.dumps({"where": place, **found}, indent=2))
        return
    click.echo(place)
    for name, count in found.items():
        click.echo(f"{count:>15,}  {name}")


@store.command()
@_place_options
@click.argument("file", type=click.File("w"), default="-")
def export(
    profile: str, state_dir: Path | None, store: str, directory: Path | None, file: TextIO
) -> None:
    """Write a line of JSON for each request to FILE, or to standard output; without its values."""
    from ctrlhub.controller.stores.looking import look, records

    saved, _ = look(_which(store, directory), find_profile(profile, state_dir))
    for record in records(saved):
        file.write(json.dumps(record) + "\n")


@store.command()
@_place_options
@click.option("--all", "everything", is_flag=True, help="Also those that wait or were running.")
def purge(
    profile: str, state_dir: Path | None, store: str, directory: Path | None, everything: bool
) -> None:
    """Forget the requests that have ended, fetched or not. No hub may run.

    In Python `client.purge_hub_results("all")` does it while one runs.
    """
    from ctrlhub.controller.stores.looking import look
    from ctrlhub.controller.stores.looking import purge as forget

    which, of = _which(store, directory), find_profile(profile, state_dir)
    look(which, of)  # else there is nothing to lock
    of.make()
    with of.hub_lock():
        count = forget(which, of, everything=everything)
    click.echo(f"profile {profile}: {count} requests forgotten")


COMMANDS = {"store": store}
