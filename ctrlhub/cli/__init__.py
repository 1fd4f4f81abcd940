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

_GROUPS = {
    "A cluster": {
        "start": "ctrlhub.cli.start",
        "stop": "ctrlhub.cli.stop",
        "status": "ctrlhub.cli.status",
        "list": "ctrlhub.cli.listing",
        "dashboard": "ctrlhub.cli.dashboard",
        "token": "ctrlhub.cli.web_tokens",
    },
    "Engines": {
        "engines": "ctrlhub.cli.engines_start",
        "drain": "ctrlhub.cli.draining",
    },
    "Work": {
        "tasks": "ctrlhub.cli.tasks",
        "explain": "ctrlhub.cli.tasks",
        "cancel": "ctrlhub.cli.tasks",
        "sessions": "ctrlhub.cli.sessions",
    },
    "When something is wrong": {
        "logs": "ctrlhub.cli.logs",
        "doctor": "ctrlhub.cli.doctor",
        "clean": "ctrlhub.cli.cleaning",
        "store": "ctrlhub.cli.store",
    },
    "Configuration": {
        "profile": "ctrlhub.cli.profiles",
        "config": "ctrlhub.cli.config",
        "completion": "ctrlhub.cli.completion",
    },
    "One program alone, in the foreground": {
        "hub": "ctrlhub.cli.programs",
        "engine": "ctrlhub.cli.programs",
    },
}
"""The commands, and the modules that they are in, as ``ctrl-hub --help`` lists them."""

_MODULES = {name: module for group in _GROUPS.values() for name, module in group.items()}


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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, group by group."""
        width = max(map(len, _MODULES))
        for group, names in _GROUPS.items():
            commands = {name: self.get_command(ctx, name) for name in names}
            rows = [
                (name.ljust(width), each.get_short_help_str(60))
                for name, each in commands.items()
                if each is not None
            ]
            with formatter.section(group):
                formatter.write_dl(rows)

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
