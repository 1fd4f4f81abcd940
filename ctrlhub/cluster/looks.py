"""How a cluster is at a moment, in plain data: what widgets show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self


class Phase(StrEnum):
    """How far a cluster is."""

    ABSENT = "not running"
    STARTING = "starting"
    RUNNING = "running"
    OVER = "over"
    """Its hub has ended, and it was not stopped."""


@dataclass(frozen=True, slots=True)
class EngineLook:
    """One engine.

    Parameters
    ----------
    id
        Its number.
    state
        ``idle``, ``busy``, ``draining`` or ``suspect``.
    engine_set, host, pid
        The set it belongs to, and where it runs.
    running, queued
        How many requests it runs, and how many wait for it.
    """

    id: int
    state: str
    engine_set: str
    host: str
    pid: int
    running: int
    queued: int

    @classmethod
    def from_told(cls, told: Mapping[str, Any]) -> Self:
        """Make it of what the hub tells of an engine."""
        return cls(
            int(told["id"]),
            str(told.get("state", "")),
            str(told.get("engine_set", "")),
            str(told.get("host", "")),
            int(told.get("pid", 0)),
            int(told.get("running", 0)),
            int(told.get("queued", 0)),
        )


@dataclass(frozen=True, slots=True)
class ClusterLook:
    """One cluster.

    Parameters
    ----------
    profile
        The name of its profile; None for a private one that does not run.
    phase
        How far it is.
    n
        How many engines it is to have.
    launcher
        How they are started.
    described
        The same as `phase`, for people, with the hub's process.
    adapts
        What follows the queue; empty for nothing.
    engines
        Those that are registered.
    link
        Where its dashboard is; empty where none is served.
    """

    profile: str | None
    phase: Phase
    n: int
    launcher: str
    described: str
    adapts: str = ""
    engines: tuple[EngineLook, ...] = ()
    link: str = ""

    def counted(self) -> str:
        """Say how many engines there are, and how they are."""
        there = len(self.engines)
        text = f"{there} of {self.n} engines" if there != self.n else f"{there} engine{'' if there == 1 else 's'}"
        states = Counter(each.state for each in self.engines if each.state)
        if states:
            text += ": " + ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        hosts = {each.host for each in self.engines if each.host}
        return text + (f", on {len(hosts)} hosts" if len(hosts) > 1 else "")


def engines_from(told: Iterable[Mapping[str, Any]]) -> tuple[EngineLook, ...]:
    """Return engines by id."""
    return tuple(sorted((EngineLook.from_told(each) for each in told), key=lambda each: each.id))
