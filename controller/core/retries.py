"""Retries: whether a task that raised is run again."""

from __future__ import annotations

from ctrlhub.controller.core.tasks import Task
from ctrlhub.wire.failure import unpack_failure
from ctrlhub.wire.messages import Payload


def is_run_again(task: Task, failure: Payload) -> bool:
    """Tell whether a task that ended with a failure is run again.

    One that was interrupted is not: whoever did that wanted it to end.
    """
    if task.failures >= task.template.retries or task.stopping:
        return False
    data = failure if isinstance(failure, bytes) else b"".join(map(bytes, failure))
    return unpack_failure(data).ename != KeyboardInterrupt.__name__
