"""The one table of routes. What is not here is not served; the access matrix and OpenAPI are made from it.

Each part has its section; a handler is named, and imported when its first request comes.
"""

from __future__ import annotations

from ctrlhub.gateway.access.roles import Role
from ctrlhub.gateway.api.routes import REST
from ctrlhub.gateway.route import READ, Body, Face, Methods, Route

OPEN: Methods = {"GET": None}

# ---------------------------------------------------------------- the door

DOOR: tuple[Route, ...] = (
    Route("/healthz", "ctrlhub.gateway.door:Health", OPEN, "Whether the gateway serves.", Body.NONE),
    Route("/login", "ctrlhub.gateway.door:LoginPage", {"GET": None, "POST": None},
        "Log in with a token.", Body.TINY, Face.PAGE),
    Route("/logout", "ctrlhub.gateway.door:Logout", {"POST": Role.VIEW}, "Log out.", Body.TINY, Face.PAGE),
    Route("/api/v1/session", "ctrlhub.gateway.api.who:Whoami", READ,
        "Who asks: the role, until when, and what a page says to change something.", Body.NONE),
)  # fmt: skip

# ---------------------------------------------------------------- the protocol over a WebSocket

RELAY: tuple[Route, ...] = (
    Route("/api/v1/connect", "ctrlhub.gateway.relay.handler:Connect", {"GET": Role.VIEW},
        "The protocol over a WebSocket, as subprotocol ctrlhub.v1.msgpack or ctrlhub.v1.json.",
        Body.NONE, is_socket=True),
    Route("/api/v1/connection", "ctrlhub.gateway.relay.handler:Connection", READ,
        "Whose hub it is, and what the token allows: what a client needs to know first.", Body.NONE),
)  # fmt: skip

# ---------------------------------------------------------------- metrics

METRICS: tuple[Route, ...] = (
    Route("/metrics", "ctrlhub.gateway.metrics:Metrics", READ,
        "The figures of hub, engines and gateway, for Prometheus.", Body.NONE),
)  # fmt: skip

# ---------------------------------------------------------------- the dashboard

DASHBOARD: tuple[Route, ...] = (
    Route("/", "ctrlhub.gateway.dashboard.handlers:Dashboard", READ, "The dashboard.", Body.NONE, Face.PAGE),
    Route("/dashboard/feed", "ctrlhub.gateway.dashboard.handlers:FeedSocket", READ,
        "What the dashboard shows, once a second, over a WebSocket.", Body.NONE, is_socket=True),
    Route("/dashboard/plots.json", "ctrlhub.gateway.dashboard.handlers:Plots", READ,
        "The dashboard's plots, without figures.", Body.NONE),
    Route("/dashboard/bokeh.js", "ctrlhub.gateway.dashboard.handlers:BokehScript", READ,
        "Bokeh's script for browsers.", Body.NONE),
    Route("/dashboard/{name}", "ctrlhub.gateway.dashboard.handlers:PagePart", READ,
        "Scripts and styles of the dashboard.", Body.NONE),
)

ROUTES: tuple[Route, ...] = (*DOOR, *REST, *RELAY, *METRICS, *DASHBOARD)
"""All routes; the first that fits a path is taken."""
