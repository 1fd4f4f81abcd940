"""A client as its calls see it that are made in an event loop, where nobody may wait for the hub."""

from __future__ import annotations

from asyncio import _get_running_loop
from collections.abc import Sequence
from typing import Self

from ctrlhub.client.client import Client
from ctrlhub.client.targets import Targets, chosen, staying


class LoopClient(Client):
    """A client that in an event loop's thread goes by what is known of engines, and asks in others.

    It shares all that a client has.
    """

    @classmethod
    def of(cls, client: Client) -> Self:
        """Return a client in this manner."""
        own = cls.__new__(cls)
        vars(own).update(vars(client))
        return own

    @property
    def ids(self) -> list[int]:
        """The ids of the engines there are, in order; in an event loop, of those known here."""
        if _get_running_loop() is None:
            return super().ids
        return sorted(self._connection.engines())

    def _resolve(self, targets: Targets, leaving: bool = False) -> list[int]:
        if _get_running_loop() is None:
            return super()._resolve(targets, leaving)
        ids: Sequence[int] = self.ids
        if not leaving and (targets is None or isinstance(targets, str | slice)):
            ids = staying(ids, self._connection.engines())
        return chosen(targets, ids)
