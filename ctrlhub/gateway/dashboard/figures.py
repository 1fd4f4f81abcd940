"""What is shown, from what the hub says once a second; no clock, no sockets.

Theory of operation: the hub's figures only grow, so that what happened in a second is the difference of two
looks at them. A hub that was started again counts from nothing: its first look begins anew. Browsers get
a whole picture (`whole`) when they come, and then what `take` returns, which is the same for all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from ctrlhub.wire.ids import text_of
from ctrlhub.wire.telemetry import EngineTelemetry, TaskSample, Telemetry

HISTORY = 300
"""So many points (one a second) are kept for who opens the page."""

TASKS_AT_ONCE = 160
"""So many ended tasks are shown of one second."""

TASKS = 30 * TASKS_AT_ONCE
"""So many ended tasks are kept for who opens the page."""

FAILURES = 100
"""So many failures are kept."""

TRACEBACK = 20_000
"""So much (characters) of a traceback is shown: its end."""

PAUSE = 10.0
"""After so long (seconds) without a look, lines break, and what ended meanwhile is not counted as left out.

The hub samples what ends until so long after a look: till then a look that is late, on a busy machine,
has lost nothing, and what is said of the seconds since the last one is so."""

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


class Figures:
    """What the dashboard shows."""

    def __init__(self) -> None:
        self._last: Telemetry | None = None
        self._points: deque[dict[str, Any]] = deque(maxlen=HISTORY)
        self._tasks: deque[list[Any]] = deque(maxlen=TASKS)
        self._failures: deque[dict[str, Any]] = deque(maxlen=FAILURES)
        self._known_failures: set[tuple[int, float]] = set()
        self._engines: dict[int, dict[str, Any]] = {}

    def take(self, now: Telemetry) -> dict[str, Any]:
        """Take in what the hub says, and return what is new.

        Parameters
        ----------
        now
            The figures.

        Returns
        -------
        dict
            What the page is told; plain data.
        """
        last = self._last
        if last is not None and last.started != now.started:  # another hub: its counts begin anew
            last = None
            self._known_failures.clear()
        self._last = now
        points = [_point(last, now)]
        if last is not None and now.time > last.time + PAUSE:  # nobody has looked: it begins again
            points = [{"time": last.time + PAUSE / 2}, _point(None, now)]
            last = None
        self._points.extend(points)
        tasks, left_out = self._new_tasks(now)
        if last is None:
            left_out = 0  # what ended before anybody looked is nothing that could have been drawn
        return {
            "kind": "figures",
            "points": points,
            "engines": self._changed_engines(now.engines),
            "tasks": tasks,
            "left_out": left_out,
            "failures": self._new_failures(now),
            **_present(now),
        }

    def whole(self) -> dict[str, Any]:
        """Return all that is known, for a browser that has just come."""
        said: dict[str, Any] = {
            "kind": "whole",
            "points": list(self._points),
            "engines": {"changed": list(self._engines.values()), "gone": []},
            "tasks": list(self._tasks),
            "left_out": 0,
            "failures": list(self._failures),
        }
        return said if self._last is None else said | _present(self._last)

    def _changed_engines(self, engines: Iterable[EngineTelemetry]) -> dict[str, Any]:
        now = {each.id: _engine(each) for each in engines}
        changed = [row for number, row in now.items() if self._engines.get(number) != row]
        gone = [number for number in self._engines if number not in now]
        self._engines = now
        return {"changed": changed, "gone": gone}

    def _new_tasks(self, now: Telemetry) -> tuple[list[list[Any]], int]:
        """Return the tasks that are shown, and how many are not."""
        chosen = _sample(now.tasks)
        tasks = [_row(each) for each in chosen]
        self._tasks.extend(tasks)
        return tasks, now.missed + len(now.tasks) - len(chosen)

    def _new_failures(self, now: Telemetry) -> list[dict[str, Any]]:
        new = [each for each in now.failures if (each.id, each.ended) not in self._known_failures]
        self._known_failures = {(each.id, each.ended) for each in now.failures}
        shown = [asdict(each) | {"id": text_of(each.id), "traceback": each.traceback[-TRACEBACK:]} for each in new[-FAILURES:]]
        self._failures.extend(shown)
        return shown


def _sample(tasks: Sequence[TaskSample]) -> Sequence[TaskSample]:
    """Choose the tasks that are shown of a second: what failed first, and of the others an even part."""
    if len(tasks) <= TASKS_AT_ONCE:
        return tasks
    failed = [each for each in tasks if each.error][:TASKS_AT_ONCE]
    others = [each for each in tasks if not each.error]
    room = TASKS_AT_ONCE - len(failed)
    even = [others[place * len(others) // room] for place in range(room)] if len(others) > room else others
    return sorted([*failed, *even], key=lambda each: each.ended)


def _row(task: TaskSample) -> list[Any]:
    """Return a task for the page, without names: there are many, and each browser gets them."""
    begun, ended = round(task.begun, 6), round(task.ended, 6)
    return [text_of(task.id), task.engine, task.label, begun, ended, task.status, task.error, task.kind]


def _point(last: Telemetry | None, now: Telemetry) -> dict[str, Any]:
    """Return a second of the plots over time."""
    point: dict[str, Any] = {"time": now.time, "queued": now.queued, "running": now.running}
    if last is None or now.time <= last.time:
        return point
    seconds = now.time - last.time
    for name in ("submitted", "done", "failed"):
        counter = f"tasks_{name}"
        point[name] = max(0, now.counters.get(counter, 0) - last.counters.get(counter, 0)) / seconds
    after, before = now.latency.get("total"), last.latency.get("total")
    if after is not None and before is not None and after.bounds == before.bounds:
        came = after.since(before)
        point |= {name: came.quantile(share) for name, share in QUANTILES.items()}
    return point


def _present(now: Telemetry) -> dict[str, Any]:
    """Return what is true at this moment, and told whole each time."""
    return {
        "time": now.time,
        "started": now.started,
        "counters": dict(now.counters),
        "queued": now.queued,
        "running": now.running,
        "queues": [asdict(each) for each in now.queues],
        "store": asdict(now.store),
    }


def _engine(one: EngineTelemetry) -> dict[str, Any]:
    waiting = one.commands + one.tasks - bool(one.running)
    return {
        "id": one.id,
        "state": one.state,
        "host": one.host,
        "pid": one.pid,
        "set": one.engine_set,
        "cpu": None if one.cpu is None else round(one.cpu, 2),
        "rss": one.rss,
        "running": text_of(one.running) if one.running else "",
        "label": one.label,
        "since": one.running_since,
        "queued": max(0, waiting),
        "completed": one.completed,
        "restarts": one.restarts,
    }
