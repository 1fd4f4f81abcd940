"""Engine ids: which is given to whom, and which is kept for whom.

Ids run from 0 to ``max_engines - 1``, the lowest free one first. An id is *live* (an engine has
it), *reserved* (its engine is away and may come back) or *free*.

A reservation is a courtesy, not a claim: when no id is free, the oldest reservation is given up
rather than a living engine refused.
"""

from __future__ import annotations

import heapq
import logging

from ctrlhub.wire.errors import RegistrationRefused, TooManyEngines

log = logging.getLogger(__name__)


class EngineIds:
    """Hands out engine ids.

    Every operation takes logarithmic time at most, whatever ``max_engines`` is and whatever ids
    are asked for; memory grows with the ids in use, not with ``max_engines``.

    Parameters
    ----------
    max_engines
        How many ids there are.
    save_ids
        Keep the id of an engine that leaves for when it comes back. An engine is known by its
        key, which then can be live only once; otherwise keys are not looked at.
    """

    def __init__(self, max_engines: int, save_ids: bool) -> None:
        self._max_engines = max_engines
        self._save_ids = save_ids
        self._live: dict[int, str] = {}
        self._live_id_of: dict[str, int] = {}
        self._reserved: dict[int, str] = {}  # the oldest first
        self._reserved_id_of: dict[str, int] = {}
        self._released: set[int] = set()  # live, and not to be reserved afterwards
        # Ids that were given out and came back: a heap that may hold taken ids too, each id once.
        self._returned: list[int] = []
        self._in_returned: set[int] = set()
        self._untouched = 0  # from here on up, free is what is neither live nor reserved

    def take(self, key: str, desired: int | None) -> int:
        """Give the engine an id: its reserved one, the desired one if free, the lowest free one.

        Raises
        ------
        TooManyEngines
            Every id is live.
        RegistrationRefused
            Ids are saved and this key is live: it is the same engine, twice.
        """
        if self._save_ids and key in self._live_id_of:
            raise RegistrationRefused(
                f"this engine is registered already, as engine {self._live_id_of[key]}; "
                "unregister that one first"
            )
        id = self._choose(key, desired)
        self._live[id] = key
        if self._save_ids:
            self._live_id_of[key] = id
        return id

    def give_back(self, id: int) -> None:
        """Take the id of an engine that left; reserve it if ids are saved."""
        key = self._live.pop(id)
        if self._save_ids:
            del self._live_id_of[key]
        if self._save_ids and id not in self._released:
            self._reserved[id] = key
            self._reserved_id_of[key] = id
        else:
            self._released.discard(id)
            self._make_free(id)

    def reserve(self, id: int, key: str) -> bool:
        """Keep a free id for an engine that may come; say whether that is possible."""
        if not (self._save_ids and 0 <= id < self._max_engines and self._is_free(id)):
            return False
        if key in self._live_id_of or key in self._reserved_id_of:
            return False
        self._reserved[id] = key
        self._reserved_id_of[key] = id
        return True

    def demand(self, id: int, key: str) -> None:
        """Keep an id for the engine of a key, whomever it was kept for: that one has not come back.

        Raises
        ------
        RegistrationRefused
            It is live, or no id.
        """
        if not 0 <= id < self._max_engines:
            raise RegistrationRefused(
                f"there is no engine id {id}: they are 0 to {self._max_engines - 1}; start the hub with a "
                "larger --max-engines"
            )
        if id in self._live:
            raise RegistrationRefused(f"engine id {id} is taken, and this engine takes no other")
        if key in self._live_id_of or self._reserved.get(id) == key:
            return
        if id in self._reserved:
            log.warning("engine id %d is demanded by another engine: its reservation is given up", id)
            self._end_reservation(id)
        former = self._reserved_id_of.get(key)
        if former is not None:
            self._end_reservation(former)
            self._make_free(former)
        if self._save_ids:
            self._reserved[id] = key
            self._reserved_id_of[key] = id

    def release(self, id: int) -> bool:
        """End the reservation of the id, or see to it that a live one will not be reserved.

        Returns
        -------
        bool
            Whether there was anything to release.
        """
        if id in self._reserved:
            self._end_reservation(id)
            self._make_free(id)
            return True
        if self._save_ids and id in self._live:
            self._released.add(id)
            return True
        return False

    def _choose(self, key: str, desired: int | None) -> int:
        reserved = self._reserved_id_of.get(key)
        if reserved is not None:
            self._end_reservation(reserved)
            return reserved
        if desired is not None and 0 <= desired < self._max_engines and self._is_free(desired):
            return desired
        lowest = self._lowest_free()
        if lowest is not None:
            return lowest
        return self._oldest_reserved()

    def _lowest_free(self) -> int | None:
        while self._returned:
            id = heapq.heappop(self._returned)
            self._in_returned.remove(id)
            if self._is_free(id):
                return id
        while not self._is_free(self._untouched):
            self._untouched += 1
        if self._untouched >= self._max_engines:
            return None
        self._untouched += 1
        return self._untouched - 1

    def _oldest_reserved(self) -> int:
        oldest = next(iter(self._reserved), None)
        if oldest is None:
            raise TooManyEngines(
                f"all {self._max_engines} engine ids are taken: stop an engine, or start the hub "
                "with a larger --max-engines"
            )
        log.warning("no engine id is free: the reservation of id %d is given up", oldest)
        self._end_reservation(oldest)
        return oldest

    def _is_free(self, id: int) -> bool:
        return id not in self._live and id not in self._reserved

    def _end_reservation(self, id: int) -> None:
        del self._reserved_id_of[self._reserved.pop(id)]

    def _make_free(self, id: int) -> None:
        if id < self._untouched and id not in self._in_returned:
            heapq.heappush(self._returned, id)
            self._in_returned.add(id)
