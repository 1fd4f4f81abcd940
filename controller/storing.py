"""Storing: what decides hands over commits, which gather, go to the store, and are acknowledged once safe."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

from ctrlhub.controller.core.commits import Commits
from ctrlhub.controller.core.effects import Commit, Send
from ctrlhub.controller.loop import HubLoop
from ctrlhub.controller.stores.base import Store


class Storing:
    """A hub's way to its store, in its loop.

    Parameters
    ----------
    store
        Where accepted requests and results live.
    loop
        The hub's loop.
    send
        Sends a message.
    turn
        Takes what has come meanwhile.
    caught_up
        Is called when the store, after it was behind, is so no more.
    """

    def __init__(
        self,
        store: Store,
        loop: HubLoop,
        send: Callable[[Send], None],
        turn: Callable[[], None],
        caught_up: Callable[[], None],
    ) -> None:
        self._store = store
        self._loop = loop
        self._send = send
        self._turn = turn
        self._caught_up = caught_up
        self._commits = Commits()
        self._due: float | None = None
        self._writing = 0
        self._was_behind = False

    def gather(self, commit: Commit) -> None:
        """Have a commit stored soon, together with others."""
        now = time.monotonic()
        if self._commits.add(commit, now):
            self.commit()
        elif self._commits.hurry and not self._writing:
            self._commit_at(now)  # behind this turn: what else it has goes along
        else:
            self._commit_at(self._commits.due)

    def _commit_at(self, due: float) -> None:
        """Have what has gathered stored then, and not later."""
        if self._due is None or due < self._due:
            self._due = due
            self._loop.later(due - time.monotonic(), partial(self._commit_gathered, due))

    def _commit_gathered(self, due: float) -> None:
        if due != self._due:
            return  # another timer is set since
        self._due = None
        if not self._commits:
            return
        if time.monotonic() < self._commits.due and (self._writing or not self._commits.hurry):
            self._commit_at(self._commits.due)
            return
        self.commit()
        self._turn()

    def commit(self, *then: Send) -> None:
        """Store what has gathered; acknowledge it once it is safe, and send what is to follow."""
        commit = self._commits.take()
        sends = (*(each.send() for each in commit.then), *then)
        self._writing += 1
        self._store.write(commit.operations, partial(self._stored, sends))
        self._was_behind = self._was_behind or self._store.is_behind

    def _stored(self, sends: Sequence[Send]) -> None:
        self._writing -= 1
        for send in sends:
            self._send(send)
        if self._commits.hurry and not self._writing:
            self._commit_at(time.monotonic())
        if self._was_behind and not self._store.is_behind:
            self._was_behind = False
            self._caught_up()
