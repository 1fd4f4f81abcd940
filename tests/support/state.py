"""A state directory of a test's own, and nothing that outlives it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ctrlhub.wire.places import Profile
from ctrlhub.wire.security import KEY_ROLES
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


def hub_listens(profile: Profile) -> None:
    """Wait until a hub that was started has written the connection files of all roles, one after the other."""
    until(lambda: all(profile.connection(role).exists() for role in KEY_ROLES), "the hub listens")
