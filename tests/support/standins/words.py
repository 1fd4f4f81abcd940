"""What commands of batch systems are told, and how they refuse it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import NoReturn


def fail(text: str, code: int = 1) -> NoReturn:
    """End as a command does that cannot do what it was told."""
    print(text, file=sys.stderr)
    sys.exit(code)


def directives(text: str, prefix: str) -> list[str]:
    """Return the words that a script has for the batch system."""
    words: list[str] = []
    for line in text.splitlines()[1:]:
        if line.startswith(prefix):
            words += shlex.split(line.removeprefix(prefix))
        elif line and not line.startswith("#"):
            break
    return words


def options(words: Sequence[str], with_value: str, flags: Sequence[str] = ()) -> dict[str, list[str]]:
    """Read options; refuse any other."""
    found: dict[str, list[str]] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.lstrip("-") in flags and word.startswith("-"):
            found.setdefault(word.lstrip("-"), [])
        elif word.startswith("-") and word.lstrip("-") in with_value.split():
            found.setdefault(word.lstrip("-"), []).append(rest.pop(0))
        elif word.startswith("-"):
            fail(f"{sys.argv[1]}: illegal option {word}", 2)
        else:
            found.setdefault("", []).append(word)
    return found
