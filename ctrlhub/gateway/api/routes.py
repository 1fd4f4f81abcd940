"""The routes of REST, as data: a section of the one table."""

from __future__ import annotations

from ctrlhub.gateway.access.roles import Role
from ctrlhub.gateway.route import READ, Body, Methods, Route

_RUN: Methods = {"POST": Role.SUBMIT}
_RULE: Methods = {"POST": Role.ADMIN}

_HERE = "ctrlhub.gateway.api"
_ONE = "/api/v1/engines/{engine}"
_SOME = "/api/v1/engines/{engines}"


def _route(path: str, handler: str, methods: Methods, summary: str, body: Body = Body.SMALL) -> Route:
    return Route(path, f"{_HERE}.{handler}", methods, summary, body)


REST: tuple[Route, ...] = (
    _route("/api/v1/openapi.json", "describing:Description", {"GET": None},
        "This interface, described in OpenAPI 3.1.", Body.NONE),
    _route("/openapi.json", "describing:Description", {"GET": None},
        "The same, where tools look for it.", Body.NONE),
    _route("/api/v1/hub", "state:Hub", READ, "How the hub does.", Body.NONE),
    _route("/api/v1/hub/shutdown", "state:HubShutdown", _RULE, "End the hub, and its engines."),
    _route("/api/v1/queues", "state:Queues", READ, "What waits, and for whom.", Body.NONE),
    _route("/api/v1/sessions", "state:Sessions", READ, "The sessions of the hub's clients.", Body.NONE),
    _route("/api/v1/sessions/{session}", "state:SessionAt", {"DELETE": Role.ADMIN},
        "End a session that no client is attached to."),
    _route("/api/v1/tasks", "tasks:Tasks", {**READ, **_RUN},
        "List requests; run functions by name, wherever there is room."),
    _route("/api/v1/tasks/cancel", "tasks:TasksCancel", _RUN, "Stop requests."),
    _route("/api/v1/tasks/{id}", "tasks:TaskAt", READ,
        "What is known of a request, and why it is where it is.", Body.NONE),
    _route("/api/v1/tasks/{id}/result", "results:TaskResult", READ, "How a request has ended.", Body.NONE),
    _route("/api/v1/tasks/{id}/value", "results:TaskValue", READ, "What a request returned.", Body.NONE),
    _route("/api/v1/tasks/{id}/output", "results:TaskOutput", READ,
        "What a request has put out.", Body.NONE),
    _route("/api/v1/tasks/{id}/cancel", "tasks:TaskCancel", _RUN, "Stop a request."),
    _route("/api/v1/results", "results:Results", READ, "What came of many requests.", Body.NONE),
    _route("/api/v1/engines", "engines:Engines", READ, "The engines.", Body.NONE),
    _route(_ONE, "engines:EngineAt", READ, "An engine, and what it has to do.", Body.NONE),
    _route(f"{_SOME}/apply", "engines:Apply", _RUN, "Run a function by name on explicit engines."),
    _route(f"{_SOME}/execute", "engines:Execute", _RUN, "Run code on explicit engines."),
    _route(f"{_SOME}/interrupt", "engines:Interrupt", _RUN, "Interrupt what engines run."),
    _route(f"{_SOME}/restart", "engines:Restart", _RULE, "Put other processes in the places of engines."),
    _route(f"{_SOME}/drain", "engines:Drain", _RULE, "Let engines finish, and leave."),
    _route(f"{_SOME}/signal", "engines:Signal", _RULE, "Send a signal to engine processes."),
    _route(f"{_SOME}/shutdown", "engines:Shutdown", _RULE, "End engines."),
    _route(f"{_SOME}/namespace", "namespace:Names", {"GET": Role.SUBMIT},
        "The names in the namespaces of engines.", Body.NONE),
    _route(f"{_SOME}/namespace/{{name}}", "namespace:Value", {"GET": Role.SUBMIT, "PUT": Role.SUBMIT},
        "Read, and set, a value of a namespace: bytes or JSON.", Body.LARGE),
    Route("/api/v1/events", f"{_HERE}.events:Events", READ,
        "Live events and output: server-sent events, or a WebSocket.", Body.NONE, is_socket=True),
    _route("/api/v1/sets", "engines:Sets", READ, "The sets of engines.", Body.NONE),
    _route("/api/v1/sets/{set}/scale", "engines:Scale", _RULE, "Make a set of engines larger or smaller."),
)  # fmt: skip
"""The first that fits a path is taken."""
