"""``ctrl-hub config show``: what holds, and who said so."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ctrlhub.cli.configured import layers_of
from ctrlhub.cli.options import find_profile, json_option, profile_option, state_dir_option
from ctrlhub.cli.text import table
from ctrlhub.cluster.config.settings import SECTIONS, SETTINGS

if TYPE_CHECKING:
    from ctrlhub.cluster.config.resolving import Resolved


@click.group()
def config() -> None:
    """Show the configuration."""


@config.command()
@click.argument("section", type=click.Choice(list(SECTIONS)), required=False)
@click.option("--changed", is_flag=True, help="Only what is not the default.")
@profile_option
@json_option
@state_dir_option
def show(
    section: str | None, changed: bool, profile: str, as_json: bool, state_dir: Path | None
) -> None:
    """Show each setting of a profile, and where it comes from.

    Options win over environment variables, these over config.toml of the profile, that over the
    user's config.toml.
    """
    from ctrlhub.cluster.config.files import NAME, user_file
    from ctrlhub.cluster.config.resolving import Origin, VariableError

    layers = layers_of(profile, state_dir, os.environ)
    try:
        every = [layers.resolve(setting) for setting in SETTINGS]
    except VariableError as error:
        raise click.UsageError(str(error)) from error
    found = [
        each
        for each in every
        if section in (None, each.setting.section)
        and not (changed and each.origin is Origin.DEFAULT)
    ]
    files = {
        "profile": find_profile(profile, state_dir).directory / NAME,
        "user": user_file(os.environ),
    }
    if as_json:
        about = {name: {"path": str(path), "exists": path.exists()} for name, path in files.items()}
        shown = {"profile": profile, "files": about, "settings": [_plain(each) for each in found]}
        click.echo(json.dumps({**shown, "unknown_variables": layers.strange()}, indent=2))
        return
    for name, path in files.items():
        click.echo(f"{name:<8} {path}{'' if path.exists() else '  (there is none)'}")
    for name in layers.strange():
        click.echo(f"WARNING  {name} is set, and there is no such setting", err=True)
    click.echo("")
    rows = [(each.setting.name, each.setting.text(each.value), _from(each)) for each in found]
    click.echo("\n".join(table(("setting", "value", "from"), rows)))


def _from(resolved: Resolved) -> str:
    if resolved.where and resolved.origin != "default":
        return resolved.where
    return f"default: {resolved.where}" if resolved.where else "default"


def _plain(resolved: Resolved) -> dict[str, Any]:
    setting, value = resolved.setting, resolved.value
    plain = None if value is None else setting.kind.plain(value)
    return {
        "name": setting.name,
        "value": setting.text(value) if isinstance(plain, str) else plain,
        "origin": resolved.origin.value,
        "where": resolved.where,
        "default": None if setting.default is None else setting.kind.plain(setting.default),
        "options": list(setting.options),
        "variable": setting.variable,
        "help": setting.help,
    }


COMMANDS = {"config": config}
