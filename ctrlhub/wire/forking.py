"""What a fork's copy does first, where there are forks."""

from __future__ import annotations

import os
from collections.abc import Callable


def in_forks(call: Callable[[], object]) -> None:
    """Have something called in each copy of this process that a fork makes, before all else."""
    register = getattr(os, "register_at_fork", None)
    if register is not None:
        register(after_in_child=call)
