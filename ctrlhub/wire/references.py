"""`Reference`: a name or an expression that has its value where it arrives.

A reference pickles as a call of `_arrived`, so that unpickling it on an engine gives the value,
wherever it stands: as an argument, in a list, or as the function itself. Nothing has to look for
references, and what does not use them pays nothing. Where there is no namespace, at a client, a
reference arrives as a reference.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, NoReturn, Protocol


class Home(Protocol):
    """The namespace of an engine."""

    names: dict[str, Any]

    def adopt(self, call: Any) -> Any:
        """Return a callable that came from a client, so that it sees the namespace."""

    def clear(self) -> None:
        """Forget everything."""


class _Here:
    """Where references arrive, and how many have."""

    __slots__ = ("home", "resolved")

    def __init__(self, home: Home | None) -> None:
        self.home = home
        self.resolved = 0


# Each thread has a context of its own, and so has each engine's, in tests with several.
_here: ContextVar[_Here] = ContextVar("ctrlhub.references", default=_Here(None))  # noqa: B039


class Unresolved(Exception):
    """Carries what the evaluation of a reference raised through the unpickler.

    Parameters
    ----------
    error
        What it raised.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


class Reference:
    """A name, or an expression, that is evaluated in the namespace of each engine it is sent to.

    It may be an argument, stand inside of arguments, be a value that is pushed, or be the function
    that is called.

    Parameters
    ----------
    name
        The name, or the expression.

    Examples
    --------
    >>> view.push({"table": [1, 2, 3]})
    >>> view.apply_sync(sum, Reference("table[1:]"))
    [5, 5]
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError(
                f"a reference is a name or an expression as text, not {type(name).__name__}"
            )
        self.name = name

    @property
    def __name__(self) -> str:
        """The expression, which is what its calls are shown as."""
        return self.name

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: it has a value on engines only."""
        raise TypeError(f"{self!r} has a value on engines only: apply it with a view")

    def __repr__(self) -> str:
        return f"Reference({self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and other.name == self.name

    def __hash__(self) -> int:
        return hash((Reference, self.name))

    def __copy__(self) -> Reference:
        return self

    def __deepcopy__(self, memo: Any) -> Reference:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (self.name,)


def _arrived(name: str) -> Any:
    here = _here.get()
    if here.home is None:
        return Reference(name)
    here.resolved += 1
    names = here.home.names
    try:
        return names[name] if name in names else eval(name, names)
    except BaseException as error:
        raise Unresolved(error) from None


def arrive_in(home: Home | None) -> None:
    """Have the references that this thread unpickles resolved in a namespace, or not at all."""
    if _here.get().home is not home:
        _here.set(_Here(home))


def arrived_in() -> Home | None:
    """Return the namespace in which this thread resolves references, if it does."""
    return _here.get().home


def resolved() -> int:
    """Return how many references this thread has resolved: what they gave may soon be stale."""
    return _here.get().resolved
