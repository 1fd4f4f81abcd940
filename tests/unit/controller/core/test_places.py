"""Places and lines: priorities, needs, and clients that share."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.functions import Function
from ctrlhub.controller.core.lines import newest_first
from ctrlhub.controller.core.needs import ANYWHERE, Needs
from ctrlhub.controller.core.scheduler import Scheduler
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.core.tasks import Task, TaskState
from ctrlhub.wire.options import TaskOptions
from tests.support.records import a_session, a_template, an_engine


def engines_of(*resources: dict[str, float]) -> list[Engine]:
    """Return engines that have these resources."""
    engines = [an_engine(number) for number in range(len(resources))]
    for engine, having in zip(engines, resources, strict=True):
        engine.resources = having
    return engines


def scheduler_of(engines: list[Engine], **options: Any) -> Scheduler:
    """Return a scheduler that uses engines."""
    scheduler = Scheduler(**options)
    for engine in engines:
        scheduler.add_engine(engine)
    return scheduler


def a_task(
    number: int, session: Session, needs: Needs = ANYWHERE, priority: int = 0, seen: float = 0.0
) -> Task:
    """Return a queued task; its function was seen to take so long, if it was seen."""
    function = Function(b"f", b"")
    if seen:
        function.took(seen, 1000)
    options = TaskOptions(priority=priority)
    template = replace(a_template(function), options=options, needs=needs)
    return Task(number, session, template, b"")


def given_by(scheduler: Scheduler) -> dict[int, list[int]]:
    """Assign; return who gets what."""
    found = {engine.id: [task.id for task in batch] for engine, batch in scheduler.assign(0.0)}
    scheduler.check()
    return found


def run_out(scheduler: Scheduler, engines: list[Engine]) -> list[int]:
    """Run one task after the other until there are none; return their order."""
    order = []
    while given := scheduler.assign(0.0):
        scheduler.check()
        for engine, batch in given:
            for task in batch:
                order.append(task.id)
                task.finish()
            scheduler.left(engine, batch, 0.0)
    return order


# ---------------------------------------------------------------- needs


def test_what_cannot_run_holds_up_nothing() -> None:
    """A thousand tasks for a busy engine, and one behind them for any."""
    gpu, plain = engines_of({"gpu": 1}, {})
    scheduler, session = scheduler_of([gpu, plain]), a_session()
    needs = Needs(resources=(("gpu", 1),))
    scheduler.add([a_task(n, session, needs) for n in range(1000)])
    assert given_by(scheduler) == {0: [0]}
    scheduler.add([a_task(2000, session)])
    assert given_by(scheduler) == {1: [2000]}


def test_an_engine_takes_what_came_first_of_all_that_it_may() -> None:
    """Among places, too."""
    [engine] = engines_of({"gpu": 1})
    scheduler, session = scheduler_of([engine]), a_session()
    gpu, here = Needs(resources=(("gpu", 1),)), Needs(frozenset({0}))
    for number in range(9):
        scheduler.add([a_task(number, session, (ANYWHERE, gpu, here)[number % 3])])
    assert run_out(scheduler, [engine]) == list(range(9))
    assert not scheduler._places


def test_an_engine_that_comes_gets_what_waits_for_it() -> None:
    """A place that no engine fitted is stranded until then."""
    scheduler, session = scheduler_of(engines_of({})), a_session()
    scheduler.add([a_task(1, session, Needs(frozenset({7})))])
    assert given_by(scheduler) == {}
    assert scheduler.stranded
    scheduler.add_engine(an_engine(7))
    assert not scheduler.stranded
    assert given_by(scheduler) == {7: [1]}


def test_it_is_said_what_no_engine_has() -> None:
    """Targets and resources by name."""
    scheduler = scheduler_of(engines_of({"gpu": 1}, {}))
    assert "none of its targets is here (engines: 7)" in scheduler.why_nobody(Needs(frozenset({7})))
    apart = Needs().within(frozenset())
    assert scheduler.why_nobody(apart).startswith("no engine that it may run on has run")
    assert scheduler.why_nobody(Needs().within(frozenset({7}))).endswith("none of these engines is here: 7")
    assert "(gpu=2)" in scheduler.why_nobody(Needs(resources=(("gpu", 2),)))
    assert "(gpu=1)" in scheduler.why_nobody(Needs(frozenset({1}), (("gpu", 1),)))


@given(st.data())
def test_every_task_runs_where_it_may_and_none_is_left(data: st.DataObject) -> None:
    """Any needs, cancellations and losses: what is queued at the end fits no engine."""
    engines = engines_of({"gpu": 1}, {}, {"gpu": 2})
    scheduler, sessions = scheduler_of(engines), [a_session(), a_session()]
    needs = st.builds(
        Needs,
        st.none() | st.frozensets(st.integers(0, 3), min_size=1),
        st.sampled_from([(), (("gpu", 1),), (("gpu", 2),)]),
    )
    alive, held, queued = dict(enumerate(engines)), {}, {}
    for number in range(data.draw(st.integers(1, 30))):
        step = data.draw(st.sampled_from(["add", "add", "end", "cancel", "lose"]))
        if step == "add":
            session = data.draw(st.sampled_from(sessions))
            task = a_task(
                number, session, data.draw(needs | st.just(ANYWHERE)), data.draw(st.integers(-1, 1))
            )
            queued[number] = task
            scheduler.add([task])
        elif step == "cancel" and queued:
            task = queued.pop(data.draw(st.sampled_from(sorted(queued))))
            scheduler.cancelled(task)
            task.finish()
        elif step == "end" and held:
            task = held.pop(data.draw(st.sampled_from(sorted(held))))
            engine = task.engine
            assert engine is not None
            task.finish()
            scheduler.left(engine, [task], 0.0)
        elif step == "lose" and len(alive) > 1:
            gone = data.draw(st.sampled_from(sorted(alive)))
            del alive[gone]
            tasks = scheduler.remove_engine(gone)
            for task in tasks:
                task.requeue()
                queued[task.id] = held.pop(task.id)
            scheduler.add_first(tasks)
        for engine, batch in scheduler.assign(0.0):
            for task in batch:
                assert task.needs.fit(engine)
                held[task.id] = queued.pop(task.id)
        scheduler.check()
        assert scheduler.queued == len(queued)
    idle = [engine for engine in alive.values() if not engine.tasks]
    assert not any(task.needs.fit(engine) for task in queued.values() for engine in idle)


# ---------------------------------------------------------------- order


def test_the_higher_priority_goes_first() -> None:
    """Among equals, what came first; also of what is taken back."""
    [engine] = engines_of({})
    scheduler, session = scheduler_of([engine]), a_session()
    for number, priority in enumerate([0, 5, -3, 5, 0]):
        scheduler.add([a_task(number, session, priority=priority)])
    assert run_out(scheduler, [engine]) == [1, 3, 0, 4, 2]


def test_the_order_may_be_turned_round() -> None:
    """Last in, first out."""
    [engine] = engines_of({})
    scheduler, session = scheduler_of([engine], append=newest_first), a_session()
    scheduler.add([a_task(number, session) for number in range(3)])
    scheduler.add([a_task(3, session)])
    assert run_out(scheduler, [engine]) == [3, 2, 1, 0]


# ---------------------------------------------------------------- shares


def served(scheduler: Scheduler, engines: list[Engine], rounds: int) -> Counter[Session]:
    """Run so many rounds; return how many tasks of whom have run."""
    counts: Counter[Session] = Counter()
    for _ in range(rounds):
        for engine, batch in scheduler.assign(0.0):
            counts.update(task.session for task in batch)
            for task in batch:
                task.finish()
            scheduler.left(engine, batch, 0.0)
    scheduler.check()
    return counts


def test_clients_share_evenly() -> None:
    """However many tasks each has queued, and whenever it came."""
    engines = engines_of({}, {})
    scheduler = scheduler_of(engines)
    clients = [a_session() for _ in range(4)]
    first = iter(range(10**9))
    for client, count in zip(clients, (40_000, 10_000, 10_000, 10_000), strict=True):
        scheduler.add([a_task(next(first), client, seen=1e-5) for _ in range(count)])
    counts = served(scheduler, engines, 15)
    assert min(counts[client] for client in clients) >= 0.2 * sum(counts.values())


def test_a_client_with_long_tasks_gets_no_more_time() -> None:
    """What is shared is the engines' time."""
    engines = engines_of({})
    scheduler, long, short = scheduler_of(engines), a_session(), a_session()
    scheduler.add([a_task(n, long, seen=0.1) for n in range(1000)])
    scheduler.add([a_task(1000 + n, short, seen=0.001) for n in range(9000)])
    counts = served(scheduler, engines, 400)
    assert 0.5 < counts[long] * 0.1 / (counts[short] * 0.001) < 2


def test_a_client_that_comes_late_has_no_claim_on_the_past() -> None:
    """It shares from then on."""
    engines = engines_of({})
    scheduler, old, new = scheduler_of(engines), a_session(), a_session()
    scheduler.add([a_task(n, old, seen=0.01) for n in range(1000)])
    served(scheduler, engines, 300)
    scheduler.add([a_task(2000 + n, new, seen=0.01) for n in range(500)])
    counts = served(scheduler, engines, 100)
    assert 0.5 < counts[old] / counts[new] < 2


def test_priorities_are_no_way_to_take_more_than_ones_share() -> None:
    """They order the tasks of their client."""
    engines = engines_of({})
    scheduler, modest, loud = scheduler_of(engines), a_session(), a_session()
    scheduler.add([a_task(n, loud, priority=99, seen=0.01) for n in range(500)])
    scheduler.add([a_task(1000 + n, modest, seen=0.01) for n in range(500)])
    counts = served(scheduler, engines, 100)
    assert 0.5 < counts[modest] / counts[loud] < 2


def test_clients_that_are_gone_are_forgotten() -> None:
    """Whatever they had been served."""
    engines = engines_of({})
    scheduler = scheduler_of(engines)
    for _ in range(50):
        session = a_session()
        scheduler.add([a_task(n, session, seen=0.001) for n in range(3)])
        served(scheduler, engines, 5)
        session.ended = True
        scheduler.session_ended(session)
    assert len(scheduler._shares._by_session) == 0
    assert all(t.state is not TaskState.QUEUED for t in scheduler.waiting(9))
