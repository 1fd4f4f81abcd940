"""Results as arguments: what stands for them in the arguments of a call, and what takes its place.

Where the result of a request is an argument of another one, a mark with its id is pickled. The hub
sends the values along, serialized as they came, and they are opened where the call is made. What the
client has already it puts in itself: the hub may have forgotten it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ctrlhub.wire.messages import Payload
from ctrlhub.wire.serialize import loads

_values: Mapping[int, Payload] = {}


def supply(values: Mapping[int, Payload]) -> None:
    """Have these values at hand for the arguments that are opened next, in this process."""
    global _values
    _values = values


_lent: ContextVar[Mapping[int, Any]] = ContextVar("_lent", default={})  # noqa: B039 - never changed


@contextmanager
def lending(values: Mapping[int, Any]) -> Iterator[None]:
    """Have values at hand for arguments that are opened where they were made, not on an engine."""
    before = _lent.set(values)
    try:
        yield
    finally:
        _lent.reset(before)


def value_of(request: int) -> Any:
    """Return the value of a request. Its name is pickled: it stays."""
    lent = _lent.get()
    if lent:
        return lent[request]
    return loads(_values[request], "on the engine")


def value_in(payload: Payload) -> Any:
    """Return a value that came along, serialized as it was. Its name is pickled: it stays."""
    return loads(payload, "on the engine")


def values_in(payloads: tuple[Payload, ...]) -> list[Any]:
    """Return values that came along. Its name is pickled: it stays."""
    return [value_in(payload) for payload in payloads]


def items_in(payloads: tuple[Payload, ...]) -> list[Any]:
    """Return the items of values that came along, which are lists of them."""
    return [item for payload in payloads for item in value_in(payload)]


def values_of(requests: tuple[int, ...]) -> list[Any]:
    """Return the values of several requests. Its name is pickled: it stays."""
    return [value_of(request) for request in requests]


def items_of(requests: tuple[int, ...]) -> list[Any]:
    """Return the items of several requests whose values are lists of them."""
    return [item for request in requests for item in value_of(request)]
