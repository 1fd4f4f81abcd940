"""``ctrl-hub profile``: making a profile with a configuration of its own, and looking at those there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ctrlhub.cli.options import (
    find_profile,
    json_option,
    profile_argument,
    state_dir_option,
)
from ctrlhub.cli.text import table
from ctrlhub.cluster.config.settings import BY_NAME

if TYPE_CHECKING:
    from ctrlhub.wire.places import Profile


@click.group()
def profile() -> None:
    """Make, list and show profiles, each with its configuration.

    A profile is the name of a cluster, with its configuration, keys, store and logs. `ctrl-hub start`
    makes one that is not there.
    """


def _settings(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> dict[str, Any]:
    """Read ``hub.listen=127.0.0.1``."""
    values: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign:
            raise click.BadParameter(f"{text!r} is not SECTION.KEY=VALUE", ctx, param)
        setting = BY_NAME.get(name)
        if setting is None:
            raise click.BadParameter(
                f"there is no setting {name!r}: `ctrl-hub config show` lists them", ctx, param
            )
        try:
            values[name] = setting.kind.read(value)
        except ValueError as error:
            raise click.BadParameter(f"{name}: {error}", ctx, param) from error
    return values


@profile.command()
@profile_argument
@click.option(
    "--set",
    "values",
    multiple=True,
    callback=_settings,
    metavar="SECTION.KEY=VALUE",
    help="What a setting is to have; can be given several times.",
)
@click.option("--force", is_flag=True, help="Replace the configuration that is there.")
@json_option
@state_dir_option
def create(
    name: str, values: dict[str, Any], force: bool, as_json: bool, state_dir: Path | None
) -> None:
    """Make profile NAME, with a config.toml that explains each setting."""
    from ctrlhub.cluster.config.files import NAME, template
    from ctrlhub.wire.private import write_private

    place = find_profile(name, state_dir)
    path = place.directory / NAME
    if path.exists() and not force:
        raise click.ClickException(f"{path} is there already; --force replaces it")
    place.make()
    write_private(path, template(name, values).encode())
    click.echo(json.dumps(_about(place), indent=2) if as_json else str(path))


@profile.command()
@profile_argument
@json_option
@state_dir_option
def show(name: str, as_json: bool, state_dir: Path | None) -> None:
    """Show where profile NAME is, and what it has."""
    from ctrlhub.wire.errors import HubNotFound

    place = find_profile(name, state_dir)
    if not place.directory.is_dir():
        raise HubNotFound(
            f"there is no profile {name!r}: no {place.directory}; `ctrl-hub profile create {name}` "
            "makes it, and so does `ctrl-hub start`"
        )
    about = _about(place)
    if as_json:
        click.echo(json.dumps(about, indent=2))
        return
    for key, value in about.items():
        if isinstance(value, dict):
            value = ", ".join(f"{each}={said}" for each, said in value.items()) or "-"
        click.echo(f"{key:<10} {'-' if value is None else value}")


@profile.command(name="list")
@json_option
@state_dir_option
def list_profiles(as_json: bool, state_dir: Path | None) -> None:
    """List the profiles, also those without a running cluster."""
    from ctrlhub.wire.places import known_profiles

    root = None if state_dir is None else state_dir.expanduser().absolute()
    found = [_about(each) for each in known_profiles(root)]
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif not found:
        click.echo("no profiles; `ctrl-hub profile create NAME` makes one")
    else:
        rows = [[each[key] for key in ("profile", "state", "hub_pid", "directory")] for each in found]
        click.echo("\n".join(table(("profile", "state", "hub", "directory"), rows)))


def _about(place: Profile) -> dict[str, Any]:
    from ctrlhub.cluster.config.files import NAME, ConfigError, load

    hub = place.hub_lock().holder()
    path = place.directory / NAME
    config: dict[str, Any] | None = None
    trouble = ""
    try:
        found = load(path)
    except ConfigError as error:
        trouble = str(error)
    else:
        if path.exists():
            config = {name: BY_NAME[name].text(each.value) for name, each in found.items()}
    return {
        "profile": place.name,
        "state": "running" if hub is not None else "stopped",
        "hub_pid": hub,
        "directory": str(place.directory),
        "config": str(path) if path.exists() else None,
        "settings": config,
        "store": str(place.store) if place.store.is_dir() else None,
        "logs": str(place.logs),
        "trouble": trouble or None,
    }


COMMANDS = {"profile": profile}
