"""What every error of ctrl-hub's is, and which class a code on the wire stands for."""

from __future__ import annotations

from typing import Any, ClassVar

_CLASSES: dict[str, type[CtrlHubError]] = {}


class CtrlHubError(Exception):
    """Base of everything ctrl-hub raises on purpose.

    A subclass names its word on the wire, ``class Busy(CtrlHubError, code="busy")``, or has that of
    the class above it.
    """

    code: ClassVar[str] = "error"
    engine_id: int | None = None
    """The engine it happened to, where known."""

    def __init_subclass__(cls, code: str | None = None, **kwargs: Any) -> None:
        """Enter a class with a code of its own into the table."""
        super().__init_subclass__(**kwargs)
        if code is not None:
            holder = _CLASSES.setdefault(code, cls)
            if (holder.__module__, holder.__qualname__) != (cls.__module__, cls.__qualname__):
                raise ValueError(f"{holder.__qualname__} has the code {code!r} already")
            _CLASSES[code] = cls  # also when its module is reloaded
            cls.code = code


def error_for(code: str) -> type[CtrlHubError]:
    """Give the class that a code stands for.

    A code this version does not know (a newer hub's) gives `CtrlHubError`. Every class but
    `RemoteError` and `CompositeError` can be made from a message alone.
    """
    return _CLASSES.get(code, CtrlHubError)
