"""Stores for tests: one that outlives hubs in virtual time, and what goes into any."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from ctrlhub.controller.core.commands import CommandRecord
from ctrlhub.controller.core.effects import Operation
from ctrlhub.controller.core.functions import Function
from ctrlhub.controller.core.history import GONE
from ctrlhub.controller.core.saved import Saved, StoreState
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.core.tasks import Task, Template
from ctrlhub.controller.stores import packing
from ctrlhub.controller.stores.changes import Changes, Kind
from ctrlhub.controller.stores.journal import Journal
from ctrlhub.wire.ids import session_of
from ctrlhub.wire.messages import Payload
from tests.support.records import a_session


class Disk:
    """What a transaction leaves: the tables and files of a store, without the disk."""

    def __init__(self) -> None:
        self.batches: dict[int, bytes] = {}
        self.functions: dict[bytes, bytes] = {}
        self.kept: dict[str, bytes] = {}
        self.files: dict[str, tuple[bytes, ...]] = {}
        self.lost: set[str] = set()  # files that were there

    def lose(self, kind: Kind) -> None:
        """Lose the files of arguments, or of values."""
        lost = {name for name in self.files if name.endswith(kind.name.lower())}
        assert lost
        self.lost |= lost
        self.files = {name: file for name, file in self.files.items() if name not in lost}

    def carry_out(self, changes: Changes) -> None:
        """Do a transaction."""
        for name, payload in changes.files.items():
            buffers = (payload,) if isinstance(payload, bytes) else payload
            self.files[name] = tuple(map(packing.bytes_of, buffers))
        for digest, body in changes.functions.items():
            self.functions[digest] = packing.pack(packing.pack_payload(body))
        self.batches.update(changes.batches)
        for sequence in changes.gone_batches:
            del self.batches[sequence]
        for digest in changes.gone_functions:
            del self.functions[digest]
        for key in changes.gone_names:
            self.kept.pop(key, None)
        self.kept.update(changes.kept)
        for name in changes.gone_files:
            self.files.pop(name, None)

    def open_file(self, name: str, sizes: Sequence[int]) -> Payload:
        """Return the buffers of a file."""
        buffers = self.files.get(name, GONE)
        return buffers if [len(each) for each in buffers] == list(sizes) else GONE


class DiskStore:
    """A journal on a `Disk`; commits are done at once, or when the test says so."""

    def __init__(self, disk: Disk | None = None) -> None:
        self.disk = disk or Disk()
        self.journal = Journal(0.0)
        self.late = False
        self.trouble = ""
        self.is_behind = False
        self.pending: deque[tuple[Sequence[Operation], Callable[[], Any]]] = deque()

    def load(self) -> Saved:
        """Return the state of the store before this one."""
        disk = self.disk
        saved = self.journal.load(
            sorted(disk.batches.items()), disk.functions.items(), disk.kept.items(), disk.open_file
        )
        disk.files = {n: f for n, f in disk.files.items() if n in self.journal.file_names()}
        self.check()
        return saved

    def write(self, operations: Sequence[Operation], done: Callable[[], Any]) -> None:
        """Store at once, or keep for `commit`."""
        self.pending.append((operations, done))
        if not self.late:
            self.commit()

    def commit(self) -> None:
        """Store what was kept, as one transaction."""
        given, self.pending = self.pending, deque()
        for operations, _ in given:
            self.journal.write(operations)
        self.disk.carry_out(self.journal.take())
        while self.journal.is_wasteful:
            self.journal.write_again(self.disk.batches[self.journal.first])
            self.disk.carry_out(self.journal.take())
        for _, done in given:
            done()

    def ended(self) -> set[int]:
        """Return the requests whose results are stored."""
        return set(self.journal._where[Kind.RESULT])

    def state(self) -> StoreState:
        """Return how it is doing."""
        return StoreState("disk", trouble=self.trouble)

    def close(self) -> None:
        """Do nothing."""

    def check(self) -> None:
        """Assert that journal and disk agree."""
        self.journal.check()
        assert self.journal.file_names() <= set(self.disk.files) | self.disk.lost


# ---------------------------------------------------------------- what is stored


def a_task(
    number: int, payload: Any = b"arguments", template: Template | None = None
) -> tuple[int, Task]:
    """Return a task as the hub gives it to a store."""
    template = template or Template(Function(b"f", b"code of f"), 0, 3, "label", 5.0)
    return number, Task(number, session_for(number), template, payload)


def a_command(number: int, payload: Any = b"arguments") -> tuple[int, CommandRecord]:
    """Return a command as the hub gives it to a store."""
    function = Function(b"g", b"code of g")
    session = session_for(number)
    return number, CommandRecord(number, session, "apply", payload, function, 7, "label", 5.0, True)


def a_result(number: int, payload: Any = b"value", extras: Any = None) -> tuple[int, Any]:
    """Return a result as the hub gives it to a store."""
    return number, (number, 0, payload, 0, 1.5, 0.25, extras)


def session_for(number: int) -> Session:
    """Return the client of a request."""
    return a_session(number=session_of(number))
