"""``ctrl-hub engines start``, and what there is to start them with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ctrlhub.cli.configured import configured
from ctrlhub.cli.engines import described_set, engines, place_options
from ctrlhub.cli.engines_scale import scale
from ctrlhub.cli.launcher_options import count_of, with_launcher
from ctrlhub.cli.options import find_profile, json_option
from ctrlhub.cli.text import count, table

if TYPE_CHECKING:
    from ctrlhub.client.client import Client
    from ctrlhub.cluster.launchers.base import Launcher

@engines.command()
@click.option("-n", "--engines", "n", type=click.IntRange(min=1), metavar="N", help="How many engines.")
@click.option("--name", metavar="NAME", help="What the set is called.  [default: like its launcher]")
@click.option("--dry-run", is_flag=True, help="Print the exact script or command, and start nothing.")
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the engines. Those that fail are told at once; a set that is still "
    "queued then stays so.",
)
@with_launcher
@configured("log.format", "log.max_bytes", "hub.log_level")
@place_options
@json_option
def start(
    n: int | None,
    name: str | None,
    launcher: str,
    dry_run: bool,
    wait: float,
    options: dict[str, Any],
    log_format: str | None,
    log_max_bytes: int,
    log_level: str,
    profile: str,
    state_dir: Path | None,
    as_json: bool,
) -> None:
    """Start a set of engines for a hub that runs.

    They run until `ctrl-hub engines stop` or `ctrl-hub stop`, whatever becomes of this terminal.
    """
    from ctrlhub.client.client import Client
    from ctrlhub.cluster.launchers.sets import engine_token, make_set, start_set
    from ctrlhub.cluster.log_options import LogOptions

    place = find_profile(profile, state_dir)
    try:
        logs = LogOptions(log_level, log_format or "", log_max_bytes)
        made = make_set(place, launcher, count_of(n, options), options, name=name, logs=logs)
        if dry_run:
            plan = made.plan()
            click.echo(json.dumps({"set": made.spec.key, "plan": plan}, indent=2) if as_json else plan, nl=as_json)
            return
        made.plan()  # what is wrong with it is a wrong use, and nothing has been started
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    say = _say_nothing if as_json else click.echo
    registered = None
    if not wait:
        if not made.is_remote:
            with Client(place.connection_client) as client:
                _check_room(client, made)
        start_set(made)
        say(_asked(made))
    else:
        engine_token(place, made.is_remote)  # what keeps engines from the hub is told first
        with Client(place.connection_client) as client:
            _check_room(client, made)
            registered = _start_and_await(made, client, wait, say)
    if as_json:
        click.echo(json.dumps({**described_set(made), "registered": registered}, indent=2))


def _say_nothing(text: str) -> None:
    """Take the place of what says it to a person."""


def _asked(launcher: Launcher) -> str:
    spec = launcher.spec
    return f"engines {spec.key}: {count(spec.n, 'engine')} asked of {spec.launcher}, {launcher.described()}"


def _check_room(client: Client, launcher: Launcher) -> None:
    """See that the hub takes so many engines more: others would be started, and sent away.

    Raises
    ------
    TooManyEngines
        It does not.
    """
    from ctrlhub.wire.errors import TooManyEngines

    status = client.status()
    there, most, n = len(status["engines"]), status["hub"].get("max_engines"), launcher.spec.n
    if most is not None and there + n > most:  # an older hub does not say
        raise TooManyEngines(
            f"{n} further engines would be more than the hub's --max-engines {most}: {there} are registered"
        )


def _start_and_await(launcher: Launcher, client: Client, wait: float, say: Callable[[str], None]) -> int:
    """Start a set, and return how many of its engines have registered within so many seconds."""
    from ctrlhub.cluster.arrival import Arrival
    from ctrlhub.cluster.errors import StartFailed
    from ctrlhub.cluster.launchers.sets import start_set
    from ctrlhub.cluster.parts_check import PartsCheck

    spec = launcher.spec
    parts = PartsCheck([launcher])
    arrival = Arrival(client, spec.n, spec.name, parts=parts)
    arrival.forget_former()  # of a set that had this name
    start_set(launcher)
    say(_asked(launcher))
    try:
        state = "running" if arrival.wait(wait) else parts.states()
    except StartFailed:
        if there := arrival.there():
            say(f"engines {spec.key}: {there} go on, until `ctrl-hub engines stop {spec.name}`")
        else:
            launcher.stop()
        raise
    registered = arrival.there()
    say(f"engines {spec.key}: {registered} of {spec.n} registered, {state}")
    return registered


@engines.command()
@click.argument("name", required=False)
@json_option
def launchers(name: str | None, as_json: bool) -> None:
    """List the launchers there are, or the options of one."""
    from ctrlhub.cluster.launchers.options import described
    from ctrlhub.cluster.launchers.registry import launcher_named, launcher_names

    if name is None:
        names = launcher_names()
        click.echo(json.dumps(names, indent=2) if as_json else "\n".join(names))
        return
    try:
        kind = launcher_named(name)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    columns, rows = ("option", "default", "meaning"), described(kind.options_type)
    if as_json:
        click.echo(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], indent=2))
    else:
        click.echo("\n".join(table(columns, rows)))


@engines.command()
@click.argument("launcher")
def template(launcher: str) -> None:
    """Print the template of a batch system's script, for `--template FILE`.

    Names in double braces are filled in; `--dry-run` shows with what.
    """
    from ctrlhub.cluster.launchers.batch import BatchLauncher
    from ctrlhub.cluster.launchers.registry import launcher_named

    try:
        kind = launcher_named(launcher)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if not issubclass(kind, BatchLauncher):
        raise click.UsageError(f"launcher {launcher!r} has no template; --dry-run shows what it does")
    click.echo(kind.default_template, nl=False)


engines.add_command(scale)

COMMANDS = {"engines": engines}
