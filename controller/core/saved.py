"""What a store gives back when a hub begins: the state of the one before, as plain values.

Nothing here refers to a living session, engine or function: whoever takes something back (the
interfaces' `restore`) makes records of it. Times are Unix times, since clocks of processes differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from ctrlhub.controller.core.deliveries import Outcome
from ctrlhub.wire.messages import Payload, Role


class SavedSession(NamedTuple):
    """A client, by which it is recognised when it comes back."""

    number: int
    key: str
    incarnation: bytes
    pid: int
    host: str
    role: str = Role.ADMIN.value
    """What it may; one that was stored before there were roles may everything."""


class SavedTemplate(NamedTuple):
    """What the tasks of a call share."""

    digest: bytes
    retries: int
    engine_retries: int
    label: str
    submitted: float
    options: Mapping[str, Any] | None


class SavedTask(NamedTuple):
    """A task."""

    id: int
    template: SavedTemplate
    payload: Payload


class SavedCommand(NamedTuple):
    """A command to one engine; a target of -1 is that of a request that no engine has."""

    id: int
    action: str
    digest: bytes
    target: int
    label: str
    submitted: float
    stop_on_error: bool
    payload: Payload


@dataclass(frozen=True, slots=True)
class Saved:
    """The state of a hub.

    Attributes
    ----------
    sessions
        The clients of all requests, by number.
    functions
        What the requests call, by digest.
    tasks, commands
        The requests, by id.
    results
        Those that have ended, by id.
    fetched
        The ids of those of them that nobody waits for any more.
    kept
        What was kept under a name.
    damaged
        The ids of the requests whose arguments, though they have not ended, or whose values are not
        whole: their payloads are gone, their results errors.
    """

    sessions: dict[int, SavedSession] = field(default_factory=dict)
    functions: dict[bytes, Payload] = field(default_factory=dict)
    tasks: dict[int, SavedTask] = field(default_factory=dict)
    commands: dict[int, SavedCommand] = field(default_factory=dict)
    results: dict[int, Outcome] = field(default_factory=dict)
    fetched: set[int] = field(default_factory=set)
    kept: dict[str, Any] = field(default_factory=dict)
    damaged: set[int] = field(default_factory=set)

    def __bool__(self) -> bool:
        """Tell whether there is anything."""
        return bool(self.tasks or self.commands or self.kept)


class Health(Protocol):
    """What those who do not write into a store may ask it."""

    @property
    def trouble(self) -> str:
        """Why nothing can be stored now; empty if it can."""

    @property
    def is_behind(self) -> bool:
        """Whether so much waits to be stored that no more work should be begun."""

    def state(self) -> StoreState:
        """Return how it is doing."""


class NoStore:
    """The health of a hub that stores nothing."""

    trouble = ""
    is_behind = False

    def state(self) -> StoreState:
        """Return that all is well."""
        return StoreState("memory")


@dataclass(frozen=True, slots=True)
class StoreState:
    """How a store is doing, for `status`.

    Attributes
    ----------
    kind
        What it is.
    where
        Where it is; empty for nowhere.
    trouble
        Why nothing can be stored now; empty if it can.
    damage
        What was damaged when the hub began; empty if nothing was.
    requests
        How many it has.
    bytes
        How many bytes it takes.
    """

    kind: str
    where: str = ""
    trouble: str = ""
    requests: int = 0
    bytes: int = 0
    damage: str = ""
