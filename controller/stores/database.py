"""What a durable store writes its journal into; a new kind of database is one more of these."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple, Protocol

from ctrlhub.controller.stores.changes import Changes
from ctrlhub.wire.messages import Payload


class Contents(NamedTuple):
    """What stands in a database, to be read once and in this order: packed rows by their keys."""

    batches: Iterable[tuple[int, bytes]]
    functions: Iterable[tuple[bytes, bytes]]
    kept: Iterable[tuple[str, bytes]]


class Database(Protocol):
    """A place for batches, functions, named values and large payloads.

    After it was made, one thread at a time uses it: first who loads, then the store's own.
    """

    @property
    def kind(self) -> str:
        """What it is."""

    @property
    def where(self) -> str:
        """Where it is, without secrets."""

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """What is raised while something cannot be done, which may be tried again."""

    def read(self) -> Contents:
        """Return what there is."""

    def read_payload(self, name: str, sizes: Sequence[int]) -> Payload:
        """Return the buffers of a large payload; `GONE` if it is not whole."""

    def sweep(self, known: Collection[str]) -> None:
        """Remove large payloads that nothing speaks of."""

    def commit(self, changes: Changes) -> None:
        """Carry out a transaction, all or nothing; it is on disk when this returns.

        It may be called again with the same changes, also if it failed when it was done.
        """

    def batch(self, sequence: int) -> bytes:
        """Return a batch."""

    def make_room(self, goes_on: Callable[[], bool]) -> bool:
        """Give back room that is not used, while `goes_on`; return whether there is more."""

    def compact(self) -> None:
        """Give back all room that is not used; nobody waits for the database."""

    def size(self) -> int:
        """Return how many bytes it takes."""

    def close(self) -> None:
        """Let it go."""
