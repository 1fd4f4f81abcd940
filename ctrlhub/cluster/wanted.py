"""A cluster that somebody wants. Plain data; nothing is started here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be started.

    Parameters
    ----------
    n
        How many engines.
    launcher, options
        What starts them.
    profile
        The name under which it is found; None for a private one, or the default one if it `lasts`.
    lasts
        It outlives the program that starts it.
    """

    n: int
    launcher: str = "local"
    options: Mapping[str, str] = field(default_factory=dict)
    profile: str | None = None
    lasts: bool = False


def options_in(text: str) -> dict[str, str]:
    """Return the options of a launcher as they were typed, ``NAME = VALUE`` in lines of their own.

    An option that is named again has one more line: as those that are lists take it.

    Raises
    ------
    ValueError
        A line is none.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, sign, value = (part.strip() for part in line.partition("="))
        if not sign or not name:
            raise ValueError(f"line {number} of the options is not NAME = VALUE: {line.strip()!r}")
        found[name] = f"{found[name]}\n{value}" if name in found else value
    return found
