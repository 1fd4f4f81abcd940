"""What messages and effects are: frozen for the type checker, cheap to make.

A frozen dataclass sets each of its fields by way of ``object.__setattr__``, which takes three times as
long as the plain assignment; a hub makes a score of them for each call that passes through it. So
assignments to their fields are forbidden by mypy alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def record(cls: type[T]) -> type[T]:
    """Make a class a dataclass with slots, whose instances are values: nobody assigns to a field."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
