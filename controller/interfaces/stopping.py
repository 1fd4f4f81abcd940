"""Stopping requests by whoever may: those of clients that are busy, or gone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from ctrlhub.wire.ids import Ranges, merged

HOW = ("cancelled", "interrupted", "finished")
"""What became of requests that were to be stopped."""


@runtime_checkable
class Stopping(Protocol):
    """An interface whose requests others than their clients can stop."""

    def stop_anyones(self, numbers: Collection[int], grace: float | None) -> Mapping[str, Any]:
        """Stop those requests that are here; return what became of them, each as ranges."""


def together(answers: Iterable[Mapping[str, Any]]) -> dict[str, Ranges]:
    """Return what several interfaces have done as one answer."""
    found = list(answers)
    return {how: merged(sorted(pair for each in found for pair in each[how])) for how in HOW}
