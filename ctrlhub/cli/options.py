"""Options that several commands share, and what their values mean."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

import click

from ctrlhub.controller.config import TASK_ORDERS, TASK_SCHEMES
from ctrlhub.controller.store_places import STORES, check_store
from ctrlhub.wire.places import DEFAULT_PROFILE, STATE_VARIABLE, Profile, profile_dir

_HOST_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9])?")
_PORTS = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")
_SIZE = re.compile(r"([0-9]{1,15})([KMGT]?)B?", re.IGNORECASE)


def _profile_name(ctx: click.Context, param: click.Parameter, value: str) -> str:
    try:
        profile_dir(value, Path("/"))
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error
    return value


def _port_range(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[int, int] | None:
    if value is None:
        return None
    found = _PORTS.fullmatch(value)
    if found is None:
        raise click.BadParameter(f"{value!r} is not FIRST-LAST, such as 40000-40003", ctx, param)
    return int(found[1]), int(found[2])


def _size(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    found = _SIZE.fullmatch(value)
    if found is None:
        raise click.BadParameter(f"{value!r} is not a size, such as 512M or 4G", ctx, param)
    return int(found[1]) << 10 * " KMGT".index(found[2].upper() or " ")


def _address(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is None or _HOST_NAME.fullmatch(value):
        return value
    try:
        ipaddress.ip_address(value)
    except ValueError as error:
        raise click.BadParameter(
            f"{value!r} is not an address: use one of this machine, such as 127.0.0.1 or what "
            "`hostname -I` shows, without a port",
            ctx,
            param,
        ) from error
    return value


profile_option = click.option(
    "--profile",
    callback=_profile_name,
    metavar="NAME",
    default=DEFAULT_PROFILE,
    show_default=True,
    help="Name of the cluster; several can run side by side.",
)
state_dir_option = click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar=STATE_VARIABLE,
    show_envvar=True,
    help="Where state is kept, instead of the user's state directory.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
listen_option = click.option(
    "--listen",
    callback=_address,
    metavar="ADDRESS",
    help="Listen with TCP and CURVE on this address, too, for other hosts. "
    "Without it only this user on this host can connect.",
)
ports_option = click.option(
    "--port-range",
    "ports",
    callback=_port_range,
    metavar="FIRST-LAST",
    help="TCP ports to choose from, at least four; with --listen.",
)
max_engines_option = click.option(
    "--max-engines",
    type=click.IntRange(min=1),
    default=511,
    show_default=True,
    metavar="N",
    help="The most engines that the hub registers.",
)


scheme_option = click.option(
    "--scheme",
    metavar="NAME",
    default=TASK_SCHEMES[0],
    show_default=True,
    help=f"Which engine with room gets the next tasks: {', '.join(TASK_SCHEMES)}, the name of an entry "
    "point ctrlhub.schemes, or MODULE:CLASS.",
)
task_order_option = click.option(
    "--task-order",
    type=click.Choice(TASK_ORDERS),
    default=TASK_ORDERS[0],
    show_default=True,
    help="Which task of a client is next: the one that came first, or last.",
)


def _store(ctx: click.Context, param: click.Parameter, value: str) -> str:
    kind, colon, place = value.partition(":")
    if kind == "sqlite" and colon and place:
        return f"sqlite:{Path(place).expanduser().absolute()}"
    try:
        check_store(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error
    return value


store_option = click.option(
    "--store",
    callback=_store,
    metavar="STORE",
    default=STORES[0],
    show_default=True,
    help="Where requests and results live: sqlite, in the state directory; sqlite:DIRECTORY, on a "
    "local disk; postgresql://HOST/DATABASE; or memory, only as long as the hub does.",
)


max_memory_option = click.option(
    "--max-memory",
    callback=_size,
    metavar="SIZE",
    help="How much memory the hub may take, such as 4G: from there on it refuses requests until it has "
    "less. By default half of what its host, or control group, has.",
)
history_records_option = click.option(
    "--history-records",
    type=click.IntRange(min=0),
    metavar="N",
    help="How many requests that have ended each interface remembers (4096).",
)
history_bytes_option = click.option(
    "--history-bytes",
    callback=_size,
    metavar="SIZE",
    help="How many bytes of requests that have ended each interface remembers (128M).",
)
history_age_option = click.option(
    "--history-age",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="For how long requests that have ended are remembered (86400).",
)


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
