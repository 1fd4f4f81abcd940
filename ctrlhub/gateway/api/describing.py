"""The description of the interface: OpenAPI 3.1, made of the routes and what their handlers check by."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from typing import Any, ClassVar

from ctrlhub import __version__
from ctrlhub.gateway.access.roles import Role
from ctrlhub.gateway.api.handler import ApiHandler, Asked
from ctrlhub.gateway.api.operation import ERROR, Answer, Operation
from ctrlhub.gateway.api.schema import ListOf, Record, Shape
from ctrlhub.gateway.route import Face, Route

_KIND = re.compile(r"\{([a-z_]+):[a-z]+\}")

BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "A token: `ctrl-hub token list` shows them",
}


FILE_NAME = {"type": "string", "maxLength": 64, "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]*$"}
"""What stands in a path whose handler does not say more: scripts and styles of the dashboard."""


class Description(ApiHandler):
    """The description."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "GET": Operation({200: Answer("The description", Record(open=True))}),
    }

    async def on_get(self, asked: Asked) -> None:
        """Give it."""
        self.answer(description(self.gateway.config.prefix))


@cache
def description(prefix: str = "") -> dict[str, Any]:
    """Return the description of all routes for programs, of a gateway whose paths have a prefix."""
    from ctrlhub.gateway.routes import ROUTES

    return described(ROUTES, prefix)


def described(routes: Iterable[Route], prefix: str = "") -> dict[str, Any]:
    """Describe routes.

    Parameters
    ----------
    routes
        Those of programs are described; pages for browsers are not, nor what speaks WebSocket alone, which
        OpenAPI has no words for.
    prefix
        What stands before their paths.
    """
    paths = {
        _KIND.sub(r"{\1}", route.path): _path(route) for route in routes if _is_described(route)
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ctrl-hub",
            "version": __version__,
            "summary": "Interactive parallel computing: engines, tasks and queues over HTTP",
            "license": {"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"},
        },
        "servers": [{"url": prefix or "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": BEARER},
            "schemas": {"Error": ERROR.described()},
            "responses": {
                "Error": {
                    "description": "What is wrong, and what to do",
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Error"}}
                    },
                }
            },
        },
    }


def _is_described(route: Route) -> bool:
    return route.face is Face.API and not (route.is_socket and not operations_of(route))


def _path(route: Route) -> dict[str, Any]:
    operations = operations_of(route)
    return {
        method.lower(): _operation(route, method, role, operations.get(method))
        for method, role in route.methods.items()
    }


def operations_of(route: Route) -> Mapping[str, Operation]:
    """Return what a route's handler says its methods take and give; nothing if it is of another kind."""
    module, _, name = route.handler.partition(":")
    known: Mapping[str, Operation] = getattr(getattr(import_module(module), name), "operations", {})
    return known


def _operation(
    route: Route, method: str, role: Role | None, operation: Operation | None
) -> dict[str, Any]:
    said: dict[str, Any] = {
        "summary": route.summary,
        "operationId": _name(method, route.path),
        "tags": [_tag(route.path)],
        "responses": {"default": {"$ref": "#/components/responses/Error"}},
    }
    if role is None:
        said["security"] = [{}]
    else:
        said["description"] = f"Needs the role {role.value}."
    if operation is None:
        parts = re.findall(r"\{([a-z_]+)", route.path)
        said["parameters"] = [
            {"name": each, "in": "path", "required": True, "schema": FILE_NAME} for each in parts
        ]
        said["responses"]["2XX"] = {"description": "As the page on this part of the gateway says"}
        return said
    said["parameters"] = [
        *(_parameter("path", name, shape) for name, shape in operation.path.items()),
        *(_parameter("query", name, shape, name in operation.needed) for name, shape in operation.query.items()),
        *(_parameter("header", name, shape) for name, shape in operation.headers.items()),
    ]
    if operation.body is not None:
        said["requestBody"] = {
            "required": not operation.optional_body,
            "content": {"application/json": {"schema": operation.body.described()}},
        }
    elif operation.raw:
        said["requestBody"] = {
            "required": True,
            "content": {media: _raw(media) for media in operation.raw},
        }
    for status, answer in operation.answers.items():
        said["responses"][str(status)] = _answer(answer)
    return said


def _answer(answer: Answer) -> dict[str, Any]:
    said: dict[str, Any] = {"description": answer.about}
    content = {
        media: {"schema": answer.shape.described()}
        if answer.shape is not None
        else _raw(media)
        for media in answer.media
    }
    return {**said, "content": content} if content else said


def _raw(media: str) -> dict[str, Any]:
    if media == "application/json":
        return {"schema": {}}
    return {"schema": {"type": "string", "format": "binary"}}


def _parameter(where: str, name: str, shape: Shape, needed: bool = False) -> dict[str, Any]:
    said: dict[str, Any] = {
        "name": name,
        "in": where,
        "required": needed or where == "path",
        "schema": shape.described(),
    }
    if isinstance(shape, ListOf):
        said["style"], said["explode"] = "form", False
    return said


def _name(method: str, path: str) -> str:
    words = re.findall(r"[a-z]+", _KIND.sub(r"{\1}", path).replace("api/v1", ""))
    where = () if path.startswith("/api/v1/") else ("root",)
    return "_".join((method.lower(), *where, *words))


def _tag(path: str) -> str:
    words = re.findall(r"[a-z]+", path.replace("/api/v1", ""))
    return words[0] if words else "pages"
