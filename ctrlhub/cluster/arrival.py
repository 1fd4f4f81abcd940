"""Waiting for the engines of a set, as long as they may come."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from ctrlhub.cluster.engine_sets import EngineSets
from ctrlhub.cluster.errors import StartFailed


class Arrival:
    """A wait for so many engines of a set; made before they are ordered.

    Parameters
    ----------
    sets
        The sets of the cluster.
    name
        The set.
    n
        How many engines it is to have.
    """

    def __init__(self, sets: EngineSets, name: str, n: int) -> None:
        self._sets = sets
        self._name = name
        self._n = n
        self._connection = sets.client()._connection
        self._lost, _ = self._connection.losses()
        self._dead_before = {each["key"] for each in self._stillborn()}

    def wait(self, timeout: float) -> None:
        """Wait, for at most so many seconds.

        Raises
        ------
        StartFailed
            Those that are lacking have died as they were started, and are not started again.
        TimeoutError
            They still may come.
        """
        deadline = time.monotonic() + timeout
        connection = self._connection
        while True:
            left = max(0.0, deadline - time.monotonic())
            decided = connection.wait_for_engines(self._is_decided, left)
            if self._are_enough():
                return
            if not decided:
                raise self._late(timeout)
            self._lost, _ = connection.losses()
            self._check()

    def _is_decided(self, ids: Iterable[int]) -> bool:
        return self._are_enough() or self._connection.losses()[0] != self._lost

    def _are_enough(self) -> bool:
        return self._here() >= self._n

    def _here(self) -> int:
        known = self._connection.engines().values()
        return sum(
            each.get("engine_set", "") == self._name and each.get("state") != "draining"
            for each in known
        )

    def _check(self) -> None:
        dead = [each for each in self._stillborn() if each["key"] not in self._dead_before]
        here = self._here()
        if dead and here + len(dead) >= self._n:
            last = dead[-1]
            self._sets.give_up(self._name)
            raise StartFailed(
                f"{here} of {self._n} engines of set {self._name!r}; {len(dead)} died as they were started, "
                f"each time that it was tried: {last['cause']} (on {last['host']})",
                last["log"],
            )

    def _stillborn(self) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = self._sets.client().interface("query").stillborn()
        return [each for each in told if each["engine_set"] == self._name]

    def _late(self, timeout: float) -> TimeoutError:
        return TimeoutError(
            f"{self._here()} of {self._n} engines of set {self._name!r} are there after {timeout:g} s: they "
            "may still come; `ctrl-hub engines list` says what they wait for, `ctrl-hub logs` what they say"
        )
