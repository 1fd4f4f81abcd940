"""The scheduler: queued tasks meet engines with room.

Theory of operation
-------------------
Tasks wait in *places*, one for each set of needs that some task has, and one for those that need
nothing. An engine that has room is offered in each place of which it may take tasks; there a policy
says which of the engines on offer is next. It takes first what is next of all that it may take: so
a task that cannot run holds up none that can, and nothing is looked through.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice

from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.lines import Append, Shares, of_one_kind, oldest_first
from ctrlhub.controller.core.needs import ANYWHERE, Needs
from ctrlhub.controller.core.places import Place
from ctrlhub.controller.core.policies import LeastLoad, Policy
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.core.slots import MOST_AHEAD, Slot
from ctrlhub.controller.core.tasks import Task, TaskState


class Scheduler:
    """Places where tasks wait, a slot per engine, and policies between them.

    The cost of an event depends neither on how many tasks wait nor on how many engines there are;
    where tasks with needs come to a place that was empty, on how many engines fit.

    Parameters
    ----------
    policy
        Makes the policy of a place.
    append
        The order of the tasks of a client.
    """

    def __init__(
        self, policy: Callable[[], Policy] = LeastLoad, append: Append = oldest_first
    ) -> None:
        self._make_policy = policy
        self._append = append
        self._shares = Shares()
        self._anywhere = self._new_place(ANYWHERE)
        self._places: dict[Needs, Place] = {}  # the others, as long as something waits there
        self._offered: dict[Place, None] = {}  # those of them where engines may be on offer
        self._stranded: dict[Place, None] = {}  # and those that no engine fits
        self._slots: dict[int, Slot] = {}
        self.queued = 0
        """How many tasks wait for an engine."""
        self.crowded: dict[Slot, None] = {}
        """The slots that may have more than one task."""

    def _new_place(self, needs: Needs) -> Place:
        return Place(needs, self._make_policy(), self._shares, self._append)

    @property
    def dispatched(self) -> int:
        """How many tasks are with engines."""
        return sum(len(slot.tasks) for slot in self._slots.values())

    @property
    def running(self) -> int:
        """How many tasks run: each engine that has any runs one, and the others wait there."""
        return sum(1 for slot in self._slots.values() if slot.tasks)

    # ------------------------------------------------------------ engines

    def add_engine(self, engine: Engine) -> None:
        """Begin to use an engine."""
        slot = self._slots[engine.id] = Slot(engine)
        for place in self._places.values():
            if place.needs.fit(engine) and not engine.drains:
                self._join(place, slot)
        engine.on_available(self.offer)
        self.offer(engine)

    def remove_engine(self, number: int) -> list[Task]:
        """Stop using an engine; return the tasks it held, in the order they were given."""
        slot = self._slots.pop(number, None)
        if slot is None:
            return []
        self.crowded.pop(slot, None)
        self._leave_places(slot)
        return list(slot.tasks.values())

    def retire(self, engine: Engine) -> None:
        """Give nothing more to an engine; what it holds it ends, or gives back."""
        slot = self.slot_of(engine)
        if slot is not None:
            self._leave_places(slot)
            slot.places.clear()

    def _leave_places(self, slot: Slot) -> None:
        self._anywhere.policy.discard(slot)
        for place in slot.places:
            place.policy.discard(slot)
            del place.slots[slot]
            if not place.slots:
                self._stranded[place] = None

    def slot_of(self, engine: Engine) -> Slot | None:
        """Return the slot of an engine that is in use."""
        slot = self._slots.get(engine.id)
        return slot if slot is not None and slot.engine is engine else None

    def engine_of(self, number: int) -> Engine | None:
        """Return the engine in use that has an id."""
        slot = self._slots.get(number)
        return None if slot is None else slot.engine

    def slots(self) -> Iterable[Slot]:
        """Return the slots of all engines."""
        return self._slots.values()

    def idle(self) -> int:
        """Return how many engines have nothing to do, and could."""
        if not len(self._anywhere.policy):
            return 0
        return sum(not slot.tasks and slot.wants_more() for slot in self._slots.values())

    def tasks_of(self, number: int) -> list[Task]:
        """Return the tasks an engine holds, in the order they were given."""
        slot = self._slots.get(number)
        return list(slot.tasks.values()) if slot else []

    def first_of(self, number: int) -> tuple[int, str, float] | None:
        """Return the id and label of the first task that an engine holds, and since when it is that."""
        slot = self._slots.get(number)
        task = next(iter(slot.tasks.values()), None) if slot is not None else None
        return None if slot is None or task is None else (task.id, task.template.label, slot.since)

    def offer(self, engine: Engine) -> None:
        """Consider an engine that may have become available."""
        slot = self.slot_of(engine)
        if slot is not None and slot.wants_more():
            self._offer(slot)

    def _offer(self, slot: Slot) -> None:
        self._anywhere.policy.add(slot)
        for place in slot.places:
            place.policy.add(slot)
            self._offered[place] = None

    # ------------------------------------------------------------ tasks

    def adopt(self, engine: Engine, task: Task, now: float) -> None:
        """Take note that an engine has a task that nobody has given to it here."""
        slot = self._slots[engine.id]
        if not slot.tasks:
            slot.since = now
        slot.give(task)
        if len(slot.tasks) > 1:
            self.crowded[slot] = None

    def put_first(self, engine: Engine, ids: Iterable[int]) -> None:
        """Take note that an engine runs these before what it was given here, and in which order."""
        self._slots[engine.id].put_first(ids)

    def add(self, tasks: Sequence[Task]) -> None:
        """Queue tasks of one client with the same needs and priority, behind the others."""
        self.queued += len(tasks)
        needs = tasks[0].needs
        if needs is ANYWHERE:
            self._anywhere.add(tasks)
            return
        self._place(needs).add(tasks)

    def add_each(self, tasks: Iterable[Task]) -> None:
        """Queue any tasks, behind the others."""
        for run in of_one_kind(tasks):
            self.add(run)

    def add_first(self, tasks: Sequence[Task]) -> None:
        """Queue tasks that were taken back before the others, in their order."""
        self.queued += len(tasks)
        for task in reversed(tasks):
            self._place(task.needs).add_first(task)

    def _place(self, needs: Needs) -> Place:
        if needs == ANYWHERE:
            return self._anywhere
        place = self._places.get(needs)
        if place is None:
            place = self._places[needs] = self._new_place(needs)
            for slot in self._that_fit(needs):
                self._join(place, slot)
                if slot.wants_more():
                    place.policy.add(slot)
            self._offered[place] = None
            if not place.slots:
                self._stranded[place] = None
        return place

    def _that_fit(self, needs: Needs) -> list[Slot]:
        if needs.targets is None:
            candidates: Iterable[Slot | None] = self._slots.values()
        else:
            candidates = map(self._slots.get, sorted(needs.targets))
        return [
            slot
            for slot in candidates
            if slot is not None and needs.fit(slot.engine) and not slot.engine.drains
        ]

    def _join(self, place: Place, slot: Slot) -> None:
        place.slots[slot] = None
        slot.places[place] = None
        self._stranded.pop(place, None)

    def _drop(self, place: Place) -> None:
        """Forget a place where nothing waits."""
        place.clear()
        for slot in place.slots:
            del slot.places[place]
        del self._places[place.needs]
        self._offered.pop(place, None)
        self._stranded.pop(place, None)

    def cancelled(self, task: Task) -> None:
        """Note that a queued task ends; its state may still say that it is queued."""
        self.queued -= 1
        place = self._place(task.needs)
        place.cancelled(task)
        if not place.queued and place is not self._anywhere:
            self._drop(place)

    def left(self, engine: Engine, tasks: Sequence[Task], now: float) -> None:
        """Note that tasks have left an engine; it may get others."""
        slot = self.slot_of(engine)
        if slot is None:
            return
        for task in tasks:
            slot.take(task)
        slot.closed = slot.asked > 0
        slot.spent = False
        if tasks:
            slot.since = now
        if slot.wants_more():
            self._offer(slot)

    def take_out(self, session: Session) -> list[Task]:
        """Have nothing of a client queued; return what was."""
        found: list[Task] = []
        for place in (*self._places.values(), self._anywhere):
            found += place.take_out(session)
            if not place.queued and place is not self._anywhere:
                self._drop(place)
        self.queued -= len(found)
        return found

    def session_ended(self, session: Session) -> None:
        """Forget a client that is gone."""
        self._anywhere.forget(session)
        self._shares.forget(session)

    # ------------------------------------------------------------ what no engine fits

    def hopeless(self, may_come: Callable[[Needs], bool]) -> list[Task]:
        """Take out the tasks that no engine fits; with no engines they may wait.

        Parameters
        ----------
        may_come
            Says whether an engine that fits is expected; then the tasks stay.
        """
        if not self.stranded:
            return []
        found: list[Task] = []
        for place in [p for p in self._stranded if not may_come(p.needs)]:
            found += place
            self.queued -= place.queued
            self._drop(place)
        return found

    @property
    def stranded(self) -> bool:
        """Whether there are tasks that no engine fits, and engines that stay."""
        return bool(self._stranded) and any(not s.engine.drains for s in self._slots.values())

    def why_nobody(self, needs: Needs) -> str:
        """Say why no engine fits."""
        engines = [slot.engine for slot in self._slots.values()]
        leaving = [str(engine.id) for engine in engines if engine.drains and needs.fit(engine)]
        if leaving:
            return f"the only engines that may run it are draining, and take nothing new: {', '.join(leaving)}"
        return needs.why_nobody(engines)

    def that_fit(self, needs: Needs) -> list[Slot]:
        """Return the slots of the engines that may run a task."""
        return self._that_fit(needs)

    # ------------------------------------------------------------ tasks meet engines

    def assign(self, now: float) -> list[tuple[Engine, list[Task]]]:
        """Give queued tasks to engines with room; return who gets what.

        No engine gets more than its share of what is queued, so that a small job spreads.
        """
        given: dict[Slot, list[Task]] = {}
        while self._offered:
            place = self._offered.popitem()[0]
            self._assign(place, given, now)
        self._assign(self._anywhere, given, now)
        return [(slot.engine, batch) for slot, batch in given.items()]

    def _assign(self, place: Place, given: dict[Slot, list[Task]], now: float) -> None:
        policy = place.policy
        while place.queued and len(policy):
            share = -(-place.queued // len(policy))
            slot = policy.next()
            if slot is None:
                break
            if not slot.wants_more():
                continue
            if not slot.tasks:
                slot.since = now
            batch = self._fill(slot, min(share, MOST_AHEAD))
            if batch:
                if len(slot.tasks) > 1:
                    self.crowded[slot] = None
                given.setdefault(slot, []).extend(batch)
                if slot.wants_more():
                    self._offer(slot)

    def _fill(self, slot: Slot, most: int) -> list[Task]:
        batch: list[Task] = []
        if not slot.places:
            self._anywhere.give(slot, batch, most)
        while slot.places and len(batch) < most:
            place = self._best(slot)
            has_room = place.give(slot, batch, len(batch) + 1)
            if not place.queued and place is not self._anywhere:
                self._drop(place)
            if not has_room or not (slot.places or self._anywhere.queued):
                break
        self.queued -= len(batch)
        return batch

    def _best(self, slot: Slot) -> Place:
        """Return the place whose first task is next of all that an engine may take."""
        places = slot.places if not self._anywhere.queued else (*slot.places, self._anywhere)
        return min(places, key=Place.key)

    def waiting(self, most: int) -> list[Task]:
        """Return the first of the tasks that wait for an engine."""
        return list(islice(chain(*self._places.values(), self._anywhere), most))

    def depths(self, most: int) -> tuple[Counter[tuple[Session, int]], float | None]:
        """Return how many tasks wait, by client and priority, and when the oldest came (None: none).

        At most `most` lines are looked at, of one client in one place each.
        """
        depths: Counter[tuple[Session, int]] = Counter()
        oldest = []
        places = (self._anywhere, *self._places.values())
        for session, line in islice(chain.from_iterable(p.lines() for p in places), most):
            for priority, queued in line.depths():
                depths[session, priority] += queued
            came = line.oldest()
            if came is not None:
                oldest.append(came)
        return depths, min(oldest, default=None)

    def check(self) -> None:
        """Assert that counts and slots agree with the tasks."""
        places = (*self._places.values(), self._anywhere)
        assert self.queued == sum(place.queued for place in places)
        tasks = [task for place in places for task in place]
        assert len(set(tasks)) == len(tasks)
        assert all(task.state is TaskState.QUEUED for task in tasks)
        for needs, place in self._places.items():
            assert place.queued
            assert place.needs == needs
            assert set(place.slots) == set(self._that_fit(needs))
            assert (place in self._stranded) == (not place.slots)
            assert all(place in slot.places for slot in place.slots)
        for place in places:
            place.check()
        for slot in self._slots.values():
            slot.check()
            assert len(slot.tasks) < 2 or slot in self.crowded
            assert all(slot in place.slots for place in slot.places)
