"""Exceptions taken apart and put together again, without their ``__init__``.

Many have one that takes other arguments than ``args`` holds (``urllib.error.HTTPError``), so that
pickle's own way, which calls the class with these, fails or makes another text of them. The parts
are: what the built-in base keeps in C, through its own constructor; and the attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

E = TypeVar("E", bound=BaseException)

_HEAP_TYPE = 1 << 9
"""Flag of the classes that were made by a class statement (CPython's Py_TPFLAGS_HEAPTYPE)."""

MOST_TEXT = 1000
"""How much (characters) is kept of the text of what cannot be sent."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of an exception.

    Attributes
    ----------
    base
        The first built-in class that it is of.
    args
        What that one's constructor takes.
    attributes
        The attributes, those in slots included.
    """

    base: type[BaseException]
    args: tuple[Any, ...]
    attributes: Mapping[str, Any]

    @classmethod
    def of(cls, error: BaseException) -> Parts:
        """Take an exception apart."""
        base: Any = next(c for c in type(error).__mro__ if not c.__flags__ & _HEAP_TYPE)
        _, args, *rest = base.__reduce__(error)
        attributes = dict((rest[0] if rest else None) or {})
        state = object.__getstate__(error)
        if isinstance(state, tuple):
            attributes.update(state[1])
        return cls(base, args, attributes)

    def as_a(self, kind: type[E]) -> E:
        """Return an exception of a class, made of these parts."""
        made: E = self.base.__new__(kind, *self.args)
        self.base.__init__(made, *self.args)
        for name, value in self.attributes.items():
            object.__setattr__(made, name, value)
        return made

    def sendable(self, can_be_sent: Callable[[object], bool]) -> Parts:
        """Return the parts with stand-ins for what cannot be sent."""
        return Parts(
            self.base,
            tuple(arg if can_be_sent(arg) else StandIn.of(arg) for arg in self.args),
            {
                name: value if can_be_sent(value) else StandIn.of(value)
                for name, value in self.attributes.items()
            },
        )


class Bare:
    """Pickles as an exception that is put together from parts.

    Parameters
    ----------
    kind
        Its class.
    parts
        The parts.
    """

    def __init__(self, kind: type[BaseException], parts: Parts) -> None:
        self._kind = kind
        self._parts = parts

    def __reduce__(self) -> tuple[Any, ...]:
        parts = self._parts
        return _made, (self._kind, parts.base, parts.args, dict(parts.attributes))


@dataclass(frozen=True, slots=True)
class StandIn:
    """Stands for a part of an exception that could not be sent: an open file, a lock.

    Attributes
    ----------
    kind
        The name of its class.
    text
        How it is shown.
    """

    kind: str
    text: str

    @classmethod
    def of(cls, value: object) -> StandIn:
        """Return what stands for a value."""
        try:
            text = str.__str__(repr(value))[:MOST_TEXT]
        except Exception:  # user code
            text = f"<{type(value).__name__}>"
        return cls(type(value).__name__, text)

    def __repr__(self) -> str:
        return self.text

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"no {name!r} here: this {self.kind} of an exception was not sent")


def _made(
    kind: type[BaseException],
    base: type[BaseException],
    args: tuple[Any, ...],
    attributes: Mapping[str, Any],
) -> BaseException:
    return Parts(base, args, attributes).as_a(kind)
