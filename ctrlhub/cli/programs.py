"""``ctrl-hub hub`` and ``ctrl-hub engine``: one program alone, in the foreground."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ctrlhub.cli.configured import configured
from ctrlhub.cli.detaching import check_reachable
from ctrlhub.cli.detaching import detach as leave
from ctrlhub.cli.exits import Exit
from ctrlhub.cli.helping import command
from ctrlhub.cli.hub_options import with_hub_config
from ctrlhub.cli.options import check_connection, find_profile, profile_option, state_dir_option
from ctrlhub.cli.ranks import be_rank, check_way, end_rank, watch_ranks
from ctrlhub.cli.tokens import take_token

if TYPE_CHECKING:
    from ctrlhub.controller.config import HubConfig


@command()
@with_hub_config
@click.pass_context
def hub(ctx: click.Context, hub: HubConfig) -> None:
    """Run a hub alone, until Ctrl-C or `ctrl-hub stop`."""
    from ctrlhub.controller import exits
    from ctrlhub.controller.serving import run

    code = run(hub)
    here = {
        exits.EXIT_PAUSED: Exit.OK,
        exits.EXIT_AWAY: Exit.START_FAILED,
        exits.EXIT_UNUSABLE: Exit.START_FAILED,
    }
    ctx.exit(here.get(code, code))


@command()
@click.option(
    "--connection",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The hub's connection file for engines, instead of a profile's.",
)
@configured(
    "engine.engines", "engine.gpus", "engine.prefer", "engine.ssh", "engine.ssh_key", "engine.resources",
    "engine.grace", "engine.wall_time", "log.format", "log.max_bytes", "hub.log_level",
)  # fmt: skip
@click.option(
    "--token-stdin",
    is_flag=True,
    help="Read the connection as one token from standard input (`ctrl-hub engines token` prints it); "
    "or have it in the environment, as CTRLHUB_TOKEN.",
)
@click.option(
    "--nanny-signals",
    is_flag=True,
    help="Engines leave SIGTERM to their nanny: for batch systems that send it to all processes of a job.",
)
@click.option("--engine-set", metavar="NAME", help="The set that these engines belong to.")
@click.option(
    "--logs",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIRECTORY",
    help="Where engines write their logs, which stay there; instead of the profile's directory.",
)
@click.option(
    "--detach",
    metavar="NAME",
    help="Return at once, and go on in the background under this name; with --token-stdin and --logs.",
)
@click.option(
    "--mpi",
    is_flag=True,
    help="Be one rank of an MPI job, whose number is the engine's id: `mpiexec -n 4 ctrl-hub engine --mpi`.",
)
@click.option(
    "--mpiexec",
    metavar="COMMAND",
    help="Start N ranks of MPI as engines, and watch them: what starts MPI jobs here, with its options, such "
    "as 'mpiexec --oversubscribe' or 'srun --mpi=pmix -n {n}'.",
)
@profile_option
@state_dir_option
@click.pass_context
def engine(
    ctx: click.Context,
    engines: int | Literal["auto"],
    gpus: str,
    connection: Path | None,
    token_stdin: bool,
    nanny_signals: bool,
    engine_set: str | None,
    logs: Path | None,
    detach: str | None,
    mpi: bool,
    mpiexec: str | None,
    prefer: Literal["ipc", "tcp"] | None,
    ssh: str | None,
    ssh_key: str | None,
    resources: dict[str, float] | None,
    grace: float,
    wall_time: float | None,
    log_format: str | None,
    log_max_bytes: int,
    log_level: str,
    profile: str,
    state_dir: Path | None,
) -> None:
    """Run engines alone, until Ctrl-C or until the hub is stopped.

    After SIGTERM, and before the wall time is over, they finish what they run; a second SIGTERM, or
    Ctrl-C, ends them at once.
    """
    if mpi or mpiexec is not None:
        check_way(ssh, ssh_key)
    place = find_profile(profile, state_dir)
    token = take_token(token_stdin, connection is not None)
    file = place.connection_engine if connection is None else connection.expanduser().absolute()
    if not token:
        # What is wrong with the file is said at once; a nanny would wait for a better one.
        check_connection(file)
    if detach is not None:
        if not token or logs is None:
            raise click.UsageError("--detach needs --token-stdin and --logs")
        check_reachable(token)
        leave(logs.absolute())
    from ctrlhub.cluster.nannies import profile_of, recorded
    from ctrlhub.cluster.nanny_logs import Logs
    from ctrlhub.engine.config import NannyConfig
    from ctrlhub.engine.given import Node
    from ctrlhub.engine.nanny import run

    node = Node()
    count = node.engines() if engines == "auto" else engines
    kept = Logs.of(place) if logs is None else Logs.kept(logs.absolute(), as_it_is=mpi)
    config = NannyConfig(
        "" if token else str(file),
        count,
        str(kept.directory),
        log_level=log_level,
        log_format=log_format or "text",
        log_max_bytes=log_max_bytes,
        prefer=prefer,
        ssh=ssh or "",
        ssh_key=ssh_key or "",
        resources=(resources,) if resources else (),
        environments=node.gpus_as_asked(gpus).shared_out(count),
        token=token,
        nanny_signals=nanny_signals,
        engine_set=engine_set or "",
        drain=grace,
        until=node.ends() if wall_time is None else time.time() + wall_time,
    )
    owner = None if token else profile_of(file, place)
    with nullcontext() if owner is None else recorded(owner):
        if mpi:
            ending = be_rank(config, node.gpus_as_asked(gpus))
        elif mpiexec is not None:
            ending = watch_ranks(config, mpiexec, gpus, profile, place)
        else:
            ending = run(config)
    if mpi:
        end_rank(ending, kept if logs is None else None)
    code = _exit_of_nanny(ending)
    kept.ended(code)
    ctx.exit(code)


def _exit_of_nanny(code: int) -> Exit:
    """Translate the exit code of a nanny, which is also that of a process of its own."""
    from ctrlhub.engine.lease import Ending

    exits = {
        Ending.LEFT: Exit.OK,
        Ending.TERMINATED: Exit.OK,
        Ending.HUB_LOST: Exit.NOT_ANSWERING,
        Ending.REFUSED: Exit.REFUSED,
        Ending.MISCONFIGURED: Exit.BAD_STATE,
    }
    return exits.get(Ending(code), Exit.ERROR)


COMMANDS = {"hub": hub, "engine": engine}
