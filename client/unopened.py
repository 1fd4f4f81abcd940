"""Results as they have come, for whoever must not open them: the gateway, which unpickles nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.client import Client
from ctrlhub.client.live_output import Follower
from ctrlhub.client.rows import Row
from ctrlhub.wire.messages import WatchedOutput


def rows_of(result: AsyncResult) -> Sequence[Row | None]:
    """Return the rows of a result's requests, as they have come; None for those that have not."""
    return result._rows()


def numbers_of(result: AsyncResult) -> Sequence[int]:
    """Return the ids of a result's requests, as numbers."""
    return result._numbers()


def next_number(client: Client) -> int:
    """Return the id that a client's next request will have, if nobody else makes one before."""
    return client._connection.numbers().stop


def give_up(client: Client, result: AsyncResult) -> None:
    """Have a client get no more of a result that is followed at the hub."""
    client._connection.unfollow(result, list(result._numbers()))


def output_so_far(client: Client, number: int) -> Mapping[str, Any]:
    """Return what a client's request that runs has put out so far, in the form of a row's extras."""
    live = client._connection.live_output(number)
    return {} if live is None else live.extras()


def follow_output(client: Client, numbers: Sequence[int], follower: Follower) -> None:
    """Have somebody told, in the I/O thread, of what a client's requests put out."""
    client._connection.follow_output(numbers, follower)


def watch_output(
    client: Client, without: Sequence[int], take: Callable[[WatchedOutput], None]
) -> None:
    """Have something told, in the I/O thread, of what requests of all clients put out, but of some sessions.

    Whoever takes it says so by `took_output`: no more comes than is taken in.
    """
    wish = {"without": list(without)}
    client._connection.on_output(take)
    client._connection.call("output", "watch", wish)
    # Said again to each hub that follows.
    client._connection.standing_calls["output", "watch"] = ("output", "watch", wish)


def took_output(client: Client, number: int) -> None:
    """Say that messages of output up to a number were taken in."""
    client._connection.call_later("output", "received", {"number": number})


def unwatch_output(client: Client) -> None:
    """Have nothing told any more."""
    client._connection.standing_calls.pop(("output", "watch"), None)
    client._connection.on_output(None)
    client._connection.call("output", "unwatch", {})


def follow_engines(client: Client, act: Callable[[Mapping[int, Mapping[str, Any]]], None]) -> None:
    """Have something done, in the I/O thread, with the engines after every change from now on."""
    client._connection.follow_engines(act)


def engines_known(client: Client) -> Mapping[int, Mapping[str, Any]]:
    """Return the engines that a client knows, by id."""
    return client._connection.engines()
