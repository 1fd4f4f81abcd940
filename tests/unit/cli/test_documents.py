"""The documents of the command have all of it: no command and no setting is missing, and none is too many."""

from __future__ import annotations

import re
from pathlib import Path

import click

from ctrlhub.cli import main
from ctrlhub.cluster.config.settings import SETTINGS, Setting

DOCS = Path(__file__).parents[3] / "docs"


def _row(setting: Setting) -> str:
    options = ", ".join(f"`{each}`" for each in setting.options)
    default = "no" if setting.kind.is_switch else setting.default_text or "none"
    shown = re.sub(r",(?=\w)", ", ", default)
    return f"| `{setting.name}` | {options} | {shown} |"


def test_configuration_lists_every_setting() -> None:
    """With its options and its default, in the order of `ctrl-hub config show`."""
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `\w+\.\w+` \|.*$", text, re.MULTILINE)
    assert rows == [_row(setting) for setting in SETTINGS]


def test_cli_has_every_command() -> None:
    """In its table of commands, and those of `ctrl-hub engines` in theirs."""
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `ctrl-hub ([a-z]+(?: [a-z]+)?)[^`]*` \|", text, re.MULTILINE))
    context = click.Context(main)
    engines = main.get_command(context, "engines")
    assert isinstance(engines, click.Group)
    expected = {*main.list_commands(context), *(f"engines {name}" for name in engines.commands)}
    assert named == expected
