"""A route: what is served at a path, to whom, and how much it takes. Data; no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TypeAlias

from ctrlhub.gateway.access.roles import Role

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""

Methods: TypeAlias = Mapping[str, Role | None]
"""The methods that there are at a path, and the role that each needs; None for none."""

READ: Methods = {"GET": Role.VIEW}
"""Of what is only looked at."""

KINDS: Mapping[str, str] = {"": r"[^/]+", "int": r"[0-9]{1,18}", "path": r".+"}
"""What stands for a part of a path: ``{name}``, ``{name:int}``, ``{name:path}``."""

_PART = re.compile(r"\{([a-z_]+)(?::([a-z]+))?\}")


class Body(StrEnum):
    """How much of a body a route takes."""

    NONE = "none"
    TINY = "tiny"
    """A form with a token: what is taken of anybody."""
    SMALL = "small"
    """Up to the option `max_body`: JSON."""
    LARGE = "large"
    """Up to the option `max_upload`, as it comes."""


class Face(StrEnum):
    """Who looks at a route."""

    API = "api"
    """Programs: errors are JSON."""
    PAGE = "page"
    """Browsers: who has not logged in is sent to do so, and a token in the URL is taken out of it."""


@dataclass(frozen=True)
class Route:
    """One route.

    Parameters
    ----------
    path
        The path, such as ``/api/v1/engines/{engine:int}``.
    handler
        The class that serves it, as ``module:Class``; it is imported when the first request comes.
    methods
        Each method that there is, and the role that it needs; None for none, not even a token. ``HEAD``
        comes with ``GET``.
    summary
        What it does, in one line.
    body
        How much it takes of a body.
    face
        Who looks at it.
    is_socket
        It is a WebSocket (or a stream of events): a foreign origin is refused whatever the method.
    """

    path: str
    handler: str
    methods: Methods
    summary: str
    body: Body = Body.SMALL
    face: Face = Face.API
    is_socket: bool = False

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What its paths look like, unquoted."""
        made, at = "", 0
        for part in _PART.finditer(self.path):
            made += re.escape(self.path[at : part.start()])
            made += f"(?P<{part[1]}>{KINDS[part[2] or '']})"
            at = part.end()
        return re.compile(made + re.escape(self.path[at:]))

    @property
    def allowed(self) -> tuple[str, ...]:
        """The methods that there are, for the header ``Allow``."""
        more = ("HEAD",) if "GET" in self.methods and not self.is_socket else ()
        return (*self.methods, *more, "OPTIONS")

    def role_for(self, method: str) -> Role | None:
        """Return the role that a method needs; None for none."""
        if method == "OPTIONS":
            return None
        return self.methods["GET" if method == "HEAD" else method]
