"""Engines that are the ranks of an MPI job: ``ctrl-hub engine --mpi`` and ``--mpiexec``."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from ctrlhub.cluster.nanny_logs import Logs
    from ctrlhub.engine.config import NannyConfig
    from ctrlhub.engine.given import Gpus
    from ctrlhub.wire.places import Profile


def be_rank(config: NannyConfig, gpus: Gpus) -> int:
    """Be a rank, and return how that has ended."""
    from ctrlhub.engine.rank import NotARank, run

    try:
        return run(config, gpus)
    except NotARank as error:
        raise click.UsageError(str(error)) from None


def end_rank(ending: int, logs: Logs | None) -> NoReturn:
    """End this process as a rank ends: at once, whatever threads user code has left.

    Parameters
    ----------
    ending
        How its engine has ended.
    logs
        Its logs, where nobody else looks after them.
    """
    if logs is not None:
        logs.ended(ending)
    os._exit(ending)


def words_of(template: str, ranks: int) -> list[str]:
    """Return the words of what starts an MPI job, with the number of its ranks.

    Raises
    ------
    click.UsageError
        There are none.
    """
    try:
        words = shlex.split(template)
    except ValueError as error:
        raise click.UsageError(f"--mpiexec {template!r}: {error}") from None
    if not words:
        raise click.UsageError("--mpiexec: there is no command")
    if not any("{n}" in word for word in words):
        words += ["-n", "{n}"]
    return [word.replace("{n}", str(ranks)) for word in words]


def check_way(ssh: str | None, ssh_key: str | None) -> None:
    """Make sure that ranks are not to go where they do not go: through ssh.

    Raises
    ------
    click.UsageError
        They are.
    """
    from ctrlhub.wire.ssh import NO_SSH

    if ssh != NO_SSH and (ssh or ssh_key):
        raise click.UsageError(
            f"{'--ssh' if ssh else '--ssh-key'}: ranks of MPI, and who watches them, reach the hub directly and not "
            "through ssh. Start the hub with --listen and an address that their nodes can reach; where a "
            "configuration says otherwise, say --ssh none"
        )


def watch_ranks(config: NannyConfig, mpiexec: str, gpus: str, profile: str, place: Profile) -> int:
    """Start the ranks, watch them until they have ended, and return how."""
    from ctrlhub.engine.mpi_job import run

    command = words_of(mpiexec, config.engines)
    if not config.token:
        from ctrlhub.wire.connection import ConnectionInfo

        token = ConnectionInfo.load(Path(config.connection)).to_token()
        config = replace(config, connection="", token=token)
    rank = [
        sys.executable, "-P", "-m", "ctrlhub", "engine", "--mpi",
        "--profile", profile, "--state-dir", str(place.directory.parent.parent), "--logs", config.logs,
    ]  # fmt: skip
    rank += ["--gpus", gpus]  # of each node, where its ranks are
    if config.prefer is not None:
        rank += ["--prefer", config.prefer]
    if config.engine_set:
        rank += ["--engine-set", config.engine_set]
    if config.resources:
        having = ",".join(f"{name}={amount:g}" for name, amount in config.resources[0].items())
        rank += ["--resources", having]
    return run(config, command, rank)
