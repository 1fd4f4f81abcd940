"""Losses: what becomes of the tasks of an engine that is gone, and what is said of its commands.

The task that was running there is charged: a task that kills engines must not kill them all. Those
that had not begun go back as if nothing had happened. Where nobody can say what ran, the first is
charged: an engine runs its tasks in the order in which it was given them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum

from ctrlhub.controller.core.commands import CommandRecord
from ctrlhub.controller.core.deaths import Death, Deaths
from ctrlhub.controller.core.engines import NOTHING, UNKNOWN, Engine
from ctrlhub.controller.core.tasks import Task


class Fate(Enum):
    """What becomes of a task whose engine is gone."""

    RUN_AGAIN = "run again"
    CANCELLED = "cancelled"
    GIVEN_UP = "given up"


def fates(engine: Engine, tasks: Sequence[Task], deaths: Deaths) -> Iterator[tuple[Task, Fate]]:
    """Charge the loss of an engine to whom it may concern; yield what becomes of each task."""
    blamed = tasks[0].id if tasks and engine.blamed == UNKNOWN else engine.blamed
    for task in tasks:
        if task.id == blamed:
            deaths.charge(task, Death.of(engine, task.id))
        if task.stopping:
            yield task, Fate.CANCELLED
        elif task.losses > task.template.engine_retries:
            yield task, Fate.GIVEN_UP
        else:
            yield task, Fate.RUN_AGAIN


def command_story(engine: Engine, command: CommandRecord, running: CommandRecord | None) -> str:
    """Say why a command fails whose engine is gone, and whose fault that is, if anybody's."""
    cause = engine.end_of(command.id) or "it was unregistered"
    if engine.blamed == command.id:
        return f"engine {engine.id} died while it ran this ({command.action}): {cause}"
    if engine.blamed in (NOTHING, UNKNOWN):
        return f"engine {engine.id} is gone: {cause}"
    culprit = "a task"
    if running is not None and running.id == engine.blamed:
        culprit = f"a command of client {running.session.number} ({running.action})"
    return f"engine {engine.id} died before this ({command.action}), while it ran {culprit}: {cause}"


def draining_story(engine: Engine) -> str:
    """Say why a command fails whose engine is to leave, and had not begun it."""
    return (
        f"engine {engine.id} is draining ({engine.drain_reason}): it ends what it runs, begins nothing "
        "new, and leaves; name another engine"
    )
