"""Engines that are the ranks of an MPI job: ``mpiexec`` starts them, and one process here watches it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import ClassVar

from ctrlhub.cluster.launchers.local import LocalLauncher
from ctrlhub.cluster.launchers.options import LauncherOptions, option
from ctrlhub.cluster.launchers.script import Shell, environment_of
from ctrlhub.engine.ranks import FORWARD_VARIABLE


@dataclass(frozen=True, kw_only=True)
class MpiOptions(LauncherOptions):
    """What the launcher of MPI jobs can be told."""

    mpiexec: str = option(
        "What starts MPI jobs here, with its options: `mpiexec --hostfile FILE`, `srun --mpi=pmix -n {n}`. "
        "{n} stands for the number of ranks; without it `-n N` is added.",
        "mpiexec",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            words = shlex.split(self.mpiexec)
        except ValueError as error:
            raise ValueError(f"mpiexec: {self.mpiexec!r}: {error}") from None
        if not words:
            raise ValueError("mpiexec: there is no command")


class MpiLauncher(LocalLauncher):
    """Runs ``ctrl-hub engine --mpiexec`` on this host, which starts the ranks and watches them.

    The watcher is what is recorded, signalled and ended; with it goes ``mpiexec``, and with that all
    ranks, wherever they run.
    """

    name = "mpi"
    options_type = MpiOptions
    can_grow: ClassVar[bool] = False

    options: MpiOptions

    def _script(self) -> str:
        names = environment_of(self.spec, self.options)
        forward = [f"export {FORWARD_VARIABLE}={','.join(names)}"] if names else []
        return "\n".join([*forward, super()._script()])

    def engine_command(self, engines: int | Shell, *others: str) -> list[str]:
        """Return the command of the watcher, which reads the token from standard input."""
        return super().engine_command(engines, "--mpiexec", self.options.mpiexec, *others)
