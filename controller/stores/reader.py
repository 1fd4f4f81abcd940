"""The state that the batches of a journal tell, read in their order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ctrlhub.controller.core.history import GONE, damaged
from ctrlhub.controller.core.saved import Saved, SavedCommand, SavedTask, SavedTemplate
from ctrlhub.controller.stores import packing
from ctrlhub.controller.stores.changes import Kind, file_name
from ctrlhub.controller.stores.packing import Batch
from ctrlhub.wire.ids import select, session_of
from ctrlhub.wire.messages import Payload


class Reader:
    """Reads batches in order, and keeps what is alive of them."""

    def __init__(
        self, where: tuple[dict[int, int], ...], open_file: Callable[[str, Sequence[int]], Payload]
    ) -> None:
        self._where = where
        self._rows: dict[int, tuple[Batch, list[SavedTemplate], tuple[Any, ...]]] = {}
        self._results: dict[int, tuple[Any, ...]] = {}
        self._open_file = open_file
        self._sessions: dict[int, Any] = {}
        self.files: dict[Kind, set[int]] = {Kind.REQUEST: set(), Kind.RESULT: set()}

    def take(self, sequence: int, batch: Batch) -> int:
        """Take a batch; return how many entries it has."""
        requests, results, fetched = self._where
        templates = packing.read_templates(batch)
        for row in (*batch.tasks, *batch.commands):
            requests[row[0]] = sequence
            self._rows[row[0]] = batch, templates, row
        for row in batch.results:
            results[row[0]] = sequence
            self._results[row[0]] = row
        count = 0
        for first, last in batch.fetched:
            fetched.update(dict.fromkeys(range(first, last + 1), sequence))
            count += last - first + 1
        known: tuple[dict[int, Any], ...] = (*self._where, self._rows, self._results)
        for where in known:  # each by itself: of a request that is gone, a result may be left
            for number in select(batch.forgotten, where):
                del where[number]
        self._sessions.update((each.number, each) for each in packing.read_sessions(batch))
        return len(batch.tasks) + len(batch.commands) + len(batch.results) + count

    def finish(self) -> Saved:
        """Return what is alive; results of requests that are not are left out."""
        requests, results, fetched = self._where
        dependent: tuple[dict[int, Any], ...] = (results, fetched, self._results)
        for where in dependent:
            for number in [n for n in where if n not in requests]:
                del where[number]
        for number in [n for n in fetched if n not in results]:
            del fetched[number]
        saved = Saved(fetched=set(fetched))
        for number, (_, templates, row) in self._rows.items():
            request: SavedTask | SavedCommand
            if len(row) == 3:
                request = packing.read_task(row, templates, self._open(Kind.REQUEST))
                saved.tasks[number] = request
            else:
                request = packing.read_command(row, self._open(Kind.REQUEST))
                saved.commands[number] = request
            # Those of what has ended were let go.
            has_file = self._note_file(Kind.REQUEST, number, row[-1])
            if has_file and number not in self._results and request.payload == GONE:
                saved.damaged.add(number)
        for number, row in self._results.items():
            outcome = packing.read_result(row, self._open(Kind.RESULT))
            if self._note_file(Kind.RESULT, number, row[2]) and outcome[2] == GONE:
                saved.damaged.add(number)
                outcome = damaged(outcome)
            saved.results[number] = outcome
        wanted = {session_of(number) for number in requests}
        saved.sessions.update((n, s) for n, s in self._sessions.items() if n in wanted)
        return saved

    def _note_file(self, kind: Kind, number: int, packed: Any) -> bool:
        """Take note of a payload that has a file; say whether it has one."""
        has_file = type(packed) is tuple and bool(packed) and type(packed[0]) is int
        if has_file:
            self.files[kind].add(number)
        return has_file

    def _open(self, kind: int) -> packing.Open:
        return lambda number, sizes: self._open_file(file_name(kind, number), sizes)
