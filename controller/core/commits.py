"""Commits gather for a moment: the one thing that the hub lets wait for company.

Hardly anybody waits for a commit: who gets its acknowledgement merely forgets something that it keeps. At
once for each small call, commits would be most of the hub's work, and their acknowledgements would double
the messages, and the wake-ups. So they gather for `PATIENCE`, or until they are `ENOUGH`, and then go
to the store as one, whose acknowledgements leave as a few ranges.

Where somebody waits (`Commit.soon`: the gateway, which answers once a request is stored), what has gathered
goes to the store as soon as that has nothing else to do: what comes while it writes goes together.

A request with large arguments gathers for longer, `LONGER` at most, unless it ends before: then its
arguments, which nobody will ask for again, need not be written at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ctrlhub.controller.core.effects import (
    Acknowledge,
    Commit,
    Connection,
    Fetched,
    Forget,
    Operation,
    SaveRequests,
    SaveResults,
)
from ctrlhub.wire.codec import size_of
from ctrlhub.wire.messages import Accepted, Stored

PATIENCE = 0.05
"""The longest that a commit waits, in seconds, unless it is large."""

LONGER = 0.5
"""The longest that one waits that is large."""

LARGE_BYTES = 4 * 1024 * 1024
"""Arguments are large from so many bytes on."""

RATE = 200_000_000
"""So many bytes of arguments a second are waited for."""

FEW = 8
"""What is large comes with few others: more at once are not looked at."""

ENOUGH = 256
"""So many are stored at once."""


class Commits:
    """What is to be stored, and was not given to the store yet.

    Attributes
    ----------
    due : float
        When it is to be, if there is any.
    hurry : bool
        Whether somebody waits for it.
    """

    __slots__ = ("_commits", "_large", "_soonest", "due", "hurry")

    def __init__(self) -> None:
        self._commits: list[Commit] = []
        self._large: dict[int, float] = {}
        self._soonest = self.due = 0.0
        self.hurry = False

    def __len__(self) -> int:
        return len(self._commits)

    def add(self, commit: Commit, now: float) -> bool:
        """Take a commit; return whether there are enough."""
        if not self._commits:
            self._soonest = self.due = now + PATIENCE
        self._commits.append(commit)
        self.hurry = self.hurry or commit.soon
        for operation in commit.operations:
            if type(operation) is SaveRequests and len(operation.records) <= FEW:
                self._wait_for_large(operation.records, now)
            elif self._large and type(operation) is SaveResults:
                for number, _ in operation.rows:
                    self._large.pop(number, None)
        if self._large or self.due != self._soonest:
            self.due = max((self._soonest, *self._large.values()))
        return len(self._commits) >= ENOUGH

    def _wait_for_large(self, records: Iterable[tuple[int, Any]], now: float) -> None:
        for number, record in records:
            nbytes = 0 if type(record.payload) is bytes else size_of(record.payload)
            if nbytes >= LARGE_BYTES:
                self._large[number] = now + min(LONGER, PATIENCE + nbytes / RATE)

    def take(self) -> Commit:
        """Return all as one.

        Requests are saved before results, and both before anything is fetched or forgotten, since no
        request comes again after it was forgotten.
        """
        commits, self._commits = self._commits, []
        self._large.clear()
        self.hurry = False
        requests: list[tuple[int, Any]] = []
        results: list[tuple[int, Any]] = []
        fetched: list[tuple[int, int]] = []
        forgotten: list[tuple[int, int]] = []
        others: list[Operation] = []
        for commit in commits:
            for operation in commit.operations:
                if type(operation) is SaveRequests:
                    requests += operation.records
                elif type(operation) is SaveResults:
                    results += operation.rows
                elif type(operation) is Fetched:
                    fetched += operation.requests
                elif type(operation) is Forget:
                    forgotten += operation.requests
                else:
                    others.append(operation)
        operations: list[Operation] = []
        if requests:
            operations.append(SaveRequests(requests))
        if results:
            operations.append(SaveResults(results))
        if fetched:
            operations.append(Fetched(tuple(fetched)))
        if forgotten:
            operations.append(Forget(tuple(forgotten)))
        operations += others
        return Commit(tuple(operations), _together(each for c in commits for each in c.then))


def _together(acknowledgements: Iterable[Acknowledge]) -> tuple[Acknowledge, ...]:
    """Make those of one kind that go to one peer one."""
    found: dict[tuple[Connection, type[Accepted | Stored]], list[int]] = {}
    for each in acknowledgements:
        key = each.connection, each.kind
        numbers = found.get(key)
        if numbers is None:
            numbers = found[key] = []
        numbers += each.requests
    return tuple(Acknowledge(*key, numbers) for key, numbers in found.items())
