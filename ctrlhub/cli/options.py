"""Options that several commands share, and what their values mean."""

from __future__ import annotations

from pathlib import Path

import click

from ctrlhub.wire.places import (
    DEFAULT_PROFILE,
    PROFILE_VARIABLE,
    STATE_VARIABLE,
    Profile,
    profile_dir,
)


def _profile_name(ctx: click.Context, param: click.Parameter, value: str) -> str:
    try:
        profile_dir(value, Path("/"))
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error
    return value


def _profile_names(ctx: click.Context, param: click.Parameter, begun: str) -> list[str]:
    """Complete the name of a profile."""
    from ctrlhub.wire.places import known_profiles

    return [each.name for each in known_profiles() if each.name.startswith(begun)]


profile_option = click.option(
    "--profile",
    callback=_profile_name,
    metavar="NAME",
    default=DEFAULT_PROFILE,
    show_default=True,
    envvar=PROFILE_VARIABLE,
    is_eager=True,
    shell_complete=_profile_names,
    help="Name of the cluster; several can run side by side.",
)
profile_argument = click.argument(
    "name", metavar="NAME", callback=_profile_name, shell_complete=_profile_names
)
state_dir_option = click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar=STATE_VARIABLE,
    show_envvar=True,
    is_eager=True,
    help="Where state is kept, instead of the user's state directory.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def find_profile(name: str, state_dir: Path | None) -> Profile:
    """Give the profile that the options name."""
    return Profile.named(name, None if state_dir is None else state_dir.expanduser().absolute())


def check_connection(file: Path) -> None:
    """Make sure that there is a connection file, and that it can be used.

    Raises
    ------
    HubNotFound
        If there is none.
    ConnectionFileError
        If it cannot be believed; the message says what to do.
    """
    from ctrlhub.wire.connection import ConnectionInfo
    from ctrlhub.wire.errors import HubNotFound

    if not file.exists():
        from ctrlhub.client.opening import last_trouble

        raise HubNotFound(
            f"no cluster is running: there is no {file}; `ctrl-hub start` starts one"
            f"{last_trouble(file.parent)}"
        )
    ConnectionInfo.load(file)
