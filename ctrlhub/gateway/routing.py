"""From a path to its route. No I/O, but for the import of a handler's module."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any
from urllib.parse import unquote_to_bytes

from ctrlhub.gateway.route import Route

MOST_PATH = 8 * 1024
"""The longest path, as it is sent: the longest names that are described have room, whatever is quoted in them."""


class NotOurs(Exception):
    """A request that leads to no route.

    Parameters
    ----------
    status, code, message
        What is answered.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def path_of(raw: str, prefix: str) -> str:
    """Return a request's path, unquoted, below the prefix.

    Raises
    ------
    NotOurs
        It is none that a client of good will sends.
    """
    if len(raw) > MOST_PATH:
        raise NotOurs(414, "path_too_long", f"a path has at most {MOST_PATH} characters")
    try:
        path = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise NotOurs(400, "bad_path", "the path is not UTF-8") from None
    parts = path.split("/")
    if (
        not path.startswith("/")
        or any(part in (".", "..") for part in parts)
        or "" in parts[1:-1]
        or "\\" in path
        or any(ord(each) < 32 or ord(each) == 127 for each in path)
    ):
        raise NotOurs(400, "bad_path", "the path has parts that no path here has")
    if prefix:
        if path == prefix:
            return "/"
        if not path.startswith(f"{prefix}/"):
            raise NotOurs(404, "not_found", "there is nothing here")
        path = path.removeprefix(prefix)
    return path


def route_of(routes: Sequence[Route], path: str) -> tuple[Route, dict[str, Any]]:
    """Return the route of a path, and the parts of the path that have names.

    Raises
    ------
    NotOurs
        There is none.
    """
    for route in routes:
        found = route.pattern.fullmatch(path)
        if found is not None:
            return route, dict(found.groupdict())
    raise NotOurs(404, "not_found", "there is nothing here")


def handler_of(route: Route) -> Any:
    """Return the class that serves a route."""
    return _imported(route.handler)


@cache
def _imported(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)
