"""Records of requests, as many as an answer of the hub holds at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from ctrlhub.client.cancellations import AT_ONCE
from ctrlhub.wire.ids import to_ranges


class Hub(Protocol):
    """Who answers questions."""

    def call(self, interface: str, method: str, arguments: Mapping[str, Any]) -> Any:
        """Ask the hub."""


def records_of(hub: Hub, numbers: Iterable[int]) -> Iterator[Mapping[str, Any]]:
    """Yield the records of some requests, as far as the hub knows them, in order."""
    ordered = sorted(set(numbers))
    while ordered:
        asked = ordered[:AT_ONCE]
        page = hub.call("history", "records", {"requests": to_ranges(asked)})
        yield from page["records"]
        last = asked[-1] if page["after"] is None else page["after"]
        ordered = [number for number in ordered if number > last]
