"""Options of commands that are settings, too: where none is typed, environment and files are asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ctrlhub.cli.helping import COMMON, SELDOM, PanelOption
from ctrlhub.cluster.config.settings import BY_NAME, PANELS, Setting

if TYPE_CHECKING:
    from ctrlhub.cluster.config.resolving import Layers

_LAYERS = "ctrlhub.cli.layers"

Command = TypeVar("Command", bound=Callable[..., Any])


def configured(*names: str) -> Callable[[Command], Command]:
    """Give a command the options of some settings, by their whole names.

    Each is an argument of the command, by its key (`Setting.argument`). The command has the options `profile` and
    `state_dir`, too: they say whose files are read.
    """

    def decorate(command: Command) -> Command:
        for name in reversed(names):
            command = _option(BY_NAME[name])(command)
        return command

    return decorate


def layers_of(profile: str, state_dir: Path | None, environ: Mapping[str, str]) -> Layers:
    """Return what environment and files say for a profile.

    Raises
    ------
    ConfigError
        A file cannot be used.
    """
    from ctrlhub.cli.options import find_profile
    from ctrlhub.cluster.config.files import NAME, load, user_file
    from ctrlhub.cluster.config.resolving import Layers

    directory = find_profile(profile, state_dir).directory
    return Layers(environ, load(directory / NAME), load(user_file(environ)))


def _option(setting: Setting) -> Callable[[Command], Command]:
    def value_of(ctx: click.Context, param: click.Parameter, typed: Any) -> Any:
        return _resolve(setting, ctx, param, typed)

    names = setting.options
    more: dict[str, Any] = {"metavar": setting.kind.metavar}
    if setting.kind.is_switch:
        names, more = (*names[:-1], f"{names[-1]}/--no-{names[-1].removeprefix('--')}"), {"default": None}
    elif setting.kind.is_list:
        more["multiple"] = True
    elif setting.kind.choices:
        more["type"] = click.Choice(setting.kind.choices)
    default = f"  [default: {setting.default_text}]" if setting.default_text else ""
    return click.option(
        *names,
        setting.argument,
        cls=PanelOption,
        panel=SELDOM if setting.rare else PANELS.get(setting.section, COMMON),
        callback=value_of,
        help=f"{setting.help}{default}",
        **more,
    )


def _resolve(setting: Setting, ctx: click.Context, param: click.Parameter, typed: Any) -> Any:
    from ctrlhub.cluster.config.files import Found
    from ctrlhub.cluster.config.resolving import VariableError

    option = None
    if typed is not None and typed != ():
        try:
            read = typed if isinstance(typed, bool | tuple) else setting.kind.read(typed)
            option = Found(read, "")
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, param) from error
    if ctx.resilient_parsing:
        return None
    try:
        return _layers(ctx).resolve(setting, option).value
    except VariableError as error:
        raise click.UsageError(str(error), ctx) from error


def _layers(ctx: click.Context) -> Layers:
    """Return what is said besides options; read once for a command."""
    layers: Layers | None = ctx.meta.get(_LAYERS)
    if layers is None:
        layers = layers_of(ctx.params["profile"], ctx.params["state_dir"], os.environ)
        ctx.meta[_LAYERS] = layers
    return layers
