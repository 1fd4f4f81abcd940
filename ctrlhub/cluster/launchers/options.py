"""Options of launchers: declared once as fields of a dataclass, given as text or as values."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar, get_type_hints

O = TypeVar("O", bound="LauncherOptions")  # noqa: E741 - as in `options`

_KINDS = {int: "a whole number", float: "a number", str: "a text"}
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def option(help: str, default: Any = "") -> Any:
    """Declare an option, and say what it means."""
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, kw_only=True)
class LauncherOptions:
    """What every launcher can be told.

    A field may be a text, a number, a truth value or a tuple of texts. The tuples are given as lists,
    or as one text with a line for each.
    """

    python: str = option("The Python that runs engines: it must have ctrl-hub.  [default: this one]")
    prologue: tuple[str, ...] = option(
        "Lines of shell that come before the engines: `module load ...`, `conda activate ...`.", ()
    )
    environment: tuple[str, ...] = option("NAME=VALUE for the engines' environment.", ())

    def __post_init__(self) -> None:
        for each in self.environment:
            name, sign, _ = each.partition("=")
            if not sign or not _NAME.fullmatch(name):
                raise ValueError(f"environment: {each!r} is not NAME=VALUE")

    def python_here(self) -> str:
        """Return the Python to run."""
        return self.python or sys.executable


def options_from(kind: type[O], given: Mapping[str, Any], launcher: str) -> O:
    """Make options of what was given; None stands for what was not.

    Raises
    ------
    ValueError
        There is no such option, or it has a wrong value; the message says which there are.
    """
    known = {each.name for each in fields(kind)}
    hints = get_type_hints(kind)
    values = {}
    for name, value in given.items():
        if name not in known:
            raise ValueError(
                f"launcher {launcher!r} has no option {name!r}; it has: {', '.join(sorted(known))}"
            )
        if value is not None:
            values[name] = _converted(name, value, hints[name])
    return kind(**values)


def described(kind: type[LauncherOptions]) -> list[tuple[str, str, str]]:
    """Return name, default and meaning of each option."""
    rows = []
    for each in fields(kind):
        default = each.default if each.default is not MISSING else ""
        rows.append((each.name, "" if default in ("", ()) else str(default), each.metadata["help"]))
    return rows


def _converted(name: str, value: Any, kind: Any) -> Any:
    if kind == tuple[str, ...]:
        if isinstance(value, str):
            return tuple(line for line in value.splitlines() if line.strip())
        if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
            return tuple(value)
        raise ValueError(f"{name} must be a list of texts, not {value!r}")
    if kind is bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in _TRUE + _FALSE:
            return value.lower() in _TRUE
        raise ValueError(f"{name} must be true or false, not {value!r}")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{name} must be {_KINDS[kind]}, not {value!r}")
    try:
        made = kind(value)
    except ValueError:
        raise ValueError(f"{name} must be {_KINDS[kind]}, not {value!r}") from None
    if kind is str and not made.isprintable():
        raise ValueError(f"{name} must be plain text, not {value!r}")
    return made
