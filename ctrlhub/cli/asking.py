"""A connection to the hub of a profile, for commands that ask it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ctrlhub.cli.options import check_connection, find_profile

if TYPE_CHECKING:
    from ctrlhub.client.client import Client


@contextmanager
def connected(profile: str, state_dir: Path | None, timeout: float) -> Iterator[Client]:
    """Connect to the running hub of a profile.

    Raises
    ------
    HubNotFound
        There is none.
    HubUnavailable
        It does not answer within `timeout` seconds.
    """
    place = find_profile(profile, state_dir)
    # While there is a supervisor, another hub is about to come.
    if place.supervisor_lock().holder() is None:
        check_connection(place.connection_client)
    from ctrlhub.client.client import Client

    with Client(place.connection_client, timeout=timeout) as client:
        yield client


def request_id(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Check the id of a request, or several."""
    from ctrlhub.wire.ids import number_of

    for text in value if isinstance(value, tuple) else (value,):
        try:
            number_of(text)
        except ValueError as error:
            raise click.BadParameter(
                f"{text!r} is not the id of a request, such as 7-42: `ctrl-hub tasks` lists them",
                ctx,
                param,
            ) from error
    return value


def engine_ids(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> list[int]:
    """Read engines' ids: numbers, ranges such as ``0-3``, and several with commas between."""
    found: list[int] = []
    for part in ",".join(texts).split(",") if texts else ():
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise click.BadParameter(f"{part!r} is not the id of an engine, nor a range such as 0-3", ctx, param)
        found += range(int(first), int(last or first) + 1)
    return list(dict.fromkeys(found))
