"""What the I/O thread hands to the main thread: the words both sides share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

from ctrlhub.engine.live import Source
from ctrlhub.wire.messages import Payload

Row: TypeAlias = tuple[int, int, int, Payload, float, float, Any]
"""A `ResultRow` before it is sent: its payload is still in memory, not a reference to frames."""


class Function:
    """A function as it came, and once it was used, as what can be called.

    Attributes
    ----------
    digest
        Its hash, by which it is known.
    blob
        The serialized form; None as long as it has not come. Empty once it was loaded, if it is large.
    call
        What to call, or None before the first use. Loading runs user code, so that only the main
        thread does it.
    """

    __slots__ = ("__weakref__", "blob", "call", "digest")

    def __init__(self, digest: bytes, blob: Payload | None = None) -> None:
        self.digest = digest
        self.blob = blob
        self.call: Any = None


class Wrapped:
    """A function with what belongs to a call of it; known by the hash of the function itself."""

    __slots__ = ("function",)

    function: Function | Supplied

    @property
    def digest(self) -> bytes:
        """The function's hash."""
        return self.function.digest

    @property
    def blob(self) -> Payload | None:
        """The function's serialized form."""
        return self.function.blob


class Supplied(Wrapped):
    """A function that is called with the values of other requests, which came with the task.

    Parameters
    ----------
    function
        The function.
    values
        The values, by request.
    """

    __slots__ = ("values",)

    call: None = None
    """Never known: whoever loads the function sees to it that the values are at hand."""

    def __init__(self, function: Function, values: Mapping[int, Payload]) -> None:
        self.function = function
        self.values = values


class Traced(Wrapped):
    """A function that is run for a task with a trace.

    Parameters
    ----------
    function
        The function.
    number, attempt
        The task.
    label
        Its label.
    told
        What its options say: ``trace``, a W3C traceparent; ``queued`` and ``given`` (Unix times), by the hub.
    """

    __slots__ = ("attempt", "label", "number", "told")

    call: None = None
    """Never known: whoever loads the function has it run within its span."""

    def __init__(
        self, function: Function | Supplied, number: int, attempt: int, label: str, told: Mapping[str, Any]
    ) -> None:
        self.function = function
        self.number = number
        self.attempt = attempt
        self.label = label
        self.told = told


def is_traced(options: Mapping[str, Any]) -> bool:
    """Tell whether a template's options name a trace."""
    return type(options.get("trace")) is str


class Callee(Protocol):
    """What a task calls: a `Function`, or one that needs more than itself."""

    @property
    def call(self) -> Any:
        """What to call; None where it has to be loaded."""

    @property
    def digest(self) -> bytes:
        """The function's hash."""

    @property
    def blob(self) -> Payload | None:
        """The function's serialized form."""


class TaskWork(NamedTuple):
    """One task to run."""

    id: int
    attempt: int
    function: Callee
    payload: Payload


@dataclass(frozen=True, slots=True, eq=False)
class CommandWork:
    """One command to run."""

    id: int
    action: str
    function: Function | None
    payload: Payload


class Worker(Protocol):
    """Who does the work, as the session sees it. No method waits."""

    def joined(self, engine_id: int) -> None:
        """Take note of the engine's id."""

    def run_command(self, work: CommandWork) -> None:
        """Run a command, after those before it and before any task that has not begun."""

    def run_tasks(self, work: list[TaskWork]) -> None:
        """Run tasks, in this order."""

    def stop_requests(self, requests: Sequence[int]) -> tuple[list[int], list[int]]:
        """Withdraw what has not begun, interrupt what runs.

        Returns
        -------
        tuple of lists
            What was withdrawn; and what was in neither state: between the two, or ended.
        """

    def give_back(self, most: int) -> list[int]:
        """Withdraw so many tasks that have not begun, the last first; return them."""

    def interrupt(self, requests: Sequence[int]) -> list[int]:
        """Interrupt that of the requests which runs; return it."""

    def interrupt_running(self) -> list[int]:
        """Interrupt whatever runs; return it."""

    def insist(self, requests: Iterable[int]) -> None:
        """See to it that what was interrupted is, as long as it runs."""

    def look(self) -> Source | None:
        """Return what the request that runs puts out; more of it is told again from now on."""

    def hold(self, request: int) -> None:
        """Take note that nothing more of a request can be shown for now."""

    def forward_logs(self, levels: Mapping[str, int]) -> None:
        """Keep what these loggers log from these levels on, to be taken."""

    def take_logs(self) -> tuple[list[dict[str, Any]], bool]:
        """Take the next records of what was logged; tell whether others wait."""

    def finish(self) -> tuple[list[int], list[int]]:
        """Withdraw everything that has not begun: the engine is to end. Return the tasks, and the commands."""


def digest_of(work: TaskWork | CommandWork) -> bytes:
    """Return the hash of the function of some work; empty if it calls none."""
    return work.function.digest if work.function is not None else b""


def waits(work: TaskWork | CommandWork) -> bool:
    """Tell whether the function of some work has not come."""
    function: Callee | None = work.function
    return function is not None and function.blob is None
