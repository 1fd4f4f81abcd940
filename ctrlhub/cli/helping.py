"""Pages of ``--help`` that can be read: options in groups, the ones that few need last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

COMMON = "Options"
SELDOM = "Seldom needed"
ELSEWHERE = (
    "What has a default here can also be set by an environment variable or a file: "
    "`ctrl-hub config show`."
)


class PanelOption(click.Option):
    """An option that stands under a heading of its own.

    Parameters
    ----------
    panel
        The heading.
    """

    def __init__(self, *args: Any, panel: str = COMMON, **others: Any) -> None:
        super().__init__(*args, **others)
        self.panel = panel


class PanelCommand(click.Command):
    """A command whose options stand in groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, group by group."""
        groups: dict[str, list[tuple[str, str]]] = {COMMON: []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                groups.setdefault(getattr(param, "panel", COMMON), []).append(record)
        if SELDOM in groups:
            groups[SELDOM] = groups.pop(SELDOM)
        for panel, records in groups.items():
            with formatter.section(panel):
                formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say where else settings can be given."""
        super().format_epilog(ctx, formatter)
        if any(isinstance(param, PanelOption) for param in self.params):
            formatter.write_paragraph()
            formatter.write_text(ELSEWHERE)


class PanelGroup(click.Group):
    """A group of such commands."""

    command_class = PanelCommand


def command(*args: Any, **others: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command whose options stand in groups."""
    return click.command(*args, cls=PanelCommand, **others)
