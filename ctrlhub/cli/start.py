"""``ctrl-hub start``: a supervised hub and engines on this host."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ctrlhub.cli.options import (
    check_ports,
    listen_option,
    max_engines_option,
    ports_option,
    profile_option,
    scheme_option,
    state_dir_option,
    store_option,
    task_order_option,
)

if TYPE_CHECKING:
    from ctrlhub.cluster.supervisor import Ready, SupervisorConfig


@click.command()
@click.option(
    "-n",
    "--engines",
    type=click.IntRange(min=0),
    metavar="N",
    help="How many engines.  [default: as many as cores]",
)
@profile_option
@click.option("--daemonize", is_flag=True, help="Return when ready; go on in the background.")
@listen_option
@ports_option
@max_engines_option
@scheme_option
@task_order_option
@store_option
@state_dir_option
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Time within which all engines must be registered.",
)
def start(
    engines: int | None,
    profile: str,
    daemonize: bool,
    listen: str | None,
    ports: tuple[int, int] | None,
    max_engines: int,
    scheme: str,
    task_order: str,
    store: str,
    state_dir: Path | None,
    timeout: float,
) -> None:
    """Start a hub and engines on this host.

    Prints "ready" when all engines are registered. The cluster then runs until `ctrl-hub stop`, or
    without --daemonize until Ctrl-C; hub and engines that die are started again.
    """
    check_ports(listen, ports)
    config = _config(
        engines, profile, listen, ports, max_engines, scheme, task_order, store, state_dir, timeout
    )
    if daemonize:
        _start_in_background(config)
    else:
        _run_here(config)


def _config(
    engines: int | None,
    profile: str,
    listen: str | None,
    ports: tuple[int, int] | None,
    max_engines: int,
    scheme: str,
    task_order: str,
    store: str,
    state_dir: Path | None,
    timeout: float,
) -> SupervisorConfig:
    from ctrlhub.cluster.local import available_cores
    from ctrlhub.cluster.supervisor import SupervisorConfig
    from ctrlhub.controller.config import HubConfig

    if engines is None:
        engines = min(available_cores(), max_engines)
    if engines > max_engines:
        raise click.UsageError(
            f"{engines} engines are more than --max-engines {max_engines}: raise it, or start fewer"
        )
    try:
        hub = HubConfig(
            profile=profile,
            state_dir="" if state_dir is None else str(state_dir.expanduser().absolute()),
            listen=listen,
            ports=ports,
            max_engines=max_engines,
            task_scheme=scheme,
            task_order=task_order,
            store=store,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return SupervisorConfig(hub, engines, timeout)


def _start_in_background(config: SupervisorConfig) -> None:
    from ctrlhub.cluster.daemon import start_in_background

    ready = start_in_background(config)
    if ready is None:
        click.echo("stopped while starting")
    else:
        _say_ready(ready)


def _run_here(config: SupervisorConfig) -> None:
    import logging

    from ctrlhub.cluster.daemon import LOG_FORMAT
    from ctrlhub.cluster.supervisor import Supervisor

    logging.basicConfig(format=LOG_FORMAT, level=logging.WARNING)
    Supervisor(config).run(_say_ready)


def _say_ready(ready: Ready) -> None:
    engines = "1 engine" if ready.engines == 1 else f"{ready.engines} engines"
    click.echo(f"profile {ready.profile}: hub with pid {ready.hub_pid}, {engines}")
    click.echo("ready")


COMMANDS = {"start": start}
