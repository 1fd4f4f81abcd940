"""``ctrl-hub stop``: end a cluster, and leave nothing of it behind."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ctrlhub.cli.options import find_profile, json_option, profile_option, state_dir_option


@click.command()
@profile_option
@json_option
@state_dir_option
def stop(profile: str, as_json: bool, state_dir: Path | None) -> None:
    """Stop a cluster: its supervisor, hub and engines.

    Also cleans up after one that was killed. Keys and logs of the profile stay.
    """
    from ctrlhub.cluster.stopping import stop_cluster
    from ctrlhub.wire.errors import HubNotFound

    stopped = stop_cluster(find_profile(profile, state_dir))
    if not stopped.anything:
        raise HubNotFound(f"no cluster of profile {profile!r} is running")
    if as_json:
        click.echo(json.dumps({"profile": profile, "pid": stopped.pid}))
    elif stopped.pid is None:
        click.echo(f"profile {profile}: cleaned up after a cluster that had died")
    else:
        click.echo(f"profile {profile}: stopped (pid {stopped.pid})")


COMMANDS = {"stop": stop}
