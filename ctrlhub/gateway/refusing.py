"""What takes a request that leads to no route."""

from __future__ import annotations

from ctrlhub.gateway.context import Gateway
from ctrlhub.gateway.handlers import Handler, Refusal
from ctrlhub.gateway.route import Body, Route
from ctrlhub.gateway.routing import NotOurs

NOWHERE = Route("-", "", {}, "Nothing is served here.", Body.NONE)


class Refuse(Handler):
    """Answers with an error, whatever the method, and takes no body."""

    def initialize(self, gateway: Gateway, error: NotOurs) -> None:  # type: ignore[override]
        """Take what is to be said."""
        super().initialize(gateway, NOWHERE)
        self._error = error

    def let_in(self) -> None:
        """Let nobody in."""
        raise Refusal(self._error.status, self._error.code, self._error.message)
