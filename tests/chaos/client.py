"""A client among faults: a program that submits tasks, maps and commands, and records how each ends.

Its parameters are one line of JSON on its command line. It may be killed at any moment; who is started
in its place finds in the record what was left open, has the results of that, and goes on.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from random import Random
from typing import Any

from ctrlhub import (
    Client,
    CompositeError,
    CtrlHubError,
    InvalidEngineID,
    NoEnginesRegistered,
    NoSuchSession,
    ResultLost,
)
from ctrlhub.cluster.local import routed
from ctrlhub.wire.connection import ConnectionInfo
from tests.chaos.record import Entry, Record, Said, deadly, noting, read_record
from tests.chaos.verdict import FEW_RETRIES

TURN = 0.01
"""Seconds between two looks at what there is to do."""

ENGINE_RETRIES = 30
"""So often a task is run again whose engine was lost: more than there are faults that can strike it."""

JOIN = 20.0
"""Seconds that one attempt to connect lasts."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What a client is to do."""

    connection: str
    record: str
    journal: str
    seed: int
    first: int
    """Its numbers begin here."""
    total: int
    """So many numbers."""
    seconds: float
    """They are submitted within this time,"""
    ahead: int
    """but so many at once, at the beginning."""
    tcp: bool = False


class Busy:
    """The client at work.

    Parameters
    ----------
    orders
        What it is to do.
    client
        Its connection.
    """

    def __init__(self, orders: Orders, client: Client) -> None:
        self._orders, self._client = orders, client
        self._record = Record(Path(orders.record))
        self._work = noting(orders.journal)
        self._deadly = deadly(orders.journal)
        self._ended: SimpleQueue[tuple[int, Any]] = SimpleQueue()
        self._open: dict[int, tuple[str, int]] = {}
        self._unacknowledged: dict[int, frozenset[int]] = {}
        self._unsure: set[int] = set()
        self._next = orders.first
        self._random = Random(orders.seed)
        self._balanced = client.load_balanced_view()
        self._balanced.engine_retries = ENGINE_RETRIES

    def run(self) -> None:
        """Do all of it, and wait for every end."""
        self._record.say(Said.JOINED, self._client.session)
        self._inherit(self._record.entries())
        began, left = time.monotonic(), self._orders.first + self._orders.total - self._next
        until = self._next + left
        while self._next < until or self._open:
            passed = (time.monotonic() - began) / self._orders.seconds
            due = until - left + self._orders.ahead + left * passed
            while self._next < min(due, until):
                self._submit(min(40, until - self._next))
            self._look()

    # ------------------------------------------------------------ submitting

    def _submit(self, most: int) -> None:
        draw, count = self._random.random(), self._random.randint(1, most)
        if draw < 0.6:
            for _ in range(min(count, 10)):
                self._keep("task", 1, self._balanced.apply_async(self._work, self._next))
        elif draw < 0.85:
            numbers = range(self._next, self._next + count)
            self._keep("map", count, self._balanced.map_async(self._work, numbers))
        elif draw < 0.98:
            self._command()
        else:
            with self._balanced.temp_flags(engine_retries=FEW_RETRIES):
                self._keep("deadly", 1, self._balanced.apply_async(self._deadly, self._next))

    def _command(self) -> None:
        try:
            engine = self._random.choice(self._client.ids)
            result = self._client[engine].apply_async(self._work, self._next)
        except (IndexError, InvalidEngineID, NoEnginesRegistered):
            return  # there is none, or it has just gone: something else is submitted instead
        self._keep("command", 1, result)

    def _keep(self, kind: str, count: int, result: Any) -> None:
        number = self._next
        self._next += count
        ids = list(result.msg_ids)
        self._record.say(Said.SUBMITTED, number, kind=kind, count=count, ids=ids)
        self._unacknowledged[number] = frozenset(result._numbers())
        self._await(number, kind, count, result)

    def _await(self, number: int, kind: str, count: int, result: Any) -> None:
        self._open[number] = kind, count
        result.add_done_callback(lambda ended: self._ended.put((number, ended)))

    # ------------------------------------------------------------ what a killed client left

    def _inherit(self, entries: Sequence[Entry]) -> None:
        submitted = {e.number: e for e in entries if e.said is Said.SUBMITTED}
        over = {e.number for e in entries if e.said in (Said.ENDED, Said.ABANDONED)}
        known = {e.number for e in entries if e.said is Said.ACKNOWLEDGED}
        for number, entry in submitted.items():
            self._next = max(self._next, number + entry.count)
            if number not in over:
                if number not in known:
                    self._unsure.add(number)
                result = self._client.get_result(list(entry.ids))
                self._await(number, entry.kind, entry.count, result)

    # ------------------------------------------------------------ ends

    def _look(self) -> None:
        """Wait for a moment; write down what ended, and what the hub has meanwhile."""
        try:
            self._end(*self._ended.get(timeout=TURN))
            while True:
                self._end(*self._ended.get_nowait())
        except Empty:
            self._acknowledge()

    def _end(self, number: int, result: Any) -> None:
        kind, count = self._open.pop(number, ("again", 1))
        end = self._judge(number, count, result)
        self._unacknowledged.pop(number, None)
        if number in self._unsure and end.startswith(ResultLost.__name__):
            self._record.say(Said.ABANDONED, number, kind=kind, count=count)
        else:
            self._record.say(Said.ENDED, number, kind=kind, count=count, end=end)

    def _judge(self, number: int, count: int, result: Any) -> str:
        try:
            values = _flat(result.get(0))
        except Exception as error:
            return said_of(error)
        wanted = [2 * each + 1 for each in range(number, number + count)]
        return "ok" if sorted(values) == wanted else f"wrong: {values}"[:300]

    def _acknowledge(self) -> None:
        """Write down what the hub has said to have stored.

        Looked up where the client itself looks: it tells nobody. What waits is asked for first, since
        it goes from there to the ledgers.
        """
        if not self._unacknowledged:
            return
        outgoing = self._client._connection._session._outgoing
        missing = set(outgoing.waiting_numbers())
        for ledger in outgoing.ledgers:
            missing.update(ledger.unaccepted())
        for number, ids in list(self._unacknowledged.items()):
            if missing.isdisjoint(ids):
                del self._unacknowledged[number]
                self._record.say(Said.ACKNOWLEDGED, number)


def said_of(error: Exception) -> str:
    """Say how a submission failed: as one `ResultLost`, where all that failed of it never came to a hub."""
    parts = error.errors if isinstance(error, CompositeError) else [error]
    if parts and all(isinstance(part, ResultLost) for part in parts):
        return f"{ResultLost.__name__}: {parts[0]}"[:300]
    return f"{type(error).__name__}: {error}"[:300]


def _flat(value: Any) -> list[int]:
    if isinstance(value, list):
        return [each for part in value for each in _flat(part)]
    return [value]


def connect(orders: Orders) -> Client:
    """Connect, however often the hub is killed meanwhile.

    Every other client that takes a killed one's place takes over its session; the others have theirs.
    """
    record = Path(orders.record)
    entries = read_record(record) if record.exists() else []
    sessions = [entry.number for entry in entries if entry.said is Said.JOINED]
    session: dict[str, Any] = {"session": sessions[-1], "takeover": True} if len(sessions) % 2 else {}
    while True:
        try:
            info = routed(ConnectionInfo.load(Path(orders.connection)), "tcp" if orders.tcp else None)
            return Client(info, timeout=60.0, join_timeout=JOIN, **session)
        except NoSuchSession:
            session = {}  # everything in it had been fetched
        except (CtrlHubError, FileNotFoundError) as error:
            print(f"not connected: {error!r}", file=sys.stderr, flush=True)
            time.sleep(TURN)


def main() -> None:
    """Be a client."""
    orders = Orders(**json.loads(sys.argv[1]))
    with connect(orders) as client:
        Busy(orders, client).run()


if __name__ == "__main__":
    main()
