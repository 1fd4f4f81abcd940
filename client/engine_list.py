"""The engines of the moment, as numbered events tell.

Events travel on a stream of their own, so results may come before the news of the engines that made
them, and what is published before a subscription is in force never comes. Other messages name the
last event so far: as long as that is not here, the list may be out of date, and whoever needs to be
sure asks the hub.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ctrlhub.wire.messages import EngineEvent, Registered

LOOK_AGAIN = 10.0
"""How often (seconds) to ask for the engines although nothing seems amiss: the last event before a
quiet time has no successor that could show its loss."""

RETURN = 6.0
"""So long (seconds) the engines of a hub that has died may take to come to another one."""

LIST_ENGINES = "engines_now"
"""The method of the interface ``query`` that tells the engines of the moment."""

LAST_EVENT = "engine_events"
"""The method of the same interface that tells the number of the last event."""


class EngineList:
    """The engines, and the number of the last event that they include.

    Attributes
    ----------
    by_id : dict
        What is known of each engine, by id. Replaced, never changed in place.
    due : float
        When to ask for all of them again.
    asked : bool
        Whether an answer is on its way.
    """

    __slots__ = ("_given_up", "_last", "_missing", "_newest", "_subscribed", "asked", "by_id", "due")

    def __init__(self) -> None:
        self.by_id: dict[int, Mapping[str, Any]] = {}
        self.due = float("inf")
        self.asked = False
        self._last = self._newest = 0
        self._subscribed = False
        self._missing: set[int] = set()
        self._given_up = 0.0

    @property
    def is_current(self) -> bool:
        """Whether every event that we heard of is included, and those to come will be.

        Right after another hub has begun, the list is not, until those are back that its predecessor
        had, or they have had the time for it.
        """
        return self._subscribed and self._last >= self._newest and not self._missing

    @property
    def awaits_others(self) -> bool:
        """Whether engines of the former hub may be on their way to this one."""
        return bool(self._missing)

    def includes(self, event: int) -> bool:
        """Say whether an event, by its number, is known here, and all before it."""
        return self.is_current and event <= self._last

    def clear(self) -> None:
        """Know of none."""
        self.by_id = {}
        self.due = float("inf")

    def joined(self, registered: Registered, now: float, another_hub: bool = False) -> None:
        """Take the engines that came with the session.

        An event of the moments before the subscription is in force is lost.
        """
        former = {*self.by_id, *self._missing} if another_hub else self._missing
        self.by_id = _by_id(registered.engines)
        self._missing = {number for number in former if number not in self.by_id}
        if another_hub:
            self._given_up = now + RETURN
        self._last = self._newest = registered.events
        self._subscribed = False
        self.due = now + registered.beat
        self.asked = False  # an answer may have been lost with the connection

    def subscribed(self, events: int) -> bool:
        """Take note that events come from now on; False if some came before that are not here."""
        self._subscribed = True
        self.heard_of(events)
        return self.is_current

    def heard_of(self, events: int) -> None:
        """Take note of the number of an event."""
        if events > self._newest:
            self._newest = events

    def take(self, event: EngineEvent) -> bool:
        """Take an event; False if there is a gap before it."""
        if event.number <= self._last:
            return True
        self.heard_of(event.number)
        if event.number != self._last + 1:
            return False
        self._last = event.number
        if event.event == "stillborn":  # it never was one
            return True
        number = event.engine["id"]
        engines = {**self.by_id, number: event.engine}
        self._missing.discard(number)
        if event.event == "unregistered":
            del engines[number]
        self.by_id = engines
        return True

    def told(self, engines: Mapping[str, Any], now: float) -> bool:
        """Take what the hub tells who asks; False if more is known already."""
        if engines["events"] < self._last:
            self.due = now + LOOK_AGAIN
            return False
        self.by_id = _by_id(engines["engines"])
        self._last = engines["events"]
        self._missing -= self.by_id.keys()
        if now >= self._given_up:
            self._missing.clear()
        self.due = self._given_up if self._missing else now + LOOK_AGAIN
        return True


def _by_id(engines: Any) -> dict[int, Mapping[str, Any]]:
    return {engine["id"]: engine for engine in engines}
