"""Waiting for engines, as long as they may come. Every wait for engines that somebody starts is this one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ctrlhub.cluster.errors import BornDead

if TYPE_CHECKING:
    from ctrlhub.client.client import Client
    from ctrlhub.cluster.parts_check import PartsCheck

LOOK = 0.05
"""Seconds after which a wait sees again to what it was given to check; of engines the hub tells it."""
ASK = 1.0
"""So often (seconds) the hub is asked for deaths, unless it tells of one."""


class Arrival:
    """A wait for so many engines.

    Parameters
    ----------
    client
        Knows which there are.
    n
        How many are to be there.
    name
        The set of which they are; None counts all engines.
    check
        Called again and again meanwhile; what it raises ends the wait.
    parts
        What launchers have started: they are asked meanwhile.
    """

    def __init__(
        self,
        client: Client,
        n: int,
        name: str | None = None,
        *,
        check: Callable[[], None] | None = None,
        parts: PartsCheck | None = None,
    ) -> None:
        self._client = client
        self._n = n
        self._name = name
        self._check = check
        self._parts = parts
        self._former: frozenset[str] = frozenset()
        self._lost = -1
        self._due = 0.0

    def forget_former(self) -> None:
        """Count no engine that has died until now: those that are waited for are only to be ordered."""
        self._former = frozenset(each["key"] for each in self._stillborn())

    def expect(self, parts: PartsCheck) -> None:
        """Ask these meanwhile: what has been started since this was made."""
        self._parts = parts

    def wait(self, timeout: float, show: Callable[[int], None] = lambda there: None) -> bool:
        """Wait, for at most so many seconds; return whether all are there.

        Parameters
        ----------
        timeout
            The longest wait; shorter where the parts are not worth one.
        show
            Is told how many there are.

        Raises
        ------
        StartFailed
            Those that are lacking will not come: they have died as they were started, and are not started
            again (`BornDead`), or what should bring them is over.
        """
        begin = time.monotonic()
        while True:
            there = self.there()
            show(min(there, self._n))
            if there >= self._n:
                return True
            self._look(there)
            limit = timeout if self._parts is None else self._parts.patience(timeout)
            left = begin + limit - time.monotonic()
            if left <= 0:
                return False
            pause = ASK if self._check is None and self._parts is None else LOOK
            self._client.roster.wait(self._is_decided, min(pause, left))

    def there(self) -> int:
        """Return how many are there and stay."""
        return sum(
            self._name in (None, each.get("engine_set", "")) and each.get("state") != "draining"
            for each in self._client.roster.known().values()
        )

    def _is_decided(self) -> bool:
        return self.there() >= self._n or self._client.roster.losses() != self._lost

    def _look(self, there: int) -> None:
        if self._check is not None:
            self._check()
        lost, now = self._client.roster.losses(), time.monotonic()
        if lost != self._lost or now >= self._due:
            self._lost, self._due = lost, now + ASK
            self._check_births(there)
        if self._parts is not None:
            self._parts.check(now)

    def _check_births(self, there: int) -> None:
        dead = [each for each in self._stillborn() if each["key"] not in self._former]
        if not dead or there + len(dead) < self._n:
            return
        causes = dict.fromkeys(f"{each['cause']} (on {each['host']})" for each in dead)
        of_set = "" if self._name is None else f" of set {self._name!r}"
        raise BornDead(
            f"{there} of {self._n} engines{of_set}; {len(dead)} died as they were started, each time that "
            f"it was tried: {'; '.join(causes)}",
            dead[-1]["log"],
            there,
        )

    def _stillborn(self) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = self._client.interface("query").stillborn()
        return [each for each in told if self._name in (None, each["engine_set"])]
