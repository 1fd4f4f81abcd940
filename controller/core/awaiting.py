"""Commands for engines that are still on their way back to a restarted hub.

Clients and engines return to a restarted hub in any order. A client that is quicker sends again what
it asked of engines that this hub has not seen yet; for its first moments the hub holds such commands.
"""

from __future__ import annotations

from ctrlhub.controller.core.commands import CommandRecord

GRACE = 6.0
"""How long (seconds) from its beginning a hub waits for those who lost its predecessor.

A peer asks again every 5 s at most. One that also has to open its connections again may come later: a
longer wait would keep commands for engines that are gone from failing for as long.
"""


class Awaiting:
    """Commands by the engine they wait for."""

    def __init__(self) -> None:
        self._until: float | None = None
        self._over = False
        self._commands: dict[int, list[CommandRecord]] = {}

    def hold(self, target: int, command: CommandRecord) -> bool:
        """Keep a command for an engine; False when the hub is too old to wait for any."""
        if self._over:
            return False
        self._commands.setdefault(target, []).append(command)
        return True

    def arrived(self, target: int) -> list[CommandRecord]:
        """Take the commands of an engine that has come, in order."""
        return self._commands.pop(target, [])

    def withdraw(self, unwanted: dict[int, CommandRecord]) -> list[CommandRecord]:
        """Take out those of some commands that wait here."""
        found = [c for held in self._commands.values() for c in held if unwanted.get(c.id) is c]
        for held in self._commands.values():
            held[:] = [c for c in held if unwanted.get(c.id) is not c]
        return found

    def begin(self, now: float) -> None:
        """Note when the hub began; later calls change nothing."""
        if self._until is None:
            self._until = now + GRACE

    def next_deadline(self) -> float | None:
        """Return when `expire` is due."""
        return None if self._over else self._until

    def expire(self, now: float) -> list[tuple[int, CommandRecord]]:
        """Wait no more once the time is over: take what is left, with the engine it waited for."""
        if self._until is None or now < self._until:
            return []
        self._over = True
        left = [(target, c) for target, held in self._commands.items() for c in held]
        self._commands.clear()
        return left
