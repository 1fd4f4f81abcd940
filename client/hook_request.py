"""A start hook on its way to the hub, and afterwards: what a client gives to the next hub."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from ctrlhub.client.requests import Function, Owner, Sender, Stirred
from ctrlhub.client.rows import is_ok, opened
from ctrlhub.link.guarded_log import GuardedLog
from ctrlhub.wire.codec import FrameList
from ctrlhub.wire.messages import Payload, StartHook

_log = GuardedLog("ctrlhub.client")


class StartHookRequest:
    """A start hook.

    Parameters
    ----------
    number
        Its id.
    name, action, payload, function
        What it is called and does.
    owner
        Whose row it is.
    kept
        The hooks of this client that the hub keeps, by name: it enters itself there, and leaves when
        a hub does not keep it.
    """

    __slots__ = ("_kept", "_owner", "_settled", "action", "first", "function", "name", "payload")

    def __init__(
        self,
        number: int,
        name: str,
        action: str,
        payload: Payload,
        function: Function | None,
        owner: Owner,
        kept: dict[str, StartHookRequest],
    ) -> None:
        self.first = number
        self.name = name
        self.action = action
        self.payload = payload
        self.function = function
        self._owner = owner
        self._kept = kept
        self._settled = False

    def message(self) -> StartHook:
        """Return the message. The function comes along each time: the hub may have forgotten it."""
        frames = FrameList()
        payload, function = frames.add(self.payload), self.function
        return StartHook(
            id=self.first,
            name=self.name,
            action=self.action,
            payload=payload,
            function=b"" if function is None else function.digest,
            functions=() if function is None else ((function.digest, frames.add(function.blob)),),
            frames=frames.frames,
        )

    def _future(self) -> Future[Any]:
        return self._owner._future()

    def _numbers(self) -> Sequence[int]:
        return (self.first,)

    def _enter(self, sender: Sender) -> None:
        sender.add_command(self)

    def _settle(self, row: tuple[Any, ...], now: float) -> Stirred | None:
        if is_ok(row):
            self._kept[self.name] = self
        elif self._kept.get(self.name) is self:
            del self._kept[self.name]
        if not self._settled:
            self._settled = True
            return self._owner._take(0, row, now)
        if not is_ok(row):  # the hub is another one, to which it was given again
            _log.warning("start hook %r is lost: %s", self.name, opened(row)[2])
        return None
