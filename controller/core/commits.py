"""Commits gather for a moment: the one thing that the hub lets wait for company.

Nobody waits for a commit: who gets its acknowledgement merely forgets something that it keeps. At once
for each small call, commits would be most of the hub's work, and their acknowledgements would double
the messages, and the wake-ups. So they gather for `PATIENCE`, or until they are `ENOUGH`, and then go
to the store as one, whose acknowledgements leave as a few ranges.
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
from ctrlhub.wire.messages import Accepted, Stored

PATIENCE = 0.05
"""The longest that a commit waits, in seconds."""

ENOUGH = 256
"""So many are stored at once."""


class Commits:
    """What is to be stored, and was not given to the store yet."""

    __slots__ = ("_commits",)

    def __init__(self) -> None:
        self._commits: list[Commit] = []

    def __len__(self) -> int:
        return len(self._commits)

    def add(self, commit: Commit) -> bool:
        """Take a commit; return whether there are enough."""
        self._commits.append(commit)
        return len(self._commits) >= ENOUGH

    def take(self) -> Commit:
        """Return all as one.

        Requests are saved before results, and both before anything is fetched or forgotten, since no
        request comes again after it was forgotten.
        """
        commits, self._commits = self._commits, []
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
