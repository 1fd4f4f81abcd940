"""``ctrl-hub list``: which clusters there are."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ctrlhub.cli.options import json_option, state_dir_option
from ctrlhub.cli.text import moment, table

if TYPE_CHECKING:
    from ctrlhub.cluster.listing import Listed


@click.command(name="list")
@json_option
@state_dir_option
def list_command(as_json: bool, state_dir: Path | None) -> None:
    """List clusters.

    Those of this user: running ones, and dead ones that left something for `ctrl-hub stop`.
    """
    from ctrlhub.cluster.listing import list_clusters

    found = list_clusters(None if state_dir is None else state_dir.expanduser().absolute())
    if as_json:
        click.echo(json.dumps([_plain(each) for each in found], indent=2))
    elif not found:
        click.echo("no clusters; `ctrl-hub start` starts one")
    else:
        click.echo("\n".join(_table(found)))


def _plain(listed: Listed) -> dict[str, object]:
    return {
        **asdict(listed),
        "state": listed.state.value,
        "kind": listed.kind.value,
        "directory": str(listed.directory),
    }


def _table(found: list[Listed]) -> list[str]:
    rows = [
        (
            each.profile,
            each.state.value,
            each.kind.value,
            each.pid,
            each.hub_pid,
            moment(each.started),
        )
        for each in found
    ]
    return table(("profile", "state", "kind", "pid", "hub", "since"), rows)


COMMANDS = {"list": list_command}
