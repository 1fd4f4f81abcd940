"""The ``ctrl-hub`` command: the one place that knows all three programs.

Each command is a module of this package, imported when it is asked for, and imports in turn what it
needs only when it runs: ``ctrl-hub --help`` loads click and nothing else.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from ctrlhub import __version__
from ctrlhub.cli.exits import Exit, exit_of

_MODULES = {
    "start": "ctrlhub.cli.start",
    "stop": "ctrlhub.cli.stop",
    "status": "ctrlhub.cli.status",
    "list": "ctrlhub.cli.listing",
    "engines": "ctrlhub.cli.engines_start",
    "hub": "ctrlhub.cli.programs",
    "engine": "ctrlhub.cli.programs",
    "tasks": "ctrlhub.cli.tasks",
    "explain": "ctrlhub.cli.tasks",
    "cancel": "ctrlhub.cli.tasks",
    "drain": "ctrlhub.cli.draining",
    "logs": "ctrlhub.cli.logs",
    "doctor": "ctrlhub.cli.doctor",
    "clean": "ctrlhub.cli.cleaning",
    "sessions": "ctrlhub.cli.sessions",
    "store": "ctrlhub.cli.store",
    "profile": "ctrlhub.cli.profiles",
    "config": "ctrlhub.cli.config",
}


class Commands(click.Group):
    """Commands by module, and errors by exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands, in the order of their use."""
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of this name."""
        module = _MODULES.get(cmd_name)
        if module is None:
            return None
        command: click.Command = import_module(module).COMMANDS[cmd_name]
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run, and end with the exit code that belongs to the error."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(Exit.INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            code = exit_of(error)
            if code is None:
                raise
            click.echo(f"ctrl-hub: {error}", err=True)
            ctx.exit(code)


def _epilog() -> str:
    lines = [f"  {each.value:>3}  {each.meaning}" for each in Exit]
    return "\b\nExit codes:\n" + "\n".join(lines)


@click.command(
    cls=Commands,
    epilog=_epilog(),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, "--version", message="ctrl-hub %(version)s")
def main() -> None:
    """Interactive parallel computing: one hub, many engines.

    `ctrl-hub start` starts a hub and engines on this host; `ctrlhub.Client()` in Python connects to
    them; `ctrl-hub stop` ends them.
    """
