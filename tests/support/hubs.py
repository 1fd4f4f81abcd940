"""The hub of a cluster as its clients see it: which process it is, and the end of that."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from tests.support.processes import is_alive, until

if TYPE_CHECKING:
    from ctrlhub import Client


def hub_of(client: Client) -> int:
    """Return the hub's process."""
    pid: int = client.status()["hub"]["pid"]
    return pid


def end_hub(client: Client, number: signal.Signals = signal.SIGKILL) -> int:
    """Have the hub end; return the process that it was."""
    pid = hub_of(client)
    os.kill(pid, number)
    until(lambda: not is_alive(pid), "the hub has ended")
    return pid


def replace_hub(client: Client, number: signal.Signals = signal.SIGKILL) -> None:
    """Have the hub end, and wait until the next one answers."""
    pid = end_hub(client, number)
    until(lambda: hub_of(client) != pid, "there is another hub")
