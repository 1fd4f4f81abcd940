"""``ctrl-hub engines scale``: more engines of a set, or fewer."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ctrlhub.cli.engines import place_options
from ctrlhub.cli.options import check_connection, find_profile, json_option
from ctrlhub.cli.text import count


@click.command()
@click.argument("n", type=click.IntRange(min=0), metavar="N")
@click.argument("name", required=False, metavar="[SET]")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for engines that come.",
)
@click.option("--no-wait", is_flag=True, help="Wait neither for those that come nor for those that go.")
@click.option(
    "--within",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long those that go may finish what they run, before it is given to others.  "
    "[default: as long as it takes]",
)
@place_options
@json_option
def scale(
    n: int,
    name: str | None,
    timeout: float,
    no_wait: bool,
    within: float | None,
    profile: str,
    state_dir: Path | None,
    as_json: bool,
) -> None:
    """Have N engines in a set: start others, or let the least busy ones go.

    Without a set the one is meant that the cluster began with. Who goes finishes what it runs, and what
    it has not begun runs elsewhere. A batch system runs a further job for engines that come; when there
    are to be fewer, jobs that still wait in the queue are cancelled first.
    """
    place = find_profile(profile, state_dir)
    check_connection(place.connection_client)
    from ctrlhub.cluster.cluster import Cluster

    attached = Cluster.from_file(place.directory)
    with attached:
        ids = attached.scale(n, name, timeout=None if no_wait else timeout, drain_timeout=within)
    chosen = name or attached.default_set
    if as_json:
        click.echo(json.dumps({"set": chosen, "engines": ids}))
    else:
        listed = f" ({', '.join(map(str, ids))})" if ids else ""
        click.echo(f"engines {chosen}: {count(len(ids), 'engine')}{listed}")
