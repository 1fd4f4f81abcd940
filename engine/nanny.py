"""The nanny: one process per node. Starts that node's engines, sees them die, and speaks for them."""

from __future__ import annotations

import os

from ctrlhub.engine.config import NannyConfig
from ctrlhub.engine.warm import WarmProcess


def run(config: NannyConfig, lifeline: int | None = None) -> int:
    """Be a nanny, and return the process's exit code.

    Parameters
    ----------
    config
        What to do.
    lifeline
        A descriptor whose end of file means that whoever wanted this nanny is gone.

    Raises
    ------
    RuntimeError
        This process has several threads: engines could not be forked safely.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = config.max_threads or max(1, (cores or 1) // config.engines)
    # First of all, since what follows makes threads; and both import at the same time.
    warm = WarmProcess.fork(config.engines, threads)
    from ctrlhub.engine.minding import Nanny

    return int(Nanny(config, warm, lifeline).run())
