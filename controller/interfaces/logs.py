"""Logs: what user code logs on engines, for the clients that have asked for it. Nothing is kept.

A client is sent as much as it takes in; of what comes beyond that, only the number is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ctrlhub.controller.core.credit import Credit
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.interfaces.arguments import checked_ids
from ctrlhub.controller.interfaces.base import Context, Interface, exposed
from ctrlhub.controller.service import IControllerBase
from ctrlhub.wire.codec import size_of_extras
from ctrlhub.wire.errors import InvalidRequest, LimitExceeded
from ctrlhub.wire.ids import Ranges
from ctrlhub.wire.limits import MAX_CONTROL_BYTES, MAX_TEXT
from ctrlhub.wire.messages import ForwardLogs, LogRecords, Role, Stream

HUB, WARNING = "ctrlhub.hub", 30
"""What a hub has to say of its forwarding is logged under this name, at this level."""

MOST_LOGGERS = 64
"""So many loggers may a client follow."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client wants of a logger: from which level on, and of which engines (None: all)."""

    level: int
    targets: frozenset[int] | None

    def is_for(self, engine: int) -> bool:
        """Tell whether it concerns an engine."""
        return self.targets is None or engine in self.targets


class Logs(Interface):
    """The interface for what engines log."""

    name = "logs"
    streams = frozenset({Stream.MULTIENGINE})
    handlers = {LogRecords: "records"}  # noqa: RUF012 - a constant; the base class types it

    def __init__(self, controller: IControllerBase, context: Context) -> None:
        super().__init__(controller, context)
        self._wishes: dict[Session, dict[str, Wish]] = {}
        self._credits: dict[Session, Credit] = {}
        self._told: set[int] = set()
        self.follow_engines(lambda number: None, self._told.discard)

    # ------------------------------------------------------------ from engines

    def records(self, session: Session, message: LogRecords, stream: Stream, now: float) -> None:
        """Pass on what each client wants.

        Raises
        ------
        LimitExceeded
            It is more than an engine puts into a message.
        """
        engine = session.engine
        if engine is None:
            return
        if size_of_extras(message.records) > MAX_CONTROL_BYTES:
            raise LimitExceeded(
                f"a message of log records takes {MAX_CONTROL_BYTES} bytes at most: send several"
            )
        records = [each for each in message.records if _is_record(each)]
        for client, wishes in self._wishes.items():
            wanted = {name: w.level for name, w in wishes.items() if w.is_for(engine.id)}
            chosen = [each for each in records if _is_wanted(each, wanted)]
            if chosen:
                self._publish(client, chosen, engine.id, now)

    def _publish(
        self, client: Session, records: list[Mapping[str, Any]], engine: int, now: float
    ) -> None:
        credit = self._credits[client]
        number = credit.take(len(records), now)
        if not number:
            return
        if credit.dropped:
            records = [_of_dropped(credit.dropped), *records]
            credit.dropped = 0
        client.publish(self.outbox, LogRecords(records, engine, number))

    def bound(self, session: Session, stream: Stream, held: Ranges, now: float) -> None:
        """Tell an engine that has come (back) what is wanted of it."""
        if stream is Stream.MULTIENGINE and session.engine is not None:
            levels = self._levels(session.engine.id)
            if levels or session.engine.id in self._told:  # it may have been away when that ended
                self._say(session.engine.id, levels)

    # ------------------------------------------------------------ from clients

    @exposed(Role.SUBMIT)
    def forward(
        self, caller: Session, logger: str, level: int, targets: Sequence[int] | None = None
    ) -> None:
        """Send a client what a logger, and those beneath it, log from a level on.

        A message without records shows the client that its subscription is in force.
        """
        if type(logger) is not str or len(logger) > MAX_TEXT or type(level) is not int:
            raise InvalidRequest("a logger is a text, and a level a number")
        chosen = None if targets is None else frozenset(checked_ids(targets))
        if chosen is not None and not all(0 <= n < self.context.config.max_engines for n in chosen):
            raise InvalidRequest("targets are ids that an engine of this hub can have")
        wishes = self._wishes.setdefault(caller, {})
        if logger not in wishes and len(wishes) >= MOST_LOGGERS:
            raise LimitExceeded(f"this client follows {MOST_LOGGERS} loggers already")
        wishes[logger] = Wish(level, chosen)
        self._credits.setdefault(caller, Credit())
        self._tell()
        caller.publish(self.outbox, LogRecords(()))

    @exposed(Role.SUBMIT)
    def received(self, caller: Session, number: int) -> None:
        """Take note that a client has taken in what it was sent up to a number."""
        if type(number) is not int:
            raise InvalidRequest("messages are counted")
        if caller in self._credits:
            self._credits[caller].received(number)

    @exposed(Role.SUBMIT)
    def unforward(self, caller: Session, logger: str) -> bool:
        """Send no more of a logger; False if none of it was sent."""
        wishes = self._wishes.get(caller, {})
        known = wishes.pop(logger, None) is not None if type(logger) is str else False
        if not wishes:
            self._wishes.pop(caller, None)
        if known:
            self._tell()
        return known

    def handed_over(self, session: Session, now: float) -> None:
        """Send nothing to a process that has not asked for it."""
        self.session_ended(session, now)

    def session_ended(self, session: Session, now: float) -> None:
        """Forget a client."""
        self._credits.pop(session, None)
        if self._wishes.pop(session, None):
            self._tell()

    def _tell(self) -> None:
        for number in self.engines:
            self._say(number, self._levels(number))

    def _say(self, number: int, levels: Mapping[str, int]) -> None:
        if levels:
            self._told.add(number)
        # On the stream of commands: those that follow are to find it done.
        session = self.engine(number).session
        session.send(self.outbox, Stream.MULTIENGINE, ForwardLogs(levels))

    def _levels(self, engine: int) -> dict[str, int]:
        """Return what all clients together want of an engine: by logger, the lowest level."""
        levels: dict[str, int] = {}
        for wishes in self._wishes.values():
            for name, wish in wishes.items():
                if wish.is_for(engine):
                    levels[name] = min(wish.level, levels.get(name, wish.level))
        return levels

    def check(self) -> None:
        """Assert that nothing is kept for who has gone."""
        assert all(self._wishes.values())
        assert self._told <= set(self.engines)
        assert not any(session.ended for session in self._credits)
        assert self._wishes.keys() <= self._credits.keys()


def _of_dropped(count: int) -> Mapping[str, Any]:
    text = f"{count} more records were logged than this client takes in"
    return {"name": HUB, "levelno": WARNING, "levelname": "WARNING", "message": text}


def _is_record(record: Mapping[str, Any]) -> bool:
    return type(record.get("name")) is str and type(record.get("levelno")) is int


def _is_wanted(record: Mapping[str, Any], levels: Mapping[str, int]) -> bool:
    name = record["name"]
    return any(
        (record["levelno"] >= level
        and (not logger or name == logger or name.startswith(f"{logger}.")))
        # What an engine has to say of its own forwarding concerns everybody.
        or name == "ctrlhub.engine"
        for logger, level in levels.items()
    )
