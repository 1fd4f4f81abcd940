"""From a path to its route, and the table of routes itself."""

from __future__ import annotations

import inspect
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.gateway.access.roles import Role
from ctrlhub.gateway.guard import Guarded
from ctrlhub.gateway.route import SAFE, Body, Route
from ctrlhub.gateway.routes import ROUTES
from ctrlhub.gateway.routing import NotOurs, handler_of, path_of, route_of


@pytest.mark.parametrize(
    ("raw", "prefix", "path"),
    [
        ("/", "", "/"),
        ("/a/b", "", "/a/b"),
        ("/a%20b", "", "/a b"),
        ("/%C3%BC", "", "/ü"),
        ("/a/", "", "/a/"),
        ("/hub", "/hub", "/"),
        ("/hub/", "/hub", "/"),
        ("/hub/a", "/hub", "/a"),
    ],
)
def test_paths(raw: str, prefix: str, path: str) -> None:
    """They are unquoted, once, and stand below the prefix."""
    assert path_of(raw, prefix) == path


def test_the_longest_names_that_are_described_have_room() -> None:
    """As many engines as can be named, and a name of letters that are quoted as twelve characters each."""
    path = f"/api/v1/engines/{','.join('1' * 512)}/namespace/{chr(0x1D4B3) * 256}"
    assert path_of(quote(path, safe="/"), "") == path


@pytest.mark.parametrize(
    "raw",
    ["", "a", "*", "http://evil.example/", "/../x", "/a/../b", "/a/..", "/./a", "/%2e%2e/x", "/%2E%2e%2fx", "/a//b", "//a", "/a\\b",
     "/%5c..%5c", "/a%00", "/a%0d%0aSet-Cookie:x", "/%ff", "/" + "a" * 9000],
)  # fmt: skip
def test_tricks_with_paths(raw: str) -> None:
    """What no client of good will sends is refused, however it is written."""
    with pytest.raises(NotOurs) as raised:
        path_of(raw, "")
    assert raised.value.status in (400, 414)


@pytest.mark.parametrize("raw", ["/", "/hubble/a", "/HUB/a", "/a"])
def test_beside_the_prefix_is_nothing(raw: str) -> None:
    """Not found."""
    with pytest.raises(NotOurs) as raised:
        path_of(raw, "/hub")
    assert raised.value.status == 404


@given(st.text(max_size=100))
def test_any_path_is_one_or_refused(raw: str) -> None:
    """What strangers send raises nothing else, and no path leads up."""
    try:
        path = path_of(raw, "")
    except NotOurs:
        return
    except UnicodeEncodeError:
        assert not raw.isascii()  # HTTP has none of these
        return
    assert path.startswith("/")
    assert ".." not in path.split("/")


def test_parts_of_a_path_have_names() -> None:
    """And kinds; a part is never more than a part, unless it says so."""
    routes = (
        Route("/e/{engine:int}/{what}", "x:Y", {"GET": Role.VIEW}, "x"),
        Route("/static/{rest:path}", "x:Y", {"GET": None}, "x"),
    )
    assert route_of(routes, "/e/12/a") == (routes[0], {"engine": "12", "what": "a"})
    assert route_of(routes, "/static/a/b.css") == (routes[1], {"rest": "a/b.css"})
    for path in ("/e/x/a", "/e/12/a/b", "/e/12/", "/E/12/a", "/static/"):
        with pytest.raises(NotOurs):
            route_of(routes, path)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_every_route_is_served(route: Route) -> None:
    """By a handler that lets in first, has each method of the table, and none besides: it could not be reached."""
    handler: Any = handler_of(route)
    assert issubclass(handler, Guarded)
    assert route.summary.endswith(".")
    for method in route.methods:
        assert inspect.isroutine(getattr(handler, method.lower())), method


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_nothing_is_changed_by_looking(route: Route) -> None:
    """What changes something is no method that browsers send by themselves, and needs more than a look."""
    for method, role in route.methods.items():
        if method not in SAFE and route.path not in ("/login", "/logout"):
            assert role in (Role.SUBMIT, Role.ADMIN)


def test_what_is_open_is_known() -> None:
    """Nothing is served without a token but what says nothing of the cluster."""
    assert {route.path for route in ROUTES if None in route.methods.values()} == {
        "/healthz", "/login", "/openapi.json", "/api/v1/openapi.json",
    }  # fmt: skip


def test_bodies_are_small_but_where_they_are_not() -> None:
    """A route takes nothing large by accident."""
    assert {route.path for route in ROUTES if route.body is Body.LARGE} <= {
        "/api/v1/engines/{engines}/namespace/{name}", "/api/v1/uploads/{name}",
    }  # fmt: skip
