"""Losses: who is charged when an engine is gone."""

from __future__ import annotations

import pytest

from ctrlhub.controller.core.deaths import Death, Deaths
from ctrlhub.controller.core.effects import Outbox
from ctrlhub.controller.core.engines import NOTHING, UNKNOWN
from ctrlhub.controller.core.losses import Fate, fates
from tests.support.records import a_template, an_engine, some_tasks


@pytest.mark.parametrize(
    ("blamed", "losses"),
    [(UNKNOWN, [1, 0, 0]), (2, [0, 1, 0]), (NOTHING, [0, 0, 0]), (99, [0, 0, 0])],
)
def test_one_is_charged_at_most(blamed: int, losses: list[int]) -> None:
    """The blamed one, or the first where nobody can say, or none."""
    engine, tasks = an_engine(), some_tasks(3)
    engine.blamed = blamed
    assert [fate for _, fate in fates(engine, tasks, Deaths(Outbox()))] == [Fate.RUN_AGAIN] * 3
    assert [task.losses for task in tasks] == losses


def test_a_task_is_given_up_after_its_retries() -> None:
    """`engine_retries` losses are borne, one more is not; none, where none are allowed."""
    for allowed in (0, 1, 3):
        engine, [task] = an_engine(), some_tasks(1, a_template(engine_retries=allowed))
        deaths = Deaths(Outbox())
        seen = [fate for _ in range(allowed + 1) for _, fate in fates(engine, [task], deaths)]
        assert seen == [Fate.RUN_AGAIN] * allowed + [Fate.GIVEN_UP]


def test_what_nobody_wants_is_not_run_again() -> None:
    """Also when it would be given up."""
    engine, [task] = an_engine(), some_tasks(1, a_template(engine_retries=0))
    task.stopping = True
    assert [fate for _, fate in fates(engine, [task], Deaths(Outbox()))] == [Fate.CANCELLED]


def test_an_engine_without_tasks() -> None:
    """Its end concerns nobody."""
    assert list(fates(an_engine(), [], Deaths(Outbox()))) == []


@pytest.mark.parametrize(
    ("losses", "word"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (22, "22nd")]
)
def test_the_story(losses: int, word: str) -> None:
    """Names the engine, how often it happened, and the cause."""
    engine, [task], deaths = an_engine(7), some_tasks(1), Deaths(Outbox())
    engine.cause = "signal SIGSEGV"
    death = Death.of(engine, task.id)
    for _ in range(losses):
        deaths.charge(task, death)
    text = deaths.story(task.id, death).partition("\n")[0]
    assert f"engine 7 was lost while it ran this task, the {word} to be: signal SIGSEGV" == text


def test_the_story_of_each_death() -> None:
    """The last one in full, of those before it the cause, the first first."""
    [task], deaths = some_tasks(1, a_template(engine_retries=2)), Deaths(Outbox())
    for number in range(3):
        engine = an_engine(number)
        engine.cause = f"signal {number}\nits last words:\nword {number}"
        [(_, fate)] = fates(engine, [task], deaths)
    assert fate is Fate.GIVEN_UP
    assert deaths.story(task.id, Death.of(engine, task.id)).splitlines() == [
        "engine 2 was lost while it ran this task, the 3rd to be: signal 2", "its last words:", "word 2",
        "before that, engine 0: signal 0", "before that, engine 1: signal 1",
    ]  # fmt: skip


def test_a_process_is_charged_once_however_often_its_nanny_tells() -> None:
    """To a task that is here, or one that is to come; of others nothing is kept."""
    outbox = Outbox()
    deaths, [task, late] = Deaths(outbox), some_tasks(2)
    engine = an_engine(3)
    engine.blamed, engine.cause = task.id, "signal 9"
    death = Death.of(engine, task.id)
    assert list(fates(engine, [task], deaths)) == [(task, Fate.RUN_AGAIN)]
    assert not deaths.charge_once(task, death)
    assert deaths.charge_once(task, Death(b"another", -1, "signal 11"))
    assert task.losses == 2
    told = Death(b"third", -1, "signal 6\nlast words")
    deaths.expect(late.id, told)
    deaths.expect(late.id, told)
    assert deaths.some_are_early
    assert deaths.take_early(task) is None
    assert deaths.take_early(late) == told
    assert not deaths.some_are_early
    assert late.losses == deaths.count(late.id) == 1
    assert deaths.story(late.id, told).startswith("an engine was lost while it ran this task, the 1st")
    again = Deaths(outbox)
    kept = {f"deaths/{task.id}": [[b"another", "an engine: signal 11"]]}
    again.take_back(kept)
    assert not again.charge_once(task, Death(b"another", -1, "signal 11"))
