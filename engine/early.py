"""Interrupts that have overtaken what they are for: the two travel on different streams."""

from __future__ import annotations

from itertools import islice

from ctrlhub.wire.ids import Ranges

MOST_EARLY = 4096
"""So many are kept, the oldest are forgotten first: four times what a hub gives an engine ahead."""


class EarlyInterrupts:
    """Interrupts by request, each with the first attempt that it is meant for.

    The hub runs nothing again that it wants stopped: an interrupt is for all that it has sent by then.
    What ended here before is not what is to come. An attempt that is older than expected shows that
    the request was made anew, by a client that came back: the interrupt was for the former one.
    """

    __slots__ = ("_first",)

    def __init__(self) -> None:
        self._first: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._first)

    def keep(self, number: int, first_attempt: int) -> None:
        """Keep an interrupt for the attempts from `first_attempt` on."""
        self._first.pop(number, None)
        self._first[number] = first_attempt
        if len(self._first) > MOST_EARLY:
            del self._first[next(iter(self._first))]

    def strikes(self, number: int, attempt: int) -> bool:
        """Tell whether a request that comes was interrupted already; each interrupt strikes once."""
        first = self._first.pop(number, None)
        return first is not None and attempt >= first

    def clear(self) -> None:
        """Forget all: another hub may mean other requests by the same ids."""
        self._first.clear()


def bounded(ranges: Ranges) -> list[int]:
    """Return the ids of ranges, of too many the last."""
    ids = (n for first, last in reversed(ranges) for n in range(last, first - 1, -1))
    return list(islice(ids, MOST_EARLY))[::-1]
