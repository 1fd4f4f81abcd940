"""What scripts of all launchers have in common: what comes before the engines, and the engines' command."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from ctrlhub.cluster.launchers.options import LauncherOptions
from ctrlhub.cluster.launchers.spec import EngineSet


class Shell(str):
    """A word of a command that a shell is to read as it stands: a variable, in its quotes."""

    __slots__ = ()


def shell_lines(spec: EngineSet, options: LauncherOptions) -> list[str]:
    """Return what comes before the engines: the environment, and the user's own lines."""
    variables = environment_of(spec, options)
    return [*(f"export {name}={shlex.quote(value)}" for name, value in variables.items()), *options.prologue]


def environment_of(spec: EngineSet, options: LauncherOptions) -> dict[str, str]:
    """Return what engines find in their environment: what the options say has the last word."""
    own = (each.partition("=") for each in options.environment)
    return {**spec.environment, **{name: value for name, _, value in own}}


def nanny_command(
    python: str,
    spec: EngineSet,
    engines: int | Shell,
    *,
    profile: str = "",
    state_dir: str = "",
    logs: str = "",
    others: Sequence[str] = (),
) -> list[str]:
    """Return the command of a nanny of a set, which reads the token from standard input.

    Its engines tell the hub the name of their set, which all parts of one share.

    Parameters
    ----------
    python
        The Python that runs it.
    spec
        The set.
    engines
        How many engines it has.
    profile, state_dir, logs
        Where the engines' state is, where they run; "" for what is usual there.
    others
        Further arguments.
    """
    places = {"--profile": profile, "--state-dir": state_dir, "--logs": logs}
    return [
        python, "-P", "-m", "ctrlhub", "engine", "--token-stdin",
        "-n", engines if isinstance(engines, Shell) else str(engines), "--engine-set", spec.name, *others,
        *(word for name, value in places.items() if value for word in (name, value)),
    ]  # fmt: skip


def command_line(words: Iterable[str]) -> str:
    """Write a command as a line of shell."""
    return " ".join(word if isinstance(word, Shell) else shlex.quote(word) for word in words)
