"""What takes who submits for others: to know what is stored, and what a process before has left."""

from __future__ import annotations

from asyncio import get_running_loop, timeout
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from ctrlhub.client.arrivals import arrivals_here
from ctrlhub.client.balanced_view import LoadBalancedView
from ctrlhub.client.client import Client
from ctrlhub.client.handing_over import Keeper
from ctrlhub.client.record_pages import records_of
from ctrlhub.client.requests import Stirred
from ctrlhub.client.rows import Row
from ctrlhub.wire.errors import CtrlHubError, HubUnavailable
from ctrlhub.wire.ids import counter_of, number_of, session_of, to_ranges
from ctrlhub.wire.messages import Stream

# ------------------------------------------------------------ what is stored


def keep_acceptance(client: Client) -> None:
    """Have a client know from now on which of its requests are stored, also once they have ended.

    Somebody waits for that: the hub is told so, and each hub that follows.
    """
    connection = client._connection
    connection.keep_acceptance()
    connection.standing_calls["sessions", "hurry"] = ("sessions", "hurry", {})
    connection.call_later("sessions", "hurry", {})


async def stored(client: Client, numbers: Sequence[int]) -> None:
    """Wait until the hub has stored requests of a client that keeps acceptance, or they have ended unsent.

    Raises
    ------
    HubUnavailable
        It has not said so.
    CtrlHubError
        The client was closed.
    """
    connection, arrivals = client._connection, arrivals_here()
    answer = get_running_loop().create_future()

    def told(error: CtrlHubError | None) -> None:
        arrivals.add(lambda: None if answer.done() else answer.set_result(error))

    connection.tell_stored(numbers, told)
    try:
        async with timeout(connection.timeout):
            error = await answer
    except TimeoutError:
        raise HubUnavailable(
            f"the hub has not stored what was submitted within {connection.timeout:g} s: look whether it is "
            "there, or submit it again"
        ) from None
    finally:
        if not answer.done() or answer.cancelled():
            connection.forget_stored(numbers, told)
    if error is not None:
        raise error


def all_stored(client: Client) -> None:
    """Wait until the hub has stored all that it has of whomever; not from an event loop."""
    client._connection.call("history", "resubmit", {"requests": [], "first": 0})


def has_made(client: Client, number: int) -> bool:
    """Tell whether a client of this process has made a request, or will have."""
    connection = client._connection
    return session_of(number) == connection.session and not connection.is_former(number)


def records_by_number(client: Client, numbers: Iterable[int]) -> dict[int, Mapping[str, Any]]:
    """Return the hub's records of requests, as far as it has any, by id; not from an event loop."""
    found = records_of(client._connection, numbers)
    return {number_of(record["msg_id"]): record for record in found}


def stop_later(client: Client, numbers: Sequence[int]) -> None:
    """Stop tasks, and do not wait for it."""
    client._connection.cancel_later(Stream.TASK, to_ranges(numbers))


# ------------------------------------------------------------ what is kept elsewhere


def hand_over(client: Client, keeper: Keeper, window: int) -> None:
    """Have a client's results kept by somebody; no more bytes of them are on their way than he has room for.

    Not from an event loop.
    """
    connection = client._connection
    connection.hand_over_to(keeper)
    call = ("sessions", "window", {"size": window})
    connection.standing_calls["sessions", "window"] = call
    connection.call(*call)


def acknowledge(client: Client, stream: Stream, numbers: Collection[int]) -> None:
    """Say of results that they are kept; from any thread."""
    client._connection.acknowledge(stream, numbers)


def owes(client: Client) -> bool:
    """Tell whether results were handed over that are not acknowledged: who leaves the hub now loses them."""
    return bool(client._connection.owed())


# ------------------------------------------------------------ a session that another process had


def is_first(client: Client) -> bool:
    """Tell whether no process before this one has had a client's session."""
    return counter_of(client._connection.numbers().start) <= 1


def left_behind(client: Client) -> list[int]:
    """Return the requests of the process before in a client's session whose results nobody has fetched."""
    connection = client._connection
    if is_first(client):
        return []
    return [n for n in map(number_of, client.unfetched()) if connection.is_former(n)]


def follow_each(
    client: Client, numbers: Sequence[int], act: Callable[[Row], object]
) -> Callable[[], None]:
    """Have something done in this event loop with the row of each request, as it comes.

    Returns what has nothing more done.
    """
    arrivals = arrivals_here()
    each = _Each(lambda row: arrivals.add(lambda: act(row)))
    client._connection.follow(each, numbers)
    return lambda: client._connection.unfollow(each, numbers)


class _Each:
    """Who gets rows one by one, and keeps none."""

    def __init__(self, act: Callable[[Row], object]) -> None:
        self._act = act

    def _future(self) -> Future[Any]:
        raise NotImplementedError("nobody waits for all of them")

    def _take(self, index: int, row: tuple[Any, ...], now: float) -> Stirred | None:
        self._act(row)
        return None


def have_parent(view: LoadBalancedView, trace: str, state: str = "") -> None:
    """Have the tasks of a view belong to somebody else's span, as W3C's ``traceparent`` and ``tracestate`` name it."""
    view._options = replace(view._options, trace=trace, trace_state=state)
    view._templates = {}
