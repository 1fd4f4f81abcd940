"""What launchers of batch systems share: a script made from a template, and how engines are spread.

Where the batch system does not start one process for each node of a job by itself, a set is an array
of jobs, each on one node with one nanny.
"""

from __future__ import annotations

import math
import shlex
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ctrlhub.cluster.errors import StartFailed
from ctrlhub.cluster.launchers.base import Launcher
from ctrlhub.cluster.launchers.commands import CommandMissing
from ctrlhub.cluster.launchers.options import LauncherOptions, option
from ctrlhub.cluster.launchers.script import Shell, command_line, shell_lines
from ctrlhub.cluster.launchers.template import render
from ctrlhub.wire.private import StateError, write_private

AUTO = "auto"
MOST_TEMPLATE_BYTES = 256 * 1024


@dataclass(frozen=True, kw_only=True)
class BatchOptions(LauncherOptions):
    """What launchers of batch systems can be told."""

    nodes: int = option("How many nodes.  [default: as the batch system sees fit]", 0)
    engines_per_node: str = option(
        "How many engines on each node; `auto`: as many as it was given GPUs, or cores.  "
        "[default: the engines shared out]"
    )
    account: str = option("The account, or project, to charge.")
    queue: str = option("The queue, or partition.")
    time: str = option("The wall time, as the batch system writes it: 2:00:00 for two hours.")
    memory: str = option("The memory of each node's share, as the batch system writes it.")
    grace: int = option(
        "How long (seconds) what runs may go on when the batch system ends the job, and before its wall "
        "time is over: engines take nothing new, finish or give back what they have, and leave.", 25
    )  # fmt: skip
    extra: tuple[str, ...] = option(
        "Further options of the batch system, one a line, as they would stand in the script.", ()
    )
    template: str = option("A file to use as the script's template; `ctrl-hub engines template` prints one.")

    def __post_init__(self) -> None:
        super().__post_init__()
        for each in self.extra:
            if len(each.splitlines()) > 1:  # the rest would be no option, but a command of the script
                raise ValueError(f"extra: {each!r} is more than one line: give each option by itself")
        if self.nodes < 0 or self.grace < 1:
            raise ValueError("nodes must not be negative, and grace a second at least")
        if self.engines_per_node not in ("", AUTO) and not (
            self.engines_per_node.isdecimal() and int(self.engines_per_node) > 0
        ):
            raise ValueError(f"engines_per_node must be a number, or auto, not {self.engines_per_node!r}")
        if self.engines_per_node == AUTO and not self.nodes:
            raise ValueError("engines_per_node=auto needs nodes: how many")


@dataclass(frozen=True, slots=True)
class Spread:
    """How the engines of a set are spread over nodes.

    Parameters
    ----------
    nodes
        How many nodes; 0 leaves it to the batch system.
    each
        How many engines on each node; 0 for as many as it was given cores or GPUs.
    last
        How many on the last one.
    """

    nodes: int
    each: int
    last: int


def spread(n: int, options: BatchOptions) -> Spread:
    """Spread n engines.

    Raises
    ------
    ValueError
        They cannot be spread so.
    """
    if options.engines_per_node == AUTO:
        return Spread(options.nodes, 0, 0)
    if not options.engines_per_node and not options.nodes:
        return Spread(0, n, n)
    each = int(options.engines_per_node or 0) or math.ceil(n / options.nodes)
    nodes = math.ceil(n / each)
    if options.nodes and nodes != options.nodes:
        raise ValueError(
            f"{n} engines, {each} on a node, are for {nodes} nodes and not {options.nodes}: "
            "leave one of these out"
        )
    return Spread(nodes, each, n - (nodes - 1) * each)


class BatchLauncher(Launcher):
    """A launcher that hands a script to a batch system.

    Attributes
    ----------
    default_template : str
        The script; see `values` for the names in it.
    directive : str
        What a line of the script begins with that is for the batch system.
    """

    options_type: ClassVar[type[LauncherOptions]] = BatchOptions
    options: BatchOptions
    handle_types: ClassVar[Mapping[str, type]] = {"job": str}
    default_template: ClassVar[str]
    directive: ClassVar[str]
    script_name: ClassVar[str] = "job.sh"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.spread = spread(self.spec.n, self.options)

    def options_to_grow(self) -> dict[str, Any]:
        """Return them for as many nodes as it takes, with as many engines on each as there are already."""
        options = super().options_to_grow()
        options.pop("nodes", None)
        if not self.options.nodes:
            return options
        if self.spread.each:
            return options | {"engines_per_node": str(self.spread.each)}
        options.pop("engines_per_node")  # as many as a node has is no number to order
        return options

    @abstractmethod
    def directives(self) -> list[str]:
        """Return the options of the batch system that ours mean, without what lines begin with."""

    @abstractmethod
    def submit(self, script: Path) -> Mapping[str, Any]:
        """Hand the script to the batch system; return its handle. Raises as `launch` does."""

    def plan(self) -> str:
        """Return the script."""
        return render(self.template(), self.values())

    def template(self) -> str:
        """Return the template: the user's own, or ours."""
        if not self.options.template:
            return self.default_template
        path = Path(self.options.template).expanduser()
        try:
            with open(path, encoding="utf-8") as file:
                return file.read(MOST_TEMPLATE_BYTES)
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"template: cannot read {path}: {error}") from error

    def values(self) -> dict[str, str]:
        """Return what stands in the places of the names of a template."""
        lines = [*self.directives(), *self.options.extra]
        return {
            "job_name": self.job_name,
            "directives": "\n".join(f"{self.directive} {line}" for line in lines),
            "prologue": "\n".join(shell_lines(self.spec, self.options)),
            "command": command_line(self._command()),
            "token_file": shlex.quote(str(self.token_file)),
            "log_dir": shlex.quote(str(self.log_dir)),
            "nodes": str(max(1, self.spread.nodes)),
            "engines": str(self.spec.n),
            "engines_per_node": str(self.spread.each or AUTO),
            "engines_on_last_node": str(self.spread.last or AUTO),
            "grace": str(self.options.grace),
        }

    def _command(self) -> list[str]:
        """Return the nanny's command, for as many as the script has put into `engines`."""
        others = ["--nanny-signals", "--grace", str(self.options.grace)]
        wall_time = self.wall_time()
        if wall_time is not None:
            others += ["--wall-time", str(wall_time)]
        return self.engine_command(Shell('"$engines"'), *others)

    def wall_time(self) -> int | None:
        """Return for how long (seconds) a job may run, if its nannies have to be told."""
        return None

    def launch(self) -> Mapping[str, Any]:
        """Write the script, and hand it to the batch system."""
        script = self.directory / self.script_name
        try:
            write_private(script, self.plan().encode())
        except (ValueError, OSError, StateError) as error:
            raise StartFailed(str(error)) from error
        try:
            return self.submit(script)
        except CommandMissing as error:
            raise StartFailed(str(error)) from error

    @property
    def job_log(self) -> Path:
        """What the script itself writes."""
        return self.log_dir / "job.log"
