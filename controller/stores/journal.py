"""The journal of a store: which entries of which batch are alive. No I/O.

Theory of operation
-------------------
A row for each request and each change of it would be most of a hub's work. So what gathers in a moment
is written as one *batch*: entries of requests, of results, of results that were fetched, and ranges of
ids that are forgotten. Batches have ascending numbers, and nothing in them is ever changed.

An entry is alive until its request is forgotten, or a later entry takes its place; `_where` knows the
batch of each. The *first* batch goes when nothing of it is alive; if something is, and most of what is
stored is not, what is alive is written again behind the others, and then it goes. It is always the
first: a range of forgotten ids must not go before the entries that it speaks of.

Who reads the batches in order, and takes what is forgotten as forgotten for what came before, has the
state again (`load`). Whoever does the I/O carries out `Changes`, in one transaction.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from ctrlhub.controller.core import effects
from ctrlhub.controller.core.commands import CommandRecord
from ctrlhub.controller.core.deliveries import Outcome
from ctrlhub.controller.core.saved import Saved
from ctrlhub.controller.core.tasks import Task, Template
from ctrlhub.controller.stores import packing
from ctrlhub.controller.stores.called import Called
from ctrlhub.controller.stores.changes import Changes, Kind
from ctrlhub.controller.stores.draft import Draft
from ctrlhub.controller.stores.file_book import FileBook
from ctrlhub.controller.stores.packing import FILE_BYTES, Batch
from ctrlhub.controller.stores.reader import Reader
from ctrlhub.wire.ids import Ranges, select, to_ranges
from ctrlhub.wire.messages import Payload
from ctrlhub.wire.room import shrink

BATCH_BYTES = 4 * 1024 * 1024
"""A batch is closed when it has about so many bytes."""

WASTE = 4096
WASTED_BYTES = 16 * 1024 * 1024
"""So many entries, and bytes of them, may be dead besides half as many as are alive, before batches are
written again."""

REQUEST, RESULT, FETCHED = Kind.REQUEST, Kind.RESULT, Kind.FETCHED


class Journal:
    """The batches of a store, and what of them is alive.

    Parameters
    ----------
    unix_offset
        What the hub's clock lacks to Unix time (seconds).
    """

    def __init__(self, unix_offset: float) -> None:
        self._unix_offset = unix_offset
        self._where: tuple[dict[int, int], ...] = ({}, {}, {})  # by kind: batch by request
        self._alive: OrderedDict[int, int] = OrderedDict()  # entries by batch, the first first
        self._entries: dict[int, int] = {}  # also those that are dead, by batch
        self._called = Called()
        self._files = FileBook()
        self._spoilt: set[int] = set()  # requests whose arguments are not whole
        self._next = 1
        self._sizes: dict[int, int] = {}  # bytes by batch
        self._all = self._bytes = 0
        self._draft = Draft(0)
        self._changes = Changes()

    def __len__(self) -> int:
        return len(self._where[REQUEST])

    def unfetched(self) -> set[int]:
        """Return the ids of the requests whose results somebody waits for."""
        return self._where[REQUEST].keys() - self._where[FETCHED].keys()

    # ------------------------------------------------------------ writing

    def write(self, operations: Iterable[effects.Operation]) -> None:
        """Take operations, in order; `take` has what is to be done."""
        for operation in operations:
            if type(operation) is effects.SaveRequests:
                self._save_requests(operation.records)
            elif type(operation) is effects.SaveResults:
                self._save_results(operation.rows)
            elif type(operation) is effects.Fetched:
                self._fetch(operation.requests)
            elif type(operation) is effects.Forget:
                self._forget(select(operation.requests, self._where[REQUEST]))
            elif type(operation) is effects.Expire:
                known = self._where[REQUEST]
                self._forget([each.id for each in operation.requests if each.id in known])
            elif type(operation) is effects.Keep:
                self._changes.kept[operation.name] = packing.pack(operation.value)
                if operation.name in self._changes.gone_names:
                    self._changes.gone_names.remove(operation.name)
            elif type(operation) is effects.Drop:
                self._changes.kept.pop(operation.name, None)
                self._changes.gone_names.append(operation.name)

    @property
    def gathered(self) -> int:
        """About how many bytes the next transaction has to write."""
        return self._draft.size + sum(map(len, self._changes.batches.values()))

    def take(self) -> Changes:
        """Return what is to be done in the next transaction."""
        self._close_draft()
        self._drop_dead()
        changes, self._changes = self._changes, Changes()
        return changes

    def _begin(self, *, saves: bool) -> Draft:
        """Return the batch under construction: what is saved never stands behind what is forgotten."""
        draft = self._draft
        if not draft.sequence or draft.size >= BATCH_BYTES or (saves and draft.forgotten):
            self._close_draft()
            draft = self._draft = Draft(self._next)
            self._next += 1
            self._alive[draft.sequence] = self._entries[draft.sequence] = 0
        return draft

    def _save_requests(self, records: Iterable[tuple[int, Task | CommandRecord]]) -> None:
        where = self._where[REQUEST]
        draft = self._begin(saves=True)
        sequence, count, template, index = draft.sequence, 0, None, 0
        session = None
        for number, record in records:
            if number in where:
                if number not in self._spoilt:
                    continue
                self._spoilt.discard(number)  # its client has given it again
                self._alive[where[number]] -= 1
            if draft.size >= BATCH_BYTES:
                self._count(sequence, count)
                draft = self._begin(saves=True)
                sequence, count, template, session = draft.sequence, 0, None, None
            where[number] = sequence
            count += 1
            if record.session is not session:
                session = record.session
                draft.sessions[session.number] = packing.session_row(session)
            payload = record.payload
            packed = payload if type(payload) is bytes and len(payload) < FILE_BYTES else (
                self._files.pack(number, REQUEST, payload, self._changes)
            )  # fmt: skip
            draft.size += 32 + (len(packed) if type(packed) is bytes else _weight(packed))
            if type(record) is Task:
                if record.template is not template:
                    template = record.template
                    index = self._template(draft, template)
                draft.tasks.append((number, index, packed))
            elif isinstance(record, CommandRecord):
                if record.function is not None:
                    self._called.call(draft, record.function, self._changes)
                draft.commands.append(packing.command_row(record, packed, self._unix_offset))
        self._count(sequence, count)

    def _save_results(self, rows: Iterable[tuple[int, Outcome]]) -> None:
        requests, where = self._where[REQUEST], self._where[RESULT]
        draft = self._begin(saves=True)
        count = 0
        for number, row in rows:
            if number not in requests:
                continue  # forgotten before it ended
            if draft.size >= BATCH_BYTES:
                self._count(draft.sequence, count)
                draft, count = self._begin(saves=True), 0
            former = where.get(number)
            if former is not None:
                self._alive[former] -= 1
            where[number] = draft.sequence
            count += 1
            if number in self._files:
                # It runs no more, and history keeps no arguments so large.
                self._files.drop(number, self._changes, REQUEST, RESULT)
            payload = row[2]
            if type(payload) is bytes and len(payload) < FILE_BYTES:
                draft.size += 64 + len(payload)
                draft.results.append(row)
            else:
                packed = self._files.pack(number, RESULT, payload, self._changes)
                draft.size += 64 + _weight(packed)
                draft.results.append((*row[:2], packed, *row[3:]))
        self._count(draft.sequence, count)

    def _fetch(self, ranges: Ranges) -> None:
        results, where = self._where[RESULT], self._where[FETCHED]
        numbers = [n for n in select(ranges, results) if n not in where]
        if numbers:
            draft = self._begin(saves=True)
            draft.fetched += to_ranges(numbers)
            where.update(dict.fromkeys(numbers, draft.sequence))
            self._count(draft.sequence, len(numbers))

    def _forget(self, numbers: Sequence[int]) -> None:
        if not numbers:
            return
        self._begin(saves=False).forgotten += to_ranges(sorted(numbers))
        alive, files = self._alive, self._files
        for where in self._where:
            pop = where.pop
            for number in numbers:
                sequence = pop(number, None)
                if sequence is not None:
                    alive[sequence] -= 1
            shrink(where)
        if files:
            for number in numbers:
                files.drop(number, self._changes, REQUEST, RESULT)

    def _count(self, sequence: int, count: int) -> None:
        self._alive[sequence] += count
        self._entries[sequence] += count
        self._all += count

    # ------------------------------------------------------------ what entries refer to

    def _template(self, draft: Draft, template: Template) -> int:
        self._called.call(draft, template.function, self._changes)
        offset = self._unix_offset
        return draft.template(template, lambda: packing.template_row(template, offset))

    # ------------------------------------------------------------ batches come and go

    def _close_draft(self) -> None:
        draft, self._draft = self._draft, Draft(0)
        if not draft.sequence:
            return
        sequence = draft.sequence
        if not draft:
            del self._alive[sequence], self._entries[sequence]
            return
        if self._alive[sequence] < self._entries[sequence]:
            self._strip(draft)
        self._called.close(draft)
        body = self._changes.batches[sequence] = draft.pack()
        self._sizes[sequence] = len(body)
        self._bytes += len(body)

    def _strip(self, draft: Draft) -> None:
        """Leave out what came and went in the same moment."""
        requests, results, _ = self._where
        sequence = draft.sequence
        gone = {row[0] for row in (*draft.tasks, *draft.commands) if requests.get(row[0]) != sequence}
        draft.leave_out(gone, {row[0] for row in draft.results if results.get(row[0]) != sequence})
        self._all -= self._entries[sequence] - self._alive[sequence]
        self._entries[sequence] = self._alive[sequence]

    def _drop_dead(self) -> None:
        """Remove the batches at the beginning of which nothing is alive."""
        while self._alive:
            sequence, alive = next(iter(self._alive.items()))
            if alive:
                return
            self._remove(sequence)

    def _remove(self, sequence: int) -> None:
        del self._alive[sequence]
        self._all -= self._entries.pop(sequence)
        self._bytes -= self._sizes.pop(sequence)
        self._called.remove(sequence, self._changes)
        if self._changes.batches.pop(sequence, None) is None:
            self._changes.gone_batches.append(sequence)

    # ------------------------------------------------------------ writing again

    @property
    def is_wasteful(self) -> bool:
        """Whether much of what is stored is dead, and the first batch holds it up."""
        if len(self._alive) < 2 or not self._all:
            return False
        alive = sum(map(len, self._where))
        dead = self._all - alive
        living_bytes = self._bytes * alive // self._all  # about
        return (
            dead > alive // 2 + WASTE
            or self._bytes - living_bytes > living_bytes // 2 + WASTED_BYTES
        )

    @property
    def first(self) -> int:
        """The number of the first batch."""
        return next(iter(self._alive))

    def write_again(self, body: bytes) -> None:
        """Write what is alive of the first batch behind the others, and let it go."""
        sequence, batch = self.first, packing.read_batch(body)
        draft = self._begin(saves=True)
        count = self._write_requests_again(sequence, batch, draft)
        _, results, fetched = self._where
        rows = [row for row in batch.results if results.get(row[0]) == sequence]
        draft.results += rows
        results.update((row[0], draft.sequence) for row in rows)
        again = [n for n in select(batch.fetched, fetched) if fetched[n] == sequence]
        draft.fetched += to_ranges(again)
        fetched.update(dict.fromkeys(again, draft.sequence))
        count += len(rows) + len(again)
        self._count(draft.sequence, count)
        draft.size += len(body) * count // max(1, self._entries[sequence])
        self._remove(sequence)

    def _write_requests_again(self, sequence: int, batch: Batch, draft: Draft) -> int:
        requests = self._where[REQUEST]
        for session in batch.sessions:
            draft.sessions.setdefault(session[0], session)
        tasks = [row for row in batch.tasks if requests.get(row[0]) == sequence]
        for number, place, payload in tasks:
            template = batch.templates[place]
            self._called.call_again(draft, template[0])
            index = draft.template((sequence, place), partial(tuple, template))
            draft.tasks.append((number, index, payload))
        commands = [row for row in batch.commands if requests.get(row[0]) == sequence]
        for row in commands:
            if row[3]:
                self._called.call_again(draft, row[3])
        draft.commands += commands
        requests.update((row[0], draft.sequence) for row in (*tasks, *commands))
        return len(tasks) + len(commands)

    # ------------------------------------------------------------ reading

    def load(
        self,
        batches: Iterable[tuple[int, bytes]],
        functions: Iterable[tuple[bytes, bytes]],
        kept: Iterable[tuple[str, bytes]],
        open_file: Callable[[str, Sequence[int]], Payload],
    ) -> Saved:
        """Take in what is stored, batches in order; return the state.

        Raises
        ------
        UnknownFormat
            Something cannot be read.
        """
        reader = Reader(self._where, open_file)
        for sequence, body in batches:
            batch = packing.read_batch(body)
            self._entries[sequence] = reader.take(sequence, batch)
            self._all += self._entries[sequence]
            self._sizes[sequence] = len(body)
            self._bytes += len(body)
            self._alive[sequence] = 0
            digests = {row[0] for row in batch.templates} | {row[3] for row in batch.commands}
            self._called.load(sequence, digests - {b""})
            self._next = sequence + 1
        for where in self._where:
            for sequence in where.values():
                self._alive[sequence] += 1
        saved = reader.finish()
        saved.functions.update(
            (digest, packing.unpack(body)) for digest, body in functions if digest in self._called
        )
        if missing := self._called.digests() - saved.functions.keys():
            raise packing.UnknownFormat(f"it is damaged: {len(missing)} functions are missing")
        saved.kept.update((name, packing.unpack(body)) for name, body in kept)
        for kind, found in reader.files.items():
            for number in found:
                if number in self._where[kind]:
                    self._files.note(number, kind)
        for number in saved.results:
            self._files.drop(number, self._changes, REQUEST)
        self._spoilt = saved.damaged - saved.results.keys()
        return saved

    def file_names(self) -> set[str]:
        """Return the names of the files that belong to what is alive."""
        return self._files.names()

    def check(self) -> None:
        """Assert that counts and entries agree."""
        assert self._all == sum(self._entries.values())
        assert self._sizes.keys() == self._entries.keys() == self._alive.keys()
        assert self._bytes == sum(self._sizes.values())
        found = Counter(sequence for where in self._where for sequence in where.values())
        assert {s: n for s, n in self._alive.items() if n} == dict(found)
        assert all(self._alive[s] <= self._entries[s] for s in self._alive)
        requests, results, fetched = self._where
        assert fetched.keys() <= results.keys() <= requests.keys()
        assert set(self._files.numbers()) <= requests.keys()
        self._called.check()


def _weight(packed: Any) -> int:
    if type(packed) is tuple:
        return sum(len(each) if type(each) is bytes else 8 for each in packed)
    return len(packed) if type(packed) is bytes else 1
