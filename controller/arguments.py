"""Arguments of the controller's methods: a wrong type is a `TypeError` that names the argument."""

from __future__ import annotations


def require(name: str, value: object, type_: type) -> None:
    """See that the argument is of this type; a bool is not an int."""
    if not isinstance(value, type_) or (isinstance(value, bool) and type_ is not bool):
        raise TypeError(f"{name} must be {type_.__name__}, not {type(value).__name__}")


def require_or_none(name: str, value: object, type_: type) -> None:
    """See that the argument, if it was given, is of this type."""
    if value is not None:
        require(name, value, type_)


def require_callable(f: object) -> None:
    """See that the callback can be called."""
    if not callable(f):
        raise TypeError(f"f must be callable, not {type(f).__name__}")
