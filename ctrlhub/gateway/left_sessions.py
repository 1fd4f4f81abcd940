"""The file that names the gateway's sessions: a gateway that is started again goes on with them."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from ctrlhub.wire.limits import MAX_SESSION
from ctrlhub.wire.private import StateError, read_private, write_private

log = logging.getLogger(__name__)

MOST_BYTES = 4096


class LeftSessions:
    """Numbers of sessions, by role.

    Parameters
    ----------
    path
        The file; private.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, int] | None = None

    def of(self, role: str) -> int | None:
        """Return the session that the gateway has had for a role, if any."""
        return self._read().get(role)

    def note(self, role: str, session: int) -> None:
        """Take note of the session for a role."""
        known = self._read()
        if known.get(role) != session:
            self._known = {**known, role: session}
            write_private(self._path, json.dumps(self._known).encode() + b"\n")

    def _read(self) -> Mapping[str, int]:
        if self._known is None:
            try:
                self._known = _checked(json.loads(read_private(self._path, MOST_BYTES)))
            except FileNotFoundError:
                self._known = {}
            except (ValueError, StateError) as error:
                log.warning("%s does not say which sessions there were: %s", self._path, error)
                self._known = {}
        return self._known


def _checked(said: object) -> dict[str, int]:
    if not isinstance(said, dict):
        raise ValueError("it is no object")
    return {
        role: number for role, number in said.items() if type(number) is int and 0 < number <= MAX_SESSION
    }
