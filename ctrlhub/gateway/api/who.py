"""REST: who asks, and until when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ctrlhub.gateway.access.roles import ROLES
from ctrlhub.gateway.api.handler import ApiHandler, Asked
from ctrlhub.gateway.api.operation import Answer, Operation
from ctrlhub.gateway.api.outcomes import when
from ctrlhub.gateway.api.resources import SOME_TIME
from ctrlhub.gateway.api.schema import Record, Text

WHO = Record(
    {
        "role": Text(choices=tuple(role.value for role in ROLES), about="What who asks may do"),
        "token": Text(64, about="The name of the token"),
        "expires": SOME_TIME,
        "csrf": Text(128, about="What a page says in X-Ctrlhub-Csrf; empty without a cookie"),
    },
    about="Who asks, and until when: the token or the login, whichever ends first; null for ever",
)


class Whoami(ApiHandler):
    """Says who asks."""

    operations: ClassVar[Mapping[str, Operation]] = {"GET": Operation({200: Answer("Who asks", WHO)})}

    async def on_get(self, asked: Asked) -> None:
        """Say it."""
        known = self.identity
        token = next((each for each in self.book.tokens if each.id == known.token), None)
        ends = (None if token is None else token.expires, None if known.login is None else known.login.expires)
        self.answer({
            "role": self.role.value,
            "token": known.name,
            "expires": when(min((each for each in ends if each is not None), default=None)),
            "csrf": self.csrf,
        })
