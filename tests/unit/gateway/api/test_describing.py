from __future__ import annotations

import re

import jsonschema

from ctrlhub.gateway.api.describing import described, operations_of
from ctrlhub.gateway.api.handler import ApiHandler
from ctrlhub.gateway.api.routes import REST
from ctrlhub.gateway.route import Body, Face, Route
from ctrlhub.gateway.routes import ROUTES


def test_every_route_of_rest_says_what_it_takes_and_gives() -> None:
    """Each method of the table has an operation, with the parts of its path, and a role where one is needed."""
    paths = described(ROUTES)["paths"]
    for route in REST:
        operations = operations_of(route)
        assert set(operations) == set(route.methods), route.path
        for method, operation in operations.items():
            assert set(operation.path) == set(re.findall(r"\{([a-z_]+)", route.path)), route.path
            said = paths[route.path][method.lower()]
            role = route.methods[method]
            assert role is None or f"the role {role.value}" in said["description"]
            assert {"default", *map(str, operation.answers)} == set(said["responses"])
            if operation.body is not None or operation.raw:
                assert route.body is not Body.NONE, route.path


def test_each_operation_has_one_name() -> None:
    """So that a generated client has a method for each."""
    names = [each["operationId"] for path in described(ROUTES)["paths"].values() for each in path.values()]
    assert len(names) == len(set(names))


def test_every_schema_in_it_is_one() -> None:
    """As the reference implementation has it, of the dialect of OpenAPI 3.1."""
    found = 0

    def look(value: object) -> None:
        nonlocal found
        if isinstance(value, dict):
            if isinstance(value.get("schema"), dict):
                jsonschema.Draft202012Validator.check_schema(value["schema"])
                found += 1
            for each in value.values():
                look(each)
        elif isinstance(value, list):
            for each in value:
                look(each)

    look(described(ROUTES))
    assert found > 50


def test_pages_and_what_speaks_websocket_alone_are_left_out() -> None:
    """OpenAPI has no words for them; a prefix is that of the server."""
    handler = f"{ApiHandler.__module__}:{ApiHandler.__qualname__}"
    page = Route("/page", handler, {"GET": None}, "A page.", Body.NONE, Face.PAGE)
    socket = Route("/socket", handler, {"GET": None}, "A socket.", Body.NONE, is_socket=True)
    plain = Route("/plain", handler, {"GET": None}, "A resource.", Body.NONE)
    told = described([page, socket, plain], "/hub")
    assert list(told["paths"]) == ["/plain"]
    assert told["servers"] == [{"url": "/hub"}]
