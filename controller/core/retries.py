"""Retries: whether a task that raised is run again."""

from __future__ import annotations

from ctrlhub.controller.core.tasks import Task
from ctrlhub.wire.failure import failure_of
from ctrlhub.wire.messages import Payload


def is_run_again(task: Task, failure: Payload) -> bool:
    """Tell whether a task that ended with a failure is run again.

    One that was interrupted is not: whoever did that wanted it to end.
    """
    if task.failures >= task.template.retries or task.stopping:
        return False
    return failure_of(failure).ename != KeyboardInterrupt.__name__
