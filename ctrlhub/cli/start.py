"""``ctrl-hub start``: a supervised hub and engines on this host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ctrlhub.cli.configured import configured
from ctrlhub.cli.hub_options import with_hub_config

if TYPE_CHECKING:
    from ctrlhub.cluster.supervisor import Ready, SupervisorConfig
    from ctrlhub.controller.config import HubConfig


@click.command()
@configured("start.engines", "start.daemonize", "start.timeout")
@with_hub_config
def start(engines: int | None, daemonize: bool, timeout: float, hub: HubConfig) -> None:
    """Start a hub and engines on this host.

    Prints "ready" when all engines are registered. The cluster then runs until `ctrl-hub stop`, or
    without --daemonize until Ctrl-C; hub and engines that die are started again.
    """
    config = _config(engines, timeout, hub)
    if daemonize:
        _start_in_background(config)
    else:
        _run_here(config)


def _config(engines: int | None, timeout: float, hub: HubConfig) -> SupervisorConfig:
    from ctrlhub.cluster.local import available_cores
    from ctrlhub.cluster.supervisor import SupervisorConfig

    if engines is None:
        engines = min(available_cores(), hub.max_engines)
    if engines > hub.max_engines:
        raise click.UsageError(
            f"{engines} engines are more than --max-engines {hub.max_engines}: raise it, or start fewer"
        )
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
