"""``ctrl-hub start``: a supervised hub and engines on this host."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from ctrlhub.cli.configured import configured
from ctrlhub.cli.helping import command
from ctrlhub.cli.hub_options import with_hub_config
from ctrlhub.cli.launcher_options import count_of, with_launcher

if TYPE_CHECKING:
    from ctrlhub.cluster.set_keeper import RestartSets
    from ctrlhub.cluster.supervisor import Ready, SupervisorConfig
    from ctrlhub.controller.config import HubConfig


@command()
@configured("start.engines", "start.daemonize", "start.timeout")
@with_launcher
@configured("launcher.restart", "launcher.poll")
@click.option("--dry-run", is_flag=True, help="Print the exact script or commands, and start nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one object when ready, for scripts.")
@with_hub_config
def start(
    engines: int | None,
    daemonize: bool,
    timeout: float,
    launcher: str,
    options: dict[str, Any],
    restart: str,
    poll: float,
    dry_run: bool,
    as_json: bool,
    hub: HubConfig,
) -> None:
    """Start a hub on this host, and engines here or elsewhere.

    Prints "ready" when all engines are registered, or those that are not wait in a batch system's
    queue. The cluster then runs until `ctrl-hub stop`, or without --daemonize until Ctrl-C; hub and
    engines that die are started again.
    """
    from ctrlhub.cluster.set_keeper import RestartSets

    config = _config(engines, timeout, hub, launcher, options, RestartSets(restart), poll)
    plan = _plan(config, is_meant=not dry_run)
    tell = _say_ready_in_json if as_json else partial(_say_ready, listening=hub.http.address)
    if dry_run:
        click.echo(plan, nl=False)
    elif daemonize:
        _start_in_background(config, tell)
    else:
        _run_here(config, tell)


def _config(
    engines: int | None,
    timeout: float,
    hub: HubConfig,
    launcher: str,
    options: dict[str, Any],
    restart: RestartSets,
    poll: float,
) -> SupervisorConfig:
    from ctrlhub.cluster.local import available_cores
    from ctrlhub.cluster.local_nanny import LOCAL_SET
    from ctrlhub.cluster.supervisor import SupervisorConfig

    if engines is None:
        cores = min(available_cores(), hub.max_engines)
        engines = cores if launcher == LOCAL_SET else count_of(None, options)
    if engines > hub.max_engines:
        raise click.UsageError(
            f"{engines} engines are more than --max-engines {hub.max_engines}: raise it, or start fewer"
        )
    return SupervisorConfig(hub, engines, timeout, launcher, options, restart, poll)


def _plan(config: SupervisorConfig, *, is_meant: bool) -> str:
    """Return what the launcher will do; what is wrong with it is a wrong use, before anything is started.

    Parameters
    ----------
    config
        What to run.
    is_meant
        It is going to be run here: so the hub must be found by the engines.
    """
    if not config.is_launched:
        from ctrlhub.cluster.local import plan_of

        return plan_of(config.profile, config.hub, config.engines)
    from ctrlhub.cluster.launchers.sets import make_set
    from ctrlhub.cluster.log_options import LogOptions
    from ctrlhub.wire.messages import Role

    try:
        logs = LogOptions.of(config.hub)
        made = make_set(config.profile, config.launcher, config.engines, config.options, logs=logs)
        plan = made.plan()
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if is_meant and made.is_remote and config.hub.listen is None and not config.hub.ssh_for(Role.ENGINE):
        raise click.UsageError(
            f"--launcher {config.launcher} starts engines on other hosts, and the hub would listen only to "
            "this user on this host: add --listen ADDRESS, one of this host that those can reach"
        )
    return plan


def _start_in_background(config: SupervisorConfig, tell: Callable[[Ready], None]) -> None:
    from ctrlhub.cluster.daemon import start_in_background

    ready = start_in_background(config)
    if ready is None:
        click.echo("stopped while starting")
    else:
        tell(ready)


def _run_here(config: SupervisorConfig, tell: Callable[[Ready], None]) -> None:
    from ctrlhub.cluster.daemon import log_as_supervisor
    from ctrlhub.cluster.supervisor import Supervisor

    log_as_supervisor(config, "WARNING")
    Supervisor(config).run(tell)


def _say_ready(ready: Ready, listening: str) -> None:
    engines = "1 engine" if ready.engines == 1 else f"{ready.engines} engines"
    note = f", {ready.note}" if ready.note else ""
    click.echo(f"profile {ready.profile}: hub with pid {ready.hub_pid}, {engines}{note}")
    if ready.http:
        click.echo(f"http     {ready.http}   (`ctrl-hub dashboard` adds a token)")
        if elsewhere := _from_elsewhere(ready.http, listening):
            click.echo(f"from elsewhere: {elsewhere}")
    click.echo("ready")


def _from_elsewhere(url: str, listening: str) -> str:
    """Return the URL for other hosts, which need not know this one's name; empty if there is no other."""
    from ctrlhub.controller.advertising import WILDCARDS, outward_address
    from ctrlhub.controller.http_config import is_loopback
    from ctrlhub.wire.addresses import bracketed

    if listening not in WILDCARDS or is_loopback(own := outward_address(listening)):
        return ""
    parts = urlsplit(url)
    return f"{parts.scheme}://{bracketed(own)}:{parts.port}{parts.path}"


def _say_ready_in_json(ready: Ready) -> None:
    click.echo(json.dumps(asdict(ready)))


COMMANDS = {"start": start}
