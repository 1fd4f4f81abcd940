"""What the workloads ask of a peer.

A run that times the start of a peer imports this module and the peer's: both stay light.
"""

from __future__ import annotations

import abc
import importlib.util
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.work import Array


class NotOffered(Exception):
    """The peer has nothing of the kind, or it is left out for the reason given."""


class Peer(abc.ABC):
    """A system that runs Python functions on engines.

    What a peer does not offer raises `NotOffered`; tables show a dash there. Everything is done
    the way the peer's own documentation recommends, one engine being one process.
    """

    name: str  #: as tables and options call it
    package: str  #: what to import to have it; nothing if that is not to be timed
    client_import: str  #: the statement a user's program begins with
    data_remark: str = ""  #: how arrays travel, where it is not through the hub
    largest_queue: int = 1_000_000  #: more tasks at once than this would take many minutes

    @classmethod
    def absence(cls) -> str:
        """Say why the peer cannot be measured here; nothing if it can."""
        return "" if importlib.util.find_spec(cls.package) else "not installed"

    @abc.abstractmethod
    def start(self, engines: int) -> None:
        """Start that many engines, and return when all can take work."""

    @abc.abstractmethod
    def stop(self) -> None:
        """End in an orderly way; whatever is left is killed."""

    @abc.abstractmethod
    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        """Submit one task to whichever engine is free, and return a future of its own."""

    @abc.abstractmethod
    def results(self, futures: Sequence[Any]) -> list[Any]:
        """Wait for the futures."""

    @abc.abstractmethod
    def engine_pids(self) -> list[int]:
        """Have every engine run something, and return their process ids."""

    def submit_after(self, futures: Sequence[Any], function: Callable[..., Any]) -> Any:
        """Submit one task that waits for others, and is not called with what they return."""
        raise NotOffered("no tasks that wait for others")

    def another_client(self) -> Peer:
        """Return another client of what was started, in this process."""
        raise NotOffered("no other clients")

    def twin(self) -> Peer:
        """Start the same without what is special about it, which ends with this one."""
        raise NotOffered("nothing is special about it")

    def map(self, function: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
        """Call the function with each item, every call a task of its own."""
        return self.results([self.submit(function, item) for item in items])

    def call(self, function: Callable[..., Any]) -> Any:
        """Run one task on whichever engine is free, and wait for it."""
        return self.results([self.submit(function)])[0]

    def call_one(self, function: Callable[..., Any]) -> Any:
        """Run the function on one named engine, always the same, and wait for it."""
        raise NotOffered("no engines that can be named")

    def call_all(self, function: Callable[..., Any]) -> Any:
        """Run the function once on every engine, and wait for all."""
        raise NotOffered("no engines that can be named")

    def push(self, array: Array) -> None:
        """Give an engine an array, and return when it has it."""
        raise NotOffered("no way to move data")

    def push_all(self, array: Array) -> None:
        """Give every engine an array, and return when all have it."""
        raise NotOffered("no engines that can be named")

    def pull(self, nbytes: int) -> Array:
        """Fetch an array of that size which an engine holds already (the one last pushed)."""
        raise NotOffered("no way to move data")

    def hub_pids(self) -> list[int]:
        """Process ids of what stands between client and engines; their descendants count too."""
        return []


def pids_by_tasks(peer: Peer, engines: int) -> list[int]:
    """Find the engines by tasks that keep them busy, for peers whose engines have no names."""
    from benchmarks.work import pid_after

    found: set[int] = set()
    seconds = 0.005
    while len(found) < engines:
        found.update(peer.results([peer.submit(pid_after, seconds) for _ in range(engines)]))
        seconds = min(0.1, 2 * seconds)
    return sorted(found)
