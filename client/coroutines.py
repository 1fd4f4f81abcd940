"""Coroutines made of the methods of a client and its views."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Callable, Coroutine
from functools import wraps
from inspect import signature
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from ctrlhub.client.room import Crowded, without_waiting
from ctrlhub.client.targets import Targets, chosen
from ctrlhub.client.view import View
from ctrlhub.wire.errors import InvalidEngineID, NoEnginesRegistered

P = ParamSpec("P")
T = TypeVar("T")


class OnView(Protocol):
    """A view in asyncio: what it stands on."""

    _inner: Any


def submitting(
    method: Callable[Concatenate[Any, P], Any],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, Any]]:
    """Return a method as a coroutine function that awaits the result to come, in the event loop.

    Its flag `block` has no meaning there, and cannot be given.

    Parameters
    ----------
    method
        The method of a view.
    """
    make: Callable[..., Any] = method
    known = signature(make)
    names = list(known.parameters)
    place = names.index("targets") - 1 if "targets" in names else len(names)
    fixed = {"block": False} if "block" in names else {}

    @wraps(method)
    async def call(self: OnView, /, *args: Any, **kwargs: Any) -> Any:
        targets = args[place] if len(args) > place else kwargs.get("targets")
        await engines_known(self._inner, targets)
        result = await in_room(self._inner, lambda: make(self._inner, *args, **kwargs, **fixed))
        return await result

    shown = [each for each in known.parameters.values() if each.name != "block"]
    call.__signature__ = known.replace(parameters=shown)  # type: ignore[attr-defined]
    return call


def asking(
    method: Callable[Concatenate[Any, P], T],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """Return a method that asks the hub as a coroutine function; a thread waits for the answer.

    Parameters
    ----------
    method
        The method of a client or a view.
    """

    @wraps(method)
    async def call(self: OnView, /, *args: Any, **kwargs: Any) -> T:
        return await to_thread(method, self._inner, *args, **kwargs)

    return call


async def in_room(view: View, submit: Callable[[], T]) -> T:
    """Submit something once the hub takes one more request of this client.

    Raises
    ------
    LimitExceeded
        None has ended in time.
    """
    while True:
        try:
            with without_waiting():
                return submit()
        except Crowded:
            await to_thread(view._home.intake.room.wait)  # others may be quicker to take it


async def engines_known(view: View, targets: Targets = None) -> None:
    """See that the engines a call is for are known here, so that the call need not ask the hub.

    Parameters
    ----------
    view
        The view whose call it is.
    targets
        The engines, if not the view's.

    Raises
    ------
    NoEnginesRegistered, InvalidEngineID
        They are not there.
    """
    if not are_known(view, targets):
        wanted = view._engines() if targets is None else targets
        await to_thread(view.client._resolve, wanted)


def are_known(view: View, targets: Targets = None) -> bool:
    """Say whether the engines a call is for are known here.

    Parameters
    ----------
    view, targets
        As for `engines_known`.
    """
    wanted = view._engines() if targets is None else targets
    if wanted is None:
        return True
    connection = view.client._connection
    if connection.may_miss_engines:
        return False
    try:
        chosen(wanted, sorted(connection.engines()))
    except (NoEnginesRegistered, InvalidEngineID):
        return False
    return True
