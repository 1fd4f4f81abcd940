"""What one method of one route takes and gives, as data: read by handlers and by the description. No I/O."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ctrlhub.gateway.api.schema import (
    Flag,
    Integer,
    ListOf,
    Moment,
    Number,
    Record,
    Shape,
    Text,
    Unfit,
)
from ctrlhub.wire.encoded import JSON as JSON
from ctrlhub.wire.encoded import OCTETS as OCTETS

EVENT_STREAM = "text/event-stream"


class BadPath(Unfit):
    """A part of the path is nothing that could be there."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What may come back.

    Parameters
    ----------
    about
        When it comes, for people.
    shape
        The body's shape; None for no JSON.
    media
        The body's media types; none for no body.
    """

    about: str
    shape: Shape | None = None
    media: Sequence[str] = (JSON,)


@dataclass(frozen=True, slots=True)
class Operation:
    """What a method takes and gives.

    Parameters
    ----------
    answers
        What may come back, by status; errors are described for all operations at once.
    path
        The parts of the path.
    query
        The parameters behind the question mark. A list is separated by commas.
    headers
        The headers that it heeds.
    body
        The shape of the body, if it has one in JSON.
    raw
        The media types of a body that is taken as it comes.
    needed
        The parameters that cannot be left out.
    optional_body
        Whether the body may be left out.
    """

    answers: Mapping[int, Answer]
    path: Mapping[str, Shape] = field(default_factory=dict)
    query: Mapping[str, Shape] = field(default_factory=dict)
    headers: Mapping[str, Shape] = field(default_factory=dict)
    body: Shape | None = None
    raw: Sequence[str] = ()
    needed: Collection[str] = ()
    optional_body: bool = False

    def read_path(self, parts: Mapping[str, str]) -> dict[str, Any]:
        """Return the parts of the path, checked.

        Raises
        ------
        BadPath
            There cannot be such a thing.
        """
        try:
            return {name: _read(self.path[name], text, name) for name, text in parts.items()}
        except Unfit as error:
            raise BadPath(str(error)) from None

    def read_query(self, given: Mapping[str, Sequence[bytes]]) -> dict[str, Any]:
        """Return the parameters, checked.

        Raises
        ------
        Unfit
            There is no such parameter, or it cannot have this value.
        """
        read: dict[str, Any] = {}
        for name, values in given.items():
            shape = self.query.get(name)
            if shape is None:
                known = ", ".join(self.query)
                raise Unfit(f"there is no parameter {name:.80}; there are: {known or 'none'}")
            if len(values) != 1:
                raise Unfit(f"the parameter {name} may be given once")
            try:
                text = values[0].decode()
            except UnicodeDecodeError:
                raise Unfit(f"the parameter {name} is not UTF-8") from None
            read[name] = _read(shape, text, name)
        for name in self.needed:
            if name not in read:
                raise Unfit(f"the parameter {name} is missing")
        return read

    def read_body(self, body: Any) -> Any:
        """Return the body, checked.

        Raises
        ------
        Unfit
            It has not the shape.
        """
        if self.body is not None:
            self.body.check(body)
        return body


_NUMBER = re.compile(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
"""A number, without what Python would take as well: other digits, underscores, spaces, nan."""


def _read(shape: Shape, text: str, name: str) -> Any:
    """Make of text what a shape wants."""
    value: Any = text
    if isinstance(shape, ListOf):
        value = [_read(shape.item, each, name) for each in text.split(",")] if text else []
    elif isinstance(shape, Flag):
        value = {"true": True, "false": False}.get(text, text)
    elif isinstance(shape, Integer):
        if len(text) <= 20 and text.removeprefix("-").isdecimal() and text.isascii():
            value = int(text)
    elif isinstance(shape, Number):
        if len(text) <= 40 and _NUMBER.fullmatch(text):
            value = float(text)
    elif not isinstance(shape, Text | Moment):
        raise TypeError(f"{type(shape).__name__} cannot be read from text")
    shape.check(value, name)
    return value


ERROR = Record(
    {
        "error": Record(
            {"code": Text(100, about="A word that does not change"), "message": Text(1_000_000)}, open=True
        )
    }
)
"""The shape of every error."""
