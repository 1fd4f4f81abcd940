"""What becomes of tasks that nobody waits for."""

from __future__ import annotations

import logging
from asyncio import Task

log = logging.getLogger(__name__)


def log_failure(task: Task[None]) -> None:
    """Log why a task has failed, if it has: to be called when it is done."""
    if not task.cancelled() and task.exception() is not None:
        about = task.get_coro()
        log.error("%s has failed", getattr(about, "__qualname__", about), exc_info=task.exception())
