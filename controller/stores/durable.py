"""The store that outlives the hub: a journal (:mod:`journal`) in a database, written by a thread.

A write is handed to the thread, which takes all that have come since it last looked, and makes one
transaction of them, which is on disk before `done` is called. Where that fails, for want of room, or
because somebody else holds the database or it is out of reach, it is tried again until it does not;
what is to be stored waits meanwhile, and `state` says why.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from queue import Empty, SimpleQueue
from time import monotonic
from typing import NamedTuple

from ctrlhub.controller.core.effects import Operation, SaveRequests, SaveResults
from ctrlhub.controller.core.saved import Saved, StoreState
from ctrlhub.controller.stores.changes import Changes
from ctrlhub.controller.stores.database import Database
from ctrlhub.controller.stores.journal import Journal
from ctrlhub.controller.stores.packing import UnknownFormat
from ctrlhub.wire.codec import size_of
from ctrlhub.wire.errors import StoreError
from ctrlhub.wire.ids import text_of

AGAIN = 1.0
"""How long (seconds) after a failure it is tried again."""

SILENT = 10.0
"""A transaction that takes longer (seconds) is trouble, though nothing has failed."""

TRANSACTION_BYTES = 16 * 1024 * 1024
"""A transaction has about so many bytes at most: a database is as large as what it writes at once."""

LATE = 4
"""What is given while so many writes wait already is weighed: it may become too much."""

BACKLOG_BYTES = 64 * 1024 * 1024
"""If so many bytes wait, the hub is to make no more for a while."""

MEASURE = 5.0
"""How often (seconds), at most, it is looked how large the database is, while anything is written."""

MOST_NAMED = 20
"""So many requests are named whose payloads are damaged."""

CLOSING = 20.0
"""So long (seconds) the end waits for a database that does not answer."""

log = logging.getLogger(__name__)

Done = Callable[[], None]


class Write(NamedTuple):
    """What is to be stored, whom to tell, and how many bytes that is if it was weighed."""

    operations: Sequence[Operation]
    done: Done
    weight: int


class DurableStore:
    """Keeps records in a database.

    Parameters
    ----------
    database
        Where; closed with the store.
    unix_offset
        What the hub's clock lacks to Unix time (seconds).
    call
        Has something called in the hub's loop; from any thread.
    """

    def __init__(
        self, database: Database, unix_offset: float, call: Callable[[Callable[[], None]], None]
    ) -> None:
        self._database = database
        self._unreadable: tuple[type[Exception], ...] = (UnknownFormat, *database.failures)
        self._call = call
        self._journal = Journal(unix_offset)
        self._writes: SimpleQueue[Write | None] = SimpleQueue()
        self._given = self._taken = 0  # bytes of what was weighed: by the hub's thread, by ours
        self._closing = threading.Event()
        self._trouble = self._untidy = self._damage = ""
        self._began = 0.0  # the transaction that goes on, if any
        self._nbytes = 0
        self._measure_due = 0.0
        self._has_room = False
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)

    # ------------------------------------------------------------ what the hub calls

    def load(self) -> Saved:
        """Return what was stored, and begin to take writes.

        Raises
        ------
        StoreError
            It cannot be read.
        """
        database, journal = self._database, self._journal
        try:
            saved = journal.load(*database.read(), database.read_payload)
            database.sweep(journal.file_names())
            self._nbytes = database.size()
        except self._unreadable as error:
            raise unusable(database.where, error) from error
        if saved.damaged:
            self._damage = _damage(saved.damaged)
            log.error("the store in %s is damaged: %s", database.where, self._damage)
        self._thread.start()
        return saved

    def write(self, operations: Sequence[Operation], done: Done) -> None:
        """Have operations stored; `done` is called in the hub's loop once they are on disk."""
        weight = _weight(operations) if self._writes.qsize() >= LATE else 0
        self._given += weight
        self._writes.put(Write(operations, done, weight))

    @property
    def is_behind(self) -> bool:
        """Whether much waits to be stored; not while nothing can be, since that may last."""
        return self._given - self._taken > BACKLOG_BYTES and not self._trouble

    @property
    def trouble(self) -> str:
        """Why nothing can be stored now; empty if it can."""
        began = self._began
        if began and not self._trouble and monotonic() - began > SILENT:
            return f"it does not answer for {monotonic() - began:.0f} s ({self._database.where})"
        return self._trouble

    def state(self) -> StoreState:
        """Return how it is doing."""
        database = self._database
        return StoreState(
            database.kind, database.where, self.trouble, len(self._journal), self._nbytes, self._damage
        )

    def close(self) -> None:
        """Store what was given, unless that fails now, and close."""
        self._closing.set()
        if self._has_finished():
            self._database.close()

    def compact(self) -> None:
        """Store what was given, give back all room that is not used, and close: no hub is served."""
        if not self._has_finished():
            return
        if not self._trouble:
            self._tidy()
            self._attempt(self._database.compact)
        self._database.close()

    def _has_finished(self) -> bool:
        """Have the thread store what was given; say whether it has ended with that."""
        if self._thread.is_alive():
            self._writes.put(None)
            self._thread.join(CLOSING)
            if self._thread.is_alive():
                log.error("the store does not answer, and may not have stored the last changes")
                return False
        return True

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        try:
            while self._serve():
                pass
        except Exception as error:  # a bug: nothing that is not safe is to be acknowledged
            log.exception("the store has failed")
            self._trouble = f"it has failed ({error!r}): restart the hub"

    def _serve(self) -> bool:
        """Wait for writes, and make them; False once there will be none.

        While it waits it holds nothing of what was written: bulk data may go.
        """
        write = self._writes.get()
        writes: list[Write] = []
        while write is not None:
            writes.append(write)
            self._journal.write(write.operations)
            if self._journal.gathered >= TRANSACTION_BYTES:
                break
            try:
                write = self._writes.get_nowait()
            except Empty:
                break
        self._write(writes)
        return write is not None

    def _write(self, writes: Sequence[Write]) -> None:
        """Make one transaction of what the journal has taken; tell those who gave it."""
        changes = self._journal.take()
        if changes and not self._persist(changes):
            return
        self._taken += sum(write.weight for write in writes)
        for write in writes:
            self._call(write.done)
        if changes.gone_batches or self._has_room or self._journal.is_wasteful:
            self._tidy()
        if (now := monotonic()) >= self._measure_due:
            self._measure_due = now + MEASURE
            self._attempt(self._measure)

    def _persist(self, changes: Changes) -> bool:
        """Carry out a transaction, as often as it takes; False if it cannot be and we are to end."""
        while not self._commit(changes):
            if self._closing.wait(AGAIN):
                log.error("the store ends, and has not stored the last changes")
                return False
        if self._trouble:
            log.warning("the store works again")
            self._trouble = ""
        return True

    def _commit(self, changes: Changes) -> bool:
        self._began = monotonic()
        try:
            self._database.commit(changes)
        except self._database.failures as error:
            trouble = f"{line_of(error)} ({self._database.where})"
            if trouble != self._trouble:
                log.error("nothing can be stored: %s; trying again", trouble)
            self._trouble = trouble
            return False
        finally:
            self._began = 0.0
        return True

    def _tidy(self) -> None:
        """Write again what little is alive among much that is not, and give room back."""
        self._attempt(self._give_room_back)

    def _give_room_back(self) -> None:
        journal, database = self._journal, self._database
        while journal.is_wasteful and not self._closing.is_set():
            journal.write_again(database.batch(journal.first))
            if not self._persist(journal.take()):
                return
        self._has_room = database.make_room(self._idles)
        self._nbytes = database.size()
        self._untidy = ""

    def _measure(self) -> None:
        self._nbytes = self._database.size()

    def _attempt(self, tidy: Callable[[], None]) -> None:
        try:
            tidy()
        except self._unreadable as error:
            # No trouble: all is stored, and who is refused for it would bring no occasion to go on.
            untidy = f"{line_of(error)} ({self._database.where})"
            if untidy != self._untidy:
                log.warning("the store cannot give room back, or be measured: %s", untidy)
            self._untidy = untidy

    def _idles(self) -> bool:
        return self._writes.empty() and not self._closing.is_set()


def unusable(where: str, error: Exception) -> StoreError:
    """Return what a hub says that cannot start with its store."""
    return StoreError(
        f"the store in {where} cannot be used ({line_of(error)}): put it right, move it away, or choose "
        "another place with --store"
    )


def line_of(error: Exception) -> str:
    """Say in one line what a database says, also where that is no text."""
    if isinstance(error, UnicodeDecodeError):
        text = bytes(error.object).decode(errors="backslashreplace")
    else:
        text = str(error)
    return " ".join(text.split()) or type(error).__name__


def _damage(requests: Collection[int]) -> str:
    """Say which requests are hurt."""
    first = ", ".join(map(text_of, sorted(requests)[:MOST_NAMED]))
    more = f" and {len(requests) - MOST_NAMED} more" if len(requests) > MOST_NAMED else ""
    return (
        f"the payloads of {len(requests)} requests in the store are missing, short or altered; unless their "
        f"clients give them again they end with ResultLost: {first}{more}"
    )


def _weight(operations: Sequence[Operation]) -> int:
    """Return how many bytes of payloads are to be stored."""
    weight = 0
    for operation in operations:
        if type(operation) is SaveRequests:
            weight += sum(size_of(record.payload) for _, record in operation.records)
        elif type(operation) is SaveResults:
            weight += sum(size_of(row[2]) for _, row in operation.rows)
    return weight
