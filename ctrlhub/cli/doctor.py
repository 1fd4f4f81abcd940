"""``ctrl-hub doctor``: what is wrong, and what to do."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ctrlhub.cli.configured import layers_of
from ctrlhub.cli.exits import Exit
from ctrlhub.cli.options import find_profile, json_option, profile_option, state_dir_option
from ctrlhub.cli.text import plain
from ctrlhub.cluster.config.settings import BY_NAME, SETTINGS

if TYPE_CHECKING:
    from ctrlhub.cli.checks.finding import Finding


@click.command()
@profile_option
@json_option
@state_dir_option
@click.pass_context
def doctor(ctx: click.Context, profile: str, as_json: bool, state_dir: Path | None) -> None:
    """Look for what is wrong, and say what to do.

    Versions, configuration, limits, files, disk, network and the running cluster of a profile. Nothing is
    changed. The exit code is 1 if something is wrong.
    """
    from ctrlhub.cli.checks.finding import Level

    found = []
    for each in _findings(profile, state_dir):
        found.append(each)
        if not as_json:
            click.echo(_line(each))
    counts = {level: sum(each.level is level for each in found) for level in Level}
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found], indent=2))
    else:
        click.echo(f"\n{counts[Level.OK]} ok, {counts[Level.WARNING]} warnings, {counts[Level.WRONG]} wrong")
    if counts[Level.WRONG]:
        ctx.exit(Exit.ERROR)


def _line(finding: Finding) -> str:
    advice = f"\n{'':<30}{finding.advice}" if finding.advice else ""
    return f"{finding.level.value:<9} {finding.about:<19} {plain(finding.text)}{advice}"


def _findings(profile: str, state_dir: Path | None) -> Iterator[Finding]:
    from ctrlhub.cli.checks.files import files
    from ctrlhub.cli.checks.limits import limits
    from ctrlhub.cli.checks.network import network
    from ctrlhub.cli.checks.running import running
    from ctrlhub.cli.checks.software import software
    from ctrlhub.cluster.listing import State, list_clusters
    from ctrlhub.cluster.local import available_cores

    place = find_profile(profile, state_dir)
    listed = next((each for each in list_clusters(place.directory.parent.parent) if each.directory == place.directory), None)
    yield from software()
    values = dict[str, Any]()
    yield from _configuration(profile, state_dir, values)
    engines = values["start.engines"]
    yield from limits(available_cores() if engines is None else engines, values["hub.max_memory"])
    yield from files(place, values["hub.store"])
    runs = listed is not None and listed.state is State.RUNNING
    yield from network(values["hub.listen"], values["hub.port_range"], runs=runs)
    yield from running(place, listed, values["status.timeout"])


def _configuration(profile: str, state_dir: Path | None, values: dict[str, Any]) -> Iterator[Finding]:
    """Look at the configuration; what cannot be read has its defaults here."""
    from ctrlhub.cli.checks.finding import ok, warning, wrong
    from ctrlhub.cluster.config.files import ConfigError
    from ctrlhub.cluster.config.resolving import Layers, Origin, VariableError

    try:
        layers = layers_of(profile, state_dir, os.environ)
    except ConfigError as error:
        yield wrong("configuration", str(error), "commands refuse it: mend the file")
        layers = Layers(os.environ)
    changed = 0
    for setting in SETTINGS:
        try:
            resolved = layers.resolve(setting)
        except VariableError as error:
            yield wrong("configuration", str(error), f"`unset {setting.variable}`, or give it such a value")
            values[setting.name] = BY_NAME[setting.name].default
            continue
        values[setting.name] = resolved.value
        changed += resolved.origin is not Origin.DEFAULT
    for name in layers.strange():
        yield warning("configuration", f"{name} is set, and there is no such setting", "`ctrl-hub config show --json` has the names of all variables")
    yield ok("configuration", f"{changed} settings are not the default: `ctrl-hub config show --changed`")


COMMANDS = {"doctor": doctor}
