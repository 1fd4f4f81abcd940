"""A state directory of a test's own, and nothing that outlives it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.processes import STATE_VARIABLE, kill_all, processes_with, until


@contextmanager
def own_state(directory: Path) -> Iterator[Path]:
    """Keep all state in a directory; fail if a process is left when it is over."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(STATE_VARIABLE, str(directory))
        try:
            yield directory
            until(lambda: not processes_with(directory), f"nothing left of {directory}")
        except BaseException:
            kill_all(directory)
            raise
