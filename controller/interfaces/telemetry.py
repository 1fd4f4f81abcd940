"""Telemetry: what the hub has counted and measured, in one answer.

An answer costs in proportion to the engines and to the clients with queued tasks, not to the tasks; it
is bounded, and so is what is kept for it (:mod:`ctrlhub.controller.core.telemetry`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.interfaces.base import Context, Interface, exposed
from ctrlhub.controller.interfaces.multiengine import MultiEngine
from ctrlhub.controller.interfaces.recorded import Recorded
from ctrlhub.controller.interfaces.taskqueue import TaskQueue
from ctrlhub.controller.service import IControllerBase
from ctrlhub.wire.errors import InvalidRequest
from ctrlhub.wire.limits import MAX_ID
from ctrlhub.wire.messages import Role
from ctrlhub.wire.telemetry import BOUNDS

MOST_ENGINES = 1_000
"""So many engines are told of in one answer."""

MOST_LINES = 5_000
"""So many lines of waiting tasks, each a client's in one place, are looked at for an answer."""

MOST_QUEUES = 200
"""So many clients and priorities are told of; the others in one sum."""

NAME = 120
"""Hosts and names are cut to so many characters."""

OTHERS = -1
"""In place of a session: all that are not named."""


@dataclass(slots=True)
class _Place:
    """What an engine's id has seen: by whom it is held, and how often that was another process."""

    key: str
    incarnation: bytes
    restarts: int = 0


class TelemetryQuery(Interface):
    """The interface for what is measured.

    Parameters
    ----------
    controller, context
        As for `Interface`.
    """

    name = "telemetry"

    def __init__(self, controller: IControllerBase, context: Context) -> None:
        super().__init__(controller, context)
        self._places: dict[int, _Place] = {}
        self.engine_restarts = 0
        self.engines_registered = 0
        self.follow_engines(self._engine_came, lambda number: None)

    def _engine_came(self, number: int) -> None:
        session = self.engine(number).session
        self.engines_registered += 1
        self.context.figures.clocks.forget(number)
        place = self._places.get(number)
        if place is None or place.key != session.key:
            self._places[number] = _Place(session.key, session.incarnation)
        elif place.incarnation != session.incarnation:
            place.incarnation = session.incarnation
            place.restarts += 1
            self.engine_restarts += 1

    @exposed(Role.VIEW)
    def read(self, caller: Session, since: int = 0) -> dict[str, Any]:
        """Return all figures, and what has ended since so many requests had: see `cursor`.

        Of more than 1,000 engines the first are told of, and `more` is what to pass to `engines_after`.
        """
        if type(since) is not int or not 0 <= since <= MAX_ID:
            raise InvalidRequest("since is the cursor of an answer before, or 0")
        figures, now = self.context.figures, self.context.now()
        figures.look(now)
        since = since if since <= figures.ended else 0  # it is of a hub before this one
        samples = figures.samples_since(since)
        tasks = self._tasks()
        summary = tasks.summary() if tasks is not None else {"queued": 0, "running": 0}
        queues, oldest = self._queues(tasks)
        store = self.context.store.state()
        return {
            "time": now + figures.unix_offset,
            "started": figures.started,
            "cursor": figures.ended,
            "counters": self._counters(),
            "gauges": self._gauges(tasks, 0.0 if oldest is None else max(0.0, now - oldest)),
            "queued": summary["queued"],
            "running": summary["running"],
            "bounds": BOUNDS,
            "latency": figures.latency(),
            "queues": queues,
            "tasks": samples,
            "missed": figures.ended - since - len(samples),
            "failures": figures.failures_since(since),
            "store": (store.kind, store.bytes, store.requests, store.trouble),
            **self._page(-1),
        }

    @exposed(Role.VIEW)
    def engines_after(self, caller: Session, after: int) -> dict[str, Any]:
        """Return what is told of the engines behind an id: `engines`, and `more`, or nil at the end."""
        if type(after) is not int:
            raise InvalidRequest("after is the id of an engine")
        return self._page(after)

    # ------------------------------------------------------------ what the answers are made of

    def _tasks(self) -> TaskQueue | None:
        tasks = self.context.interfaces.get("tasks")
        return tasks if isinstance(tasks, TaskQueue) else None

    def _commands(self) -> MultiEngine | None:
        commands = self.context.interfaces.get("multiengine")
        return commands if isinstance(commands, MultiEngine) else None

    def _counters(self) -> Mapping[str, int]:
        tasks, commands, vitals = self._tasks(), self._commands(), self.context.figures.vitals
        return {
            **(tasks.figures() if tasks is not None else {}),
            **(commands.figures() if commands is not None else {}),
            "engines_registered": self.engines_registered,
            "engines_lost": self.context.engines_lost(),
            "engine_restarts": self.engine_restarts,
            "messages_refused": self.context.refused(),
            "messages_in": vitals.messages_in,
            "bytes_in": vitals.bytes_in,
            "messages_out": vitals.messages_out,
            "bytes_out": vitals.bytes_out,
        }

    def _gauges(self, tasks: TaskQueue | None, oldest: float) -> Mapping[str, float]:
        vitals = self.context.figures.vitals
        interfaces = self.context.interfaces.values()
        return {
            "clients": self.context.sessions.clients,
            "tasks_waiting": 0 if tasks is None else tasks.waiting,
            "oldest_queued_seconds": oldest,
            "results_undelivered": sum(i.undelivered for i in interfaces if isinstance(i, Recorded)),
            "hub_cpu_seconds": vitals.cpu,
            "hub_resident_bytes": vitals.rss,
            "hub_loop_lag_seconds": vitals.lag,
        }

    def _queues(self, tasks: TaskQueue | None) -> tuple[list[tuple[Any, ...]], float | None]:
        """Return how many tasks wait, by client and priority, most first, and when the oldest came."""
        if tasks is None:
            return [], None
        depths, oldest, queued = tasks.depths(MOST_LINES)
        shown = depths.most_common(MOST_QUEUES)
        rows: list[tuple[Any, ...]] = [
            (session.number, f"{session.host[:NAME]}:{session.pid}", priority, count)
            for (session, priority), count in shown
        ]
        others = queued - sum(count for _, count in shown)
        if others:
            rows.append((OTHERS, "others", 0, others))
        return rows, oldest

    def _page(self, after: int) -> dict[str, Any]:
        numbers = sorted(number for number in self.engines if number > after)
        shown = numbers[:MOST_ENGINES]
        return {
            "engines": [self._engine_row(number) for number in shown],
            "more": shown[-1] if len(numbers) > len(shown) else None,
        }

    def _engine_row(self, number: int) -> tuple[Any, ...]:
        engine = self.engine(number)
        session, usage, place = engine.session, engine.session.usage, self._places.get(number)
        running, label, since = self._runs(number)
        cores, rss = (None, None) if usage is None else usage.of_late(self.context.now())
        return (
            number,
            engine.state,
            session.host[:NAME],
            session.pid,
            session.engine_set[:NAME],
            cores,
            None if usage is None else usage.cpu_seconds,
            rss,
            running,
            label[:NAME],
            since + self.context.figures.unix_offset if running else 0.0,
            engine.commands,
            engine.tasks,
            engine.completed,
            0 if place is None else place.restarts,
        )

    def _runs(self, number: int) -> tuple[int, str, float]:
        """Return what runs on an engine: a command that it was given is taken to, and else a task."""
        commands, tasks = self._commands(), self._tasks()
        found = commands.running_on(number) if commands is not None else None
        if found is None and tasks is not None:
            found = tasks.running_on(number)
        return (0, "", 0.0) if found is None else found
