"""Tasks that engines decline: each goes to one that has not, and to no engine twice."""

from __future__ import annotations

from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.needs import Needs
from ctrlhub.controller.core.scheduler import Scheduler
from ctrlhub.controller.core.tasks import Task
from tests.support.records import an_engine, some_tasks


def no_hope(needs: Needs) -> bool:
    """Expect no engine."""
    return False


def declined_by(scheduler: Scheduler, task: Task, engine: Engine) -> None:
    """Let an engine decline the task it has."""
    task.requeue()
    task.needs = task.needs.without(engine)
    scheduler.left(engine, [task], 0.0)
    scheduler.add([task])
    scheduler.check()


def given(scheduler: Scheduler) -> dict[int, list[int]]:
    """Assign; return the ids that each engine got."""
    found = {engine.id: [task.id for task in batch] for engine, batch in scheduler.assign(0.0)}
    scheduler.check()
    return found


def with_engines(count: int) -> tuple[Scheduler, list[Engine]]:
    """Return a scheduler that uses so many engines."""
    scheduler = Scheduler()
    engines = [an_engine(number) for number in range(count)]
    for engine in engines:
        scheduler.add_engine(engine)
    return scheduler, engines


def test_each_engine_is_asked_once() -> None:
    """Then there is no hope, which is told once."""
    scheduler, engines = with_engines(3)
    [task] = some_tasks(1)
    scheduler.add([task])
    for number in range(3):
        assert scheduler.hopeless(no_hope) == []
        assert given(scheduler) == {number: [1]}
        declined_by(scheduler, task, engines[number])
    assert given(scheduler) == {}
    assert scheduler.hopeless(no_hope) == [task]
    assert scheduler.hopeless(no_hope) == []
    assert scheduler.queued == 0


def test_others_do_not_wait_behind_it() -> None:
    """The engine that declined a task goes on with the next, also one that comes later."""
    scheduler, [fit, unfit] = with_engines(2)
    tasks = some_tasks(3)
    scheduler.add(tasks[:2])
    assert given(scheduler) == {0: [1], 1: [2]}
    declined_by(scheduler, tasks[1], unfit)
    assert given(scheduler) == {}, "the other engine is busy, and this one will not"
    scheduler.add(tasks[2:])
    assert given(scheduler) == {1: [3]}
    tasks[0].finish()
    scheduler.left(fit, [tasks[0]], 0.0)
    assert given(scheduler) == {0: [2]}


def test_a_new_engine_may_try() -> None:
    """Also one with the id of an engine that declined: it is another process."""
    scheduler, [former] = with_engines(1)
    [task] = some_tasks(1)
    scheduler.add([task])
    given(scheduler)
    declined_by(scheduler, task, former)
    scheduler.remove_engine(0)
    assert scheduler.hopeless(no_hope) == [], "with no engine there is hope for one"
    scheduler.add_engine(an_engine(0))
    assert given(scheduler) == {0: [1]}


def test_a_loss_may_leave_no_hope() -> None:
    """When the only engine that had not declined is gone."""
    scheduler, engines = with_engines(2)
    [task] = some_tasks(1)
    scheduler.add([task])
    given(scheduler)
    declined_by(scheduler, task, engines[0])
    assert scheduler.hopeless(no_hope) == []
    scheduler.remove_engine(1)
    assert scheduler.hopeless(no_hope) == [task]


def test_a_cancelled_one_is_taken_out() -> None:
    """No engine gets it."""
    scheduler, engines = with_engines(2)
    [task] = some_tasks(1)
    scheduler.add([task])
    given(scheduler)
    declined_by(scheduler, task, engines[0])
    scheduler.cancelled(task)
    task.finish()
    assert given(scheduler) == {}
    assert scheduler.queued == 0


def test_taken_back_first() -> None:
    """What an engine had is taken back before what waits, declined or not, in its order."""
    scheduler, [engine] = with_engines(1)
    other = an_engine(1)
    tasks = some_tasks(4)
    scheduler.add(tasks[3:])
    for task in tasks[:3]:
        task.needs = task.needs.without(other)
    scheduler.add_first(tasks[:3])
    order = []
    for _ in tasks:
        [[number]] = given(scheduler).values()
        order.append(number)
        task = tasks[number - 1]
        task.finish()
        scheduler.left(engine, [task], 0.0)
    assert order == [1, 2, 3, 4]
    scheduler.add_engine(other)
    assert given(scheduler) == {}


def test_while_one_is_expected_there_is_hope() -> None:
    """An engine that is restarted may meet what its former process did not."""
    scheduler, [engine] = with_engines(1)
    [task] = some_tasks(1)
    scheduler.add([task])
    given(scheduler)
    declined_by(scheduler, task, engine)
    assert scheduler.hopeless(lambda needs: True) == []
    assert scheduler.stranded
    assert scheduler.hopeless(no_hope) == [task]
    assert not scheduler.stranded
