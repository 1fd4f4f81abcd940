"""A cluster of ``ctrl-hub start``, with a store, whose processes are started again when they die."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ctrlhub import Client
from ctrlhub.wire.places import Profile


@contextmanager
def started(engines: int, store: str = "sqlite", timeout: float = 10.0) -> Iterator[Client]:
    """Run one in a directory of its own; `timeout` (seconds) is the client's."""
    command = [sys.executable, "-m", "ctrlhub"]
    with tempfile.TemporaryDirectory() as directory:
        state = Path(directory)
        told = ["--state-dir", directory]
        wanted = ["-n", str(engines), "--store", store]
        subprocess.run([*command, "start", "--daemonize", *wanted, *told], check=True)
        try:
            with Client(Profile.named(state=state).connection_client, timeout=timeout) as client:
                yield client
        finally:
            subprocess.run([*command, "stop", *told], check=True)
