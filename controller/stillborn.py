"""Engines that have died before they were any, and are not started again: who waits for them is to know. No I/O."""

from __future__ import annotations

from collections.abc import Mapping

from ctrlhub.controller.core.sessions import Session
from ctrlhub.wire.limits import MAX_TEXT
from ctrlhub.wire.messages import EngineDied

MOST = 64
"""So many are remembered; the first are forgotten first."""

MOST_LOG = 4096
"""So much of the end of its log (characters) is told of each."""


class Stillborn:
    """What nannies have told of engines that never registered, by key."""

    def __init__(self) -> None:
        self._found: dict[str, Mapping[str, object]] = {}

    def note(self, nanny: Session, message: EngineDied) -> Mapping[str, object]:
        """Take note of one; return what is to be said of it."""
        told = {
            "id": -1,
            "key": message.key,
            "host": nanny.host,
            "engine_set": nanny.engine_set,
            "cause": message.cause[:MAX_TEXT],
            "log": message.log[-MOST_LOG:],
        }
        self._found.pop(message.key, None)
        self._found[message.key] = told
        if len(self._found) > MOST:
            del self._found[next(iter(self._found))]
        return told

    def forget(self, key: str) -> None:
        """Take note that an engine with this key lives."""
        self._found.pop(key, None)

    def described(self) -> list[Mapping[str, object]]:
        """Return what is known of each, the first first."""
        return list(self._found.values())
