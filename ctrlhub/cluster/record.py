"""`supervisor.json`: what a supervisor leaves for whoever must clean up after it."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ctrlhub.cluster.processes import KnownProcess
from ctrlhub.wire.private import StateError, read_private, write_private

_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class SupervisorRecord:
    """Who supervises a profile, and the processes that depend on it.

    Parameters
    ----------
    pid
        The supervisor.
    started
        When it began (Unix time, seconds).
    host
        Where it runs.
    processes
        Its children, by name.
    """

    pid: int
    started: float = field(default_factory=time.time)
    host: str = field(default_factory=platform.node)
    processes: Mapping[str, KnownProcess] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write it: 0600 from its creation, and never seen half-written."""
        write_private(path, json.dumps(asdict(self)).encode() + b"\n")

    @classmethod
    def load(cls, path: Path) -> SupervisorRecord | None:
        """Read it; None where there is none, or nothing that could be one.

        Nothing depends on it but the thoroughness of cleaning up: locks say who runs.
        """
        try:
            data = json.loads(read_private(path, _MAX_BYTES))
            return cls(
                int(data["pid"]),
                float(data["started"]),
                str(data["host"]),
                {
                    str(name): KnownProcess(int(process["pid"]), str(process["birth"]))
                    for name, process in data["processes"].items()
                },
            )
        except (FileNotFoundError, StateError, ValueError, TypeError, KeyError, AttributeError):
            return None
