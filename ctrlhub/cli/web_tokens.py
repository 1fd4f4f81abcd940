"""``ctrl-hub token``: who may use the HTTP gateway, and as what."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ctrlhub.cli.options import find_profile, json_option, profile_option, state_dir_option
from ctrlhub.cli.text import moment, table

if TYPE_CHECKING:
    from ctrlhub.gateway.token_file import TokenFile

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
_TIME = re.compile(r"([0-9]{1,9})([smhdw])")
_LONGEST = 100 * 365 * 86400.0
"""Seconds: what is to be good for longer is so for ever."""


def _age(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    if value is None or value == "never":
        return None
    found = _TIME.fullmatch(value)
    if found is None or int(found[1]) == 0:
        raise click.BadParameter(f"{value!r} is no time, such as 12h, 30d or never", ctx, param)
    seconds = int(found[1]) * _UNITS[found[2]]
    if seconds > _LONGEST:
        raise click.BadParameter(f"{value!r} is more than a hundred years: 30d is usual, and never is for ever", ctx, param)
    return seconds


@click.group()
def token() -> None:
    """List, create and revoke the tokens of the HTTP gateway.

    There is one for each role from the start, which `ctrl-hub dashboard` shows. Others are for people and
    programs of their own; they work at once, and cease to work at once, whether a gateway runs or not.
    """


@token.command("list")
@profile_option
@json_option
@state_dir_option
def list_(profile: str, as_json: bool, state_dir: Path | None) -> None:
    """List the tokens: names, roles and times, never the tokens themselves."""
    now = time.time()
    plain: list[dict[str, Any]] = [
        {
            "name": each.name,
            "role": each.role.value,
            "created": each.created,
            "expires": each.expires,
            "good": each.is_good(now),
        }
        for each in _file(profile, state_dir).now().tokens
    ]
    if as_json:
        click.echo(json.dumps(plain, indent=2))
    elif not plain:
        click.echo("no tokens: the first are made when the gateway starts")
    else:
        rows = [
            [each["name"], each["role"], moment(each["created"]),
             "never" if each["expires"] is None else moment(each["expires"]), "yes" if each["good"] else "EXPIRED"]
            for each in plain
        ]  # fmt: skip
        click.echo("\n".join(table(("name", "role", "created", "expires", "good"), rows)))


@token.command()
@profile_option
@json_option
@state_dir_option
@click.option("--name", required=True, metavar="NAME", help="What it is called here.")
@click.option(
    "--role", type=click.Choice(("view", "submit", "admin")), required=True,
    help="What its bearer may do: look, run code, or all.",
)  # fmt: skip
@click.option(
    "--expires", callback=_age, metavar="TIME", default="30d", show_default=True,
    help="For how long it is good: 90s, 15m, 12h, 30d, 8w, or never.",
)  # fmt: skip
def create(
    profile: str, as_json: bool, state_dir: Path | None, name: str, role: str, expires: float | None
) -> None:
    """Make a token and print it: this once, since only its hash is kept."""
    from ctrlhub.gateway.access.roles import Role

    ends = None if expires is None else time.time() + expires
    try:
        secret = _file(profile, state_dir, make=True).create(name, Role(role), ends)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        click.echo(json.dumps({"name": name, "role": role, "expires": ends, "token": secret}))
    else:
        click.echo(secret)


@token.command()
@profile_option
@state_dir_option
@click.argument("name")
def revoke(profile: str, state_dir: Path | None, name: str) -> None:
    """Revoke a token: whoever uses it is shut out at once, open connections included.

    One that `ctrl-hub dashboard` shows is replaced by another.
    """
    try:
        other = _file(profile, state_dir).revoke(name)
    except LookupError as error:
        raise click.UsageError(str(error)) from error
    more = "; another has taken its place, for `ctrl-hub dashboard`" if other is not None else ""
    click.echo(f"profile {profile}: token {name} is revoked{more}")


def _file(profile: str, state_dir: Path | None, *, make: bool = False) -> TokenFile:
    from ctrlhub.gateway.token_file import TokenFile

    place = find_profile(profile, state_dir)
    if make:
        place.make()
    return TokenFile(place.tokens)


COMMANDS = {"token": token}
