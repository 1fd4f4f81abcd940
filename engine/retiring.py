"""Engines that make way for fresh ones after so many calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

_calls = count(1)
_retire: Callable[[], None] | None = None


def offer(retire: Callable[[], None]) -> None:
    """Make this process one that can make way."""
    global _retire
    _retire = retire


@dataclass(frozen=True, slots=True)
class Counted:
    """A function whose calls wear an engine out.

    Attributes
    ----------
    function
        The function.
    limit
        After so many calls, in this process, another one takes its place. What runs then ends
        before, also the rest of a chunk; what the engine had not begun runs elsewhere.
    """

    function: Callable[..., Any]
    limit: int

    @property
    def __name__(self) -> str:
        name = getattr(self.function, "__name__", None)
        return name if isinstance(name, str) else type(self.function).__name__

    def adopted(self, adopt: Callable[[Any], Any]) -> Counted:
        """Return it with its function adopted by an engine's namespace."""
        return Counted(adopt(self.function), self.limit)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        if next(_calls) >= self.limit and _retire is not None:
            _retire()
        return self.function(*args, **kwargs)
