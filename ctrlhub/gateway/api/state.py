"""REST: the hub, its queues, and the sessions of clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ctrlhub.gateway.api import resources as shapes
from ctrlhub.gateway.api.handler import ApiHandler, Asked
from ctrlhub.gateway.api.operation import Answer, Operation
from ctrlhub.gateway.api.outcomes import plain, when
from ctrlhub.gateway.api.schema import Integer


class Hub(ApiHandler):
    """The hub."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "GET": Operation({200: Answer("How it does", shapes.HUB)}),
    }

    async def on_get(self, asked: Asked) -> None:
        """Tell how it does."""
        status = await (await self.rest.client(self.role)).status()
        hub = status["hub"]
        self.answer({
            "profile": status["profile"],
            "pid": hub["pid"],
            "version": hub["version"],
            "started": when(hub["started"]),
            "time": when(hub["time"]),
            "engines": len(status["engines"]),
            "tasks": status["tasks"],
            "trouble": plain(hub["trouble"]),
            "store": plain(status["store"]),
        })


class HubShutdown(ApiHandler):
    """The end of the hub."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "POST": Operation({202: Answer("It ends, and its engines; and this gateway", None, ())}),
    }

    async def on_post(self, asked: Asked) -> None:
        """End it."""
        await self.rest.ask(self.role, "query", "shutdown_hub")
        self.set_status(202)
        await self.finish()


class Queues(ApiHandler):
    """What waits."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "GET": Operation({200: Answer("What waits, and for whom", shapes.QUEUES)}),
    }

    async def on_get(self, asked: Asked) -> None:
        """Tell what waits."""
        status = await (await self.rest.client(self.role)).queue_status()
        engines = [
            {"id": number, "commands": of["queue"], "tasks": of["tasks"], "completed": of["completed"]}
            for number, of in sorted((n, of) for n, of in status.items() if isinstance(n, int))
        ]
        self.answer({"unassigned": status["unassigned"], "engines": engines})


class Sessions(ApiHandler):
    """The sessions of clients."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "GET": Operation({200: Answer("The sessions that there are", shapes.SESSIONS)}),
    }

    async def on_get(self, asked: Asked) -> None:
        """Tell which there are."""
        sessions = await (await self.rest.client(self.role)).sessions()
        self.answer({"sessions": [_session(each) for each in sessions]})


class SessionAt(ApiHandler):
    """One of them."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "DELETE": Operation(
            {204: Answer("It has ended: its tasks are stopped, its results forgotten", None, ())},
            path={"session": Integer(1, 2**31 - 1)},
        ),
    }

    async def on_delete(self, asked: Asked) -> None:
        """End it, if no client is attached to it."""
        await (await self.rest.client(self.role)).end_session(asked.path["session"])
        self.set_status(204)
        await self.finish()


def _session(info: Any) -> dict[str, Any]:
    known: dict[str, Any] = info._asdict()
    expires = known["expires"]
    return known | {"expires": when(expires.timestamp()) if expires else None}
