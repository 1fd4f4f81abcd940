"""``ctrl-hub completion``: what a shell needs to complete its words."""

from __future__ import annotations

import click

HOW = {
    "bash": 'eval "$(ctrl-hub completion bash)"      in ~/.bashrc',
    "zsh": 'eval "$(ctrl-hub completion zsh)"       in ~/.zshrc, behind compinit',
    "fish": "ctrl-hub completion fish | source       in ~/.config/fish/config.fish",
}
_HELP = "\n".join(f"  {line}" for line in HOW.values())


@click.command(epilog=f"\b\nTo have it in each shell:\n{_HELP}")
@click.argument("shell", type=click.Choice(list(HOW)))
def completion(shell: str) -> None:
    """Print what has a shell complete these words.

    Commands, options, and names of profiles.
    """
    from click.shell_completion import get_completion_class

    from ctrlhub.cli import main

    kind = get_completion_class(shell)
    assert kind is not None  # the choice has only those that click knows
    click.echo(kind(main, {}, "ctrl-hub", "_CTRL_HUB_COMPLETE").source())


COMMANDS = {"completion": completion}
