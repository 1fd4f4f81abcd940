"""Shapes of JSON: each checks a value, and describes itself as JSON Schema. No I/O.

Handlers check bodies and queries by them, and the OpenAPI description is made of them: one source, so
that what is described is what is accepted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

INT64 = 2**63


class Unfit(ValueError):
    """A value does not have the shape; the message says where, and what is wanted there."""


class Shape:
    """What a value is to look like."""

    def check(self, value: Any, where: str = "") -> None:
        """See that a value has the shape.

        Parameters
        ----------
        value
            The value, as JSON gave it.
        where
            What it is called in messages.

        Raises
        ------
        Unfit
            It does not.
        """
        raise NotImplementedError

    def described(self) -> dict[str, Any]:
        """Return the shape as JSON Schema."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Text(Shape):
    """Text.

    Parameters
    ----------
    most
        How long it may be (characters).
    least
        And has to be.
    pattern
        A regular expression that all of it matches.
    choices
        What it may be, if only that.
    about
        What it says, for people.
    """

    most: int = 1024
    least: int = 0
    pattern: str = ""
    choices: tuple[str, ...] = ()
    about: str = ""

    def check(self, value: Any, where: str = "") -> None:
        """See that it is such a text."""
        if not isinstance(value, str):
            raise Unfit(f"{where} must be text, not {_kind(value)}")
        if self.choices and value not in self.choices:
            raise Unfit(f"{where} must be one of {', '.join(self.choices)}")
        if not self.least <= len(value) <= self.most:
            raise Unfit(f"{where} must have {self.least} to {self.most} characters, not {len(value)}")
        if self.pattern and not re.fullmatch(self.pattern, value):
            wanted = f"be {self.about[0].lower()}{self.about[1:]}" if self.about else f"match {self.pattern}"
            raise Unfit(f"{where} must {wanted}")

    def described(self) -> dict[str, Any]:
        """Return it as JSON Schema."""
        if self.choices:
            return _about({"type": "string", "enum": list(self.choices)}, self.about)
        shape: dict[str, Any] = {"type": "string", "maxLength": self.most}
        if self.least:
            shape["minLength"] = self.least
        if self.pattern:
            shape["pattern"] = f"^(?:{self.pattern})$"
        return _about(shape, self.about)


@dataclass(frozen=True, slots=True)
class Integer(Shape):
    """A whole number between two, both included."""

    least: int = -INT64
    most: int = INT64 - 1
    about: str = ""

    def check(self, value: Any, where: str = "") -> None:
        """See that it is such a number."""
        whole = type(value) is int or (type(value) is float and value.is_integer())
        if not whole:
            raise Unfit(f"{where} must be a whole number, not {_kind(value)}")
        if not self.least <= value <= self.most:
            raise Unfit(f"{where} must be between {self.least} and {self.most}")

    def described(self) -> dict[str, Any]:
        """Return it as JSON Schema."""
        shape = {"type": "integer", "minimum": self.least, "maximum": self.most}
        return _about(shape, self.about)


@dataclass(frozen=True, slots=True)
class Number(Shape):
    """A number between two, both included unless it has to be `above` the lower one."""

    least: float = 0.0
    most: float = 1e9
    about: str = ""
    above: bool = False

    def check(self, value: Any, where: str = "") -> None:
        """See that it is such a number."""
        if type(value) not in (int, float):
            raise Unfit(f"{where} must be a number, not {_kind(value)}")
        low = value > self.least if self.above else value >= self.least
        if not (low and value <= self.most):  # what is no number is neither
            more = f", and more than {self.least:g}" if self.above else ""
            raise Unfit(f"{where} must be between {self.least:g} and {self.most:g}{more}")

    def described(self) -> dict[str, Any]:
        """Return it as JSON Schema."""
        lower = "exclusiveMinimum" if self.above else "minimum"
        shape = {"type": "number", lower: self.least, "maximum": self.most}
        return _about(shape, self.about)


@dataclass(frozen=True, slots=True)
class Moment(Shape):
    """A point in time, as ISO 8601 says it, with the zone."""

    about: str = ""

    def check(self, value: Any, where: str = "") -> None:
        """See that it is one."""
        try:
            moment(value)
        except (TypeError, ValueError, OverflowError, OSError):
            raise Unfit(f"{where} must be a time such as 2026-01-31T12:00:00Z") from None

    def described(self) -> dict[str, Any]:
        """Return it as JSON Schema."""
        return _about({"type": "string", "format": "date-time"}, self.about)


def moment(text: str) -> float:
    """Return the Unix time (seconds) that a `Moment` means.

    Raises
    ------
    ValueError
        It is none, or its zone is missing.
    """
    found = datetime.fromisoformat(text.upper())
    if found.tzinfo is None:
        raise ValueError("a time needs its zone")
    return found.timestamp()


@dataclass(frozen=True, slots=True)
class Flag(Shape):
    """True or false."""

    about: str = ""

    def check(self, value: Any, where: str = "") -> None:
        """See that it is true or false."""
        if type(value) is not bool:
            raise Unfit(f"{where} must be true or false, not {_kind(value)}")

    def described(self) -> dict[str, Any]:
        """Return it as JSON Schema."""
        return _about({"type": "boolean"}, self.about)


@dataclass(frozen=True, slots=True)
class Anything(Shape):
    """Any JSON."""

    about: str = ""

    def check(self, value: Any, where: str = "") -> None:
        """See nothing: all is well."""

    def described(self) -> dict[str, Any]:
        """Return it as JSON Schema."""
        return _about({}, self.about)


@dataclass(frozen=True, slots=True)
class Nothing(Shape):
    """Null."""

    def check(self, value: Any, where: str = "") -> None:
        """See that it is null."""
        if value is not None:
            raise Unfit(f"{where} must be null, not {_kind(value)}")

    def described(self) -> dict[str, Any]:
        """Return it as JSON Schema."""
        return {"type": "null"}


@dataclass(frozen=True, slots=True)
class ListOf(Shape):
    """A list of things of one shape."""

    item: Shape
    most: int = 1_000_000
    least: int = 0
    about: str = ""

    def check(self, value: Any, where: str = "") -> None:
        """See that it is such a list."""
        if not isinstance(value, list):
            raise Unfit(f"{where or 'the body'} must be a list, not {_kind(value)}")
        if not self.least <= len(value) <= self.most:
            raise Unfit(f"{where or 'the body'} must have {self.least} to {self.most} items, not {len(value)}")
        check = self.item.check
        for place, each in enumerate(value):
            check(each, f"{where}[{place}]")

    def described(self) -> dict[str, Any]:
        """Return it as JSON Schema."""
        shape: dict[str, Any] = {"type": "array", "items": self.item.described()}
        shape["maxItems"] = self.most
        if self.least:
            shape["minItems"] = self.least
        return _about(shape, self.about)


@dataclass(frozen=True, slots=True)
class MapOf(Shape):
    """An object with names that are not known before, and values of one shape."""

    item: Shape
    most: int = 10_000
    about: str = ""
    names: Shape | None = None

    def check(self, value: Any, where: str = "") -> None:
        """See that it is such an object."""
        if not isinstance(value, dict):
            raise Unfit(f"{where} must be an object, not {_kind(value)}")
        if len(value) > self.most:
            raise Unfit(f"{where} must have {self.most} items at most, not {len(value)}")
        for name, each in value.items():
            if self.names is not None:
                self.names.check(name, f"a name in {where}")
            self.item.check(each, f"{where}.{name:.80}")

    def described(self) -> dict[str, Any]:
        """Return it as JSON Schema."""
        shape = {"type": "object", "additionalProperties": self.item.described()}
        if self.names is not None:
            shape["propertyNames"] = self.names.described()
        return _about(shape | {"maxProperties": self.most}, self.about)


@dataclass(frozen=True, slots=True)
class Record(Shape):
    """An object with known names; others are refused, unless it is `open`."""

    required: Mapping[str, Shape] = field(default_factory=dict)
    optional: Mapping[str, Shape] = field(default_factory=dict)
    open: bool = False
    about: str = ""

    def check(self, value: Any, where: str = "") -> None:
        """See that it is such an object."""
        name_of = f"{where}." if where else ""
        if not isinstance(value, dict):
            raise Unfit(f"{where or 'the body'} must be an object, not {_kind(value)}")
        for name in self.required:
            if name not in value:
                raise Unfit(f"{name_of}{name} is missing")
        for name, each in value.items():
            shape = self.required.get(name) or self.optional.get(name)
            if shape is not None:
                shape.check(each, f"{name_of}{name}")
            elif not self.open:
                known = ", ".join((*self.required, *self.optional))
                raise Unfit(f"there is no {name_of}{name:.80}; there are: {known or 'none'}")

    def described(self) -> dict[str, Any]:
        """Return it as JSON Schema."""
        every = {**self.required, **self.optional}
        shape: dict[str, Any] = {
            "type": "object",
            "properties": {name: each.described() for name, each in every.items()},
        }
        if self.required:
            shape["required"] = list(self.required)
        if not self.open:
            shape["additionalProperties"] = False
        return _about(shape, self.about)


@dataclass(frozen=True, slots=True)
class Either(Shape):
    """One of several shapes."""

    shapes: Sequence[Shape]
    about: str = ""

    def check(self, value: Any, where: str = "") -> None:
        """See that it is one of them; what the nearest lacks is said."""
        wrong = []
        for shape in self.shapes:
            try:
                shape.check(value, where)
            except Unfit as error:
                wrong.append(str(error))
            else:
                return
        raise Unfit("; or ".join(dict.fromkeys(wrong)))

    def described(self) -> dict[str, Any]:
        """Return it as JSON Schema."""
        return _about({"anyOf": [shape.described() for shape in self.shapes]}, self.about)


def or_null(shape: Shape) -> Shape:
    """Return the shape of something that may be missing."""
    return Either((shape, Nothing()))


def _about(shape: dict[str, Any], about: str) -> dict[str, Any]:
    return {**shape, "description": about} if about else shape


_KINDS = {
    dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number",
    float: "a number", type(None): "null",
}  # fmt: skip


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), type(value).__name__)
