"""The life of a task: legal steps, and no others."""

from __future__ import annotations

import itertools

import pytest

from ctrlhub.controller.core.history import GONE, LARGEST_ARGUMENTS
from ctrlhub.controller.core.tasks import TRANSITIONS, IllegalStep, Step, Task, TaskState
from tests.support.records import an_engine, some_tasks


def in_state(state: TaskState) -> Task:
    """Return a task that got there by legal steps."""
    [task] = some_tasks(1)
    if state is TaskState.WAITING:
        task.wait()
        return task
    if state is not TaskState.QUEUED:
        task.dispatch(an_engine())
    if state is TaskState.ENDED:
        task.finish()
    return task


def take(task: Task, step: Step) -> None:
    """Take a step."""
    if step is Step.DISPATCH:
        task.dispatch(an_engine())
    elif step is Step.REQUEUE:
        task.requeue()
    elif step is Step.RELEASE:
        task.release()
    else:
        task.finish()


@pytest.mark.parametrize(("state", "step"), [*itertools.product(TaskState, Step)])
def test_the_table_says_all(state: TaskState, step: Step) -> None:
    """A step in the table leads where it says; any other raises and changes nothing."""
    task = in_state(state)
    following = TRANSITIONS[step].get(state)
    if following is None:
        with pytest.raises(IllegalStep, match=f"{step.name.lower()} of <Task 1 "):
            take(task, step)
        assert task.state is state
    else:
        take(task, step)
        assert task.state is following


def test_a_requeue_fences_the_attempt() -> None:
    """Whatever an engine has of the former attempt does not count any more."""
    task = in_state(TaskState.DISPATCHED)
    task.requeue()
    assert (task.attempt, task.engine) == (1, None)


def test_an_ended_task_holds_no_bulk_data() -> None:
    """Its arguments stay for a resubmission, unless they are large; its engine does not."""
    task = in_state(TaskState.ENDED)
    assert (task.payload, task.engine) == (b"arguments", None)
    task = in_state(TaskState.QUEUED)
    task.payload = (bytes(LARGEST_ARGUMENTS), b"more")
    task.finish()
    assert task.payload == GONE


def test_the_story_is_told() -> None:
    """Text for a log: where, which attempt, what went wrong."""
    task = in_state(TaskState.DISPATCHED)
    task.losses, task.failures = 2, 1
    assert repr(task) == "<Task 1 dispatched on engine 0, attempt 0, 2 engines lost, 1 exceptions>"
