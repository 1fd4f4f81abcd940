"""`supervisor.json`: what a supervisor leaves for whoever must clean up after it."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

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
    engines
        How many engines it was told to have.
    launcher, options
        What starts them; the launcher is empty where this host does.
    """

    pid: int
    started: float = field(default_factory=time.time)
    host: str = field(default_factory=platform.node)
    processes: Mapping[str, KnownProcess] = field(default_factory=dict)
    engines: int = 0
    launcher: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

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
                int(data.get("engines", 0)),
                str(data.get("launcher", "")),
                dict(data.get("options", {})),
            )
        except (FileNotFoundError, StateError, ValueError, TypeError, KeyError, AttributeError):
            return None
