"""An engine as the hub's registry holds it: its session, its load, and whether it may be given tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ctrlhub.controller.core.sessions import Session

UNKNOWN = -1
"""`Engine.blamed` of an engine that ended with nobody to say what ran there."""

NOTHING = 0
"""`Engine.blamed` of an engine whose end no request is to blame for; no request has this id."""


class Absence(NamedTuple):
    """What is to be said of an engine that is away for a while.

    Attributes
    ----------
    text
        In words, behind its name.
    restarting
        Whether a nanny has promised another in its place.
    """

    text: str
    restarting: bool


@dataclass(eq=False)
class Engine:
    """One registered engine; what the controller's `engines` maps an id to.

    Attributes
    ----------
    key
        The engine's public key: by it a returning engine gets its id back.
    commands
        Commands queued for it or running on it. Tasks wait until there are none: so a task never
        runs before a command that its client gave first, and a long command holds up no tasks.
    tasks
        Tasks dispatched to it that have not ended.
    failed_hooks
        The start hooks that failed on it, by name, and how; as long as there are any it gets no tasks.
    completed
        Requests that it has ended.
    cause
        How it ended, in words; "" while it lives.
    restart
        Why another process is to take its place, in words; "" if none is.
    blamed
        The request that was running when it ended; `UNKNOWN`, or `NOTHING`.
    last_words
        What it wrote while it ran that: for its client alone.
    resources
        What it has, by name, for tasks that ask for it.
    """

    key: str
    session: Session
    id: int = -1
    commands: int = 0
    tasks: int = 0
    completed: int = 0
    cause: str = ""
    restart: str = ""
    blamed: int = UNKNOWN
    last_words: str = ""
    failed_hooks: dict[str, str] = field(default_factory=dict)
    resources: Mapping[str, float] = field(default_factory=dict)
    _watchers: list[Callable[[Engine], None]] = field(default_factory=list)

    @property
    def available(self) -> bool:
        """Whether it may be given tasks now."""
        return (
            self.commands == 0
            and not self.session.suspect
            and not (self.cause or self.restart or self.failed_hooks or self.drains)
        )

    @property
    def drains(self) -> bool:
        """Whether it is to finish, and takes nothing new."""
        return self.session.drain is not None

    @property
    def drain_reason(self) -> str:
        """Who wants that, in words."""
        return "" if self.session.drain is None else self.session.drain.reason

    @property
    def state(self) -> str:
        """``suspect``, ``draining``, ``busy`` or ``idle``."""
        if self.session.suspect:
            return "suspect"
        if self.drains:
            return "draining"
        return "busy" if self.commands or self.tasks else "idle"

    def on_available(self, watcher: Callable[[Engine], None]) -> None:
        """Call `watcher` whenever the engine may have become available."""
        self._watchers.append(watcher)

    def became_available(self) -> None:
        """Tell the watchers, if it is so."""
        if self.available:
            for watcher in self._watchers:
                watcher(self)

    def end_of(self, request: int) -> str:
        """Return why it is gone, as a request may know; the one that ran, with what was written then."""
        return self.cause + self.last_words if request == self.blamed else self.cause

    def absence(self, *, lost: bool) -> Absence:
        """Return what is to be said of it while it is away; `lost`: nobody has promised another."""
        why = (self.restart or self.cause).split("\n", 1)[0][:1000]
        what = "is away, and may come back" if lost else "is being restarted"
        return Absence(f"{what}: {why}", restarting=not lost)

    def describe(self) -> dict[str, Any]:
        """Return what clients are told about the engine."""
        return {
            "id": self.id,
            "key": self.key,
            "pid": self.session.pid,
            "host": self.session.host,
            "state": self.state,
            "running": min(1, self.commands + self.tasks),
            "queued": max(0, self.commands + self.tasks - 1),
            "failed_hooks": sorted(self.failed_hooks),
            "resources": dict(self.resources),
            "engine_set": self.session.engine_set,
        }
