"""``ctrl-hub list``: which clusters there are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ctrlhub.cli.options import json_option, state_dir_option
from ctrlhub.cli.text import moment, table

if TYPE_CHECKING:
    from ctrlhub.cluster.listing import Listed
    from ctrlhub.wire.places import Profile

SOON = 1.0
"""For so long (seconds) a hub's answer is waited for."""

MOST_AT_ONCE = 16
"""The most hubs that are asked at the same time."""


@click.command(name="list")
@json_option
@state_dir_option
def list_command(as_json: bool, state_dir: Path | None) -> None:
    """List clusters.

    Those of this user: running ones with their engines, and dead ones that left something for `ctrl-hub stop`.
    """
    from ctrlhub.cluster.listing import list_clusters

    found = list_clusters(None if state_dir is None else state_dir.expanduser().absolute())
    more = _more(found)
    if as_json:
        plain = [{**_plain(each), **more[each.directory]} for each in found]
        click.echo(json.dumps(plain, indent=2))
    elif not found:
        click.echo("no clusters; `ctrl-hub start` starts one")
    else:
        click.echo("\n".join(_table(found, more)))


def _more(found: Sequence[Listed]) -> dict[Path, dict[str, Any]]:
    """Return what files, and the hubs themselves, say of clusters; all hubs are asked at once."""
    from concurrent.futures import ThreadPoolExecutor

    if not found:
        return {}
    with ThreadPoolExecutor(min(len(found), MOST_AT_ONCE)) as pool:
        return {each.directory: about for each, about in zip(found, pool.map(_about, found), strict=True)}


def _about(listed: Listed) -> dict[str, Any]:
    from ctrlhub.cluster.launchers.sets import known_sets
    from ctrlhub.wire.places import Profile

    profile = Profile(listed.profile, listed.directory)
    sets = sorted({each.spec.name for each in known_sets(profile).launchers})
    return {"engines": _engines(listed, profile), "sets": sets}


def _engines(listed: Listed, profile: Profile) -> int | None:
    """Ask a hub how many engines it has; None if it does not answer soon, or there is none."""
    from ctrlhub.client.client import Client
    from ctrlhub.wire.errors import CtrlHubError

    if listed.hub_pid is None:
        return None
    try:
        with Client(profile.connection_client, timeout=SOON) as client:
            return len(client)
    except CtrlHubError:  # `ctrl-hub status` says why
        return None


def _plain(listed: Listed) -> dict[str, object]:
    return {
        **asdict(listed),
        "state": listed.state.value,
        "kind": listed.kind.value,
        "directory": str(listed.directory),
    }


def _table(found: Sequence[Listed], more: dict[Path, dict[str, Any]]) -> list[str]:
    rows = [
        (
            each.profile,
            each.state.value,
            each.kind.value,
            each.pid,
            each.hub_pid,
            more[each.directory]["engines"],
            ", ".join(more[each.directory]["sets"]) or None,
            moment(each.started),
        )
        for each in found
    ]
    return table(("profile", "state", "kind", "pid", "hub", "engines", "sets", "since"), rows)


COMMANDS = {"list": list_command}
