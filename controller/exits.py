"""How a hub's process ends: its exit codes, and what they mean to who would start another."""

from __future__ import annotations

import signal

from ctrlhub.wire.errors import StoreError
from ctrlhub.wire.trouble import may_pass

EXIT_OK = 0
EXIT_USAGE = 2
EXIT_ALREADY_RUNNING = 4
EXIT_START_FAILED = 5
EXIT_AWAY = 79
"""It could not start for a reason that may pass: its disk is full, say."""
EXIT_UNUSABLE = 80
"""Its store cannot be used, and no other hub could: it is damaged, say."""
EXIT_PAUSED = 128 + signal.SIGTERM
"""Another hub is to take this one's place."""


def exit_of(error: Exception) -> int:
    """Return the exit code of a hub that cannot start."""
    if isinstance(error, StoreError):
        from ctrlhub.controller.stores.passing import store_may_pass

        return EXIT_AWAY if store_may_pass(error) else EXIT_UNUSABLE
    if isinstance(error, ValueError):
        return EXIT_USAGE
    return EXIT_AWAY if may_pass(error) else EXIT_START_FAILED
