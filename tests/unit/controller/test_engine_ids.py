"""Engine ids, held against a model that looks at every id each time."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ctrlhub.controller.engine_ids import EngineIds
from ctrlhub.wire.errors import RegistrationRefused, TooManyEngines

MAX_ENGINES = 5
KEYS = st.sampled_from([f"engine-{letter}" for letter in "abcdefgh"])
DESIRED = st.none() | st.integers(min_value=-1, max_value=MAX_ENGINES + 1)
IDS = st.integers(min_value=-1, max_value=MAX_ENGINES)


class Ids(RuleBasedStateMachine):
    """`EngineIds` beside its model: plain dicts, and a search through all ids."""

    save_ids = False

    def __init__(self) -> None:
        super().__init__()
        self.ids = EngineIds(MAX_ENGINES, self.save_ids)
        self.live: dict[int, str] = {}
        self.reserved: dict[int, str] = {}  # the oldest first
        self.released: set[int] = set()

    def free(self) -> list[int]:
        """Ids that nobody has and that are kept for nobody, the lowest first."""
        return [id for id in range(MAX_ENGINES) if id not in self.live | self.reserved]

    def expected(self, key: str, desired: int | None) -> int | None:
        """The id that an engine must get, or None if there is no room."""
        own = [id for id, owner in self.reserved.items() if owner == key]
        asked = [desired] if desired in self.free() else []
        for choice in (own, asked, self.free(), list(self.reserved)):
            if choice:
                return choice[0]
        return None

    @rule(key=KEYS, desired=DESIRED)
    def take(self, key: str, desired: int | None) -> None:
        """An engine comes."""
        if self.save_ids and key in self.live.values():
            with pytest.raises(RegistrationRefused):
                self.ids.take(key, desired)
            return
        expected = self.expected(key, desired)
        if expected is None:
            with pytest.raises(TooManyEngines):
                self.ids.take(key, desired)
            return
        assert self.ids.take(key, desired) == expected
        assert expected not in self.live
        self.reserved.pop(expected, None)
        self.live[expected] = key

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        """An engine goes."""
        id = data.draw(st.sampled_from(sorted(self.live)))
        self.ids.give_back(id)
        key = self.live.pop(id)
        if self.save_ids and id not in self.released:
            self.reserved[id] = key
        self.released.discard(id)

    @rule(key=KEYS, id=IDS)
    def demand(self, key: str, id: int) -> None:
        """An engine comes that takes no other id."""
        if not 0 <= id < MAX_ENGINES or id in self.live:
            with pytest.raises(RegistrationRefused):
                self.ids.demand(id, key)
            return
        self.ids.demand(id, key)
        if self.save_ids and key not in self.live.values() and self.reserved.get(id) != key:
            self.reserved = {i: owner for i, owner in self.reserved.items() if owner != key and i != id}
            self.reserved[id] = key
        if key not in self.live.values():
            assert self.ids.take(key, id) == id
            self.reserved.pop(id, None)
            self.live[id] = key

    @rule(id=IDS)
    def release(self, id: int) -> None:
        """An engine was stopped on purpose."""
        kept = id in self.reserved or (self.save_ids and id in self.live)
        assert self.ids.release(id) is kept
        if self.reserved.pop(id, None) is None and kept:
            self.released.add(id)

    @invariant()
    def bounded(self) -> None:
        """What is remembered of returned ids does not grow with time."""
        assert len(self.ids._returned) <= MAX_ENGINES


class SavedIds(Ids):
    """The same, with reservations."""

    save_ids = True


TestIds = Ids.TestCase
TestSavedIds = SavedIds.TestCase
