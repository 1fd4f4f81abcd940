"""Query: what is going on, and the end of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from ctrlhub import __version__
from ctrlhub.controller.core.effects import Stop
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.interfaces.base import Interface, exposed
from ctrlhub.controller.interfaces.multiengine import MultiEngine
from ctrlhub.controller.interfaces.recorded import Recorded
from ctrlhub.controller.interfaces.start_hooks import StartHookInterface
from ctrlhub.controller.interfaces.taskqueue import TaskQueue
from ctrlhub.wire.errors import InvalidRequest
from ctrlhub.wire.ids import to_ranges
from ctrlhub.wire.messages import Role

MOST_LISTED = 1_000
"""The most requests of each kind that a detailed queue status lists."""


class Query(Interface):
    """The interface for questions about the hub."""

    name = "query"
    started: float = 0.0
    """When the hub started (Unix time, seconds); the hub sets it."""
    unix_offset: float = 0.0
    """What the hub's clock lacks to Unix time (seconds); the hub sets it."""
    pid: int = -1
    """The hub's process; the hub sets it."""
    ports: dict[str, int] = {}  # noqa: RUF012 - replaced, never changed in place
    """TCP port of each stream; the hub sets it. Empty without ``--listen``."""

    @exposed(Role.VIEW)
    def status(self, caller: Session) -> dict[str, Any]:
        """Return the state of hub, engines and tasks, as ``ctrl-hub status --json`` prints it."""
        tasks = self.context.interfaces.get("tasks")
        hooks = self.context.interfaces.get("start_hooks")
        none = {"queued": 0, "running": 0, "done": 0, "failed": 0}
        return {
            "profile": self.context.config.profile,
            "hub": {
                "pid": self.pid,
                "started": self.started,
                "time": self.context.now() + self.unix_offset,
                "version": __version__,
                "ports": self.ports,
                "http": self.context.gateway.described(),
                "refused": self.context.refused(),
                "max_engines": self.context.config.max_engines,
                "trouble": self._trouble(),
            },
            "engines": self._engines(),
            "tasks": tasks.summary() if tasks is not None else none,
            "start_hooks": hooks.described() if isinstance(hooks, StartHookInterface) else [],
            "store": asdict(self.context.store.state()),
        }

    def _trouble(self) -> list[str]:
        """Say what is wrong now, besides engines, and a store that cannot store."""
        behind = [
            session
            for each in self.context.interfaces.values()
            if isinstance(each, Recorded)
            for session in each.behind()
        ]
        return [
            *filter(None, (
                self.context.why_full(), self.context.why_no_memory(), self.context.store.state().damage,
                self.context.gateway.why_not(),
            )),
            *(
                f"client {session.number} (pid {session.pid} on {session.host}) does not read its "
                "results: its tasks wait until it does"
                for session in dict.fromkeys(behind)
            ),
        ]

    def _engines(self) -> list[dict[str, Any]]:
        shown = []
        for number in sorted(self.engines):
            engine = self.engine(number)
            described = engine.describe()
            del described["key"]
            usage = engine.session.usage
            cores, rss = (None, None) if usage is None else usage.of_late(self.context.now())
            shown.append({**described, "cpu": cores, "rss": rss})
        return shown

    @exposed(Role.VIEW)
    def engines_now(self, caller: Session) -> dict[str, Any]:
        """Return what is known of each engine, and the last event that this includes."""
        here = [self.engine(number) for number in sorted(self.engines)]
        engines = [each.describe() | {"restarting": bool(each.restart)} for each in here]
        absent = [
            {"id": number, "state": absence.text, "restarting": absence.restarting}
            for number, absence in self.context.absent().items()
        ]
        return {"engines": engines, "events": self.context.events(), "absent": absent}

    @exposed(Role.VIEW)
    def stillborn(self, caller: Session) -> list[dict[str, Any]]:
        """Return what is known of engines that have died before they registered, and are not started again."""
        return [dict(each) for each in self.context.stillborn()]

    @exposed(Role.VIEW)
    def engine_events(self, caller: Session) -> int:
        """Return the number of the last engine event: who knows it, knows the engines of this moment."""
        return self.context.events()

    @exposed(Role.VIEW)
    def queue_status(self, caller: Session, verbose: bool = False) -> dict[str, Any]:
        """Return for each engine how many commands and tasks it has, and what waits for any.

        With `verbose` the requests themselves, as ranges of ids: at most `MOST_LISTED` of each kind,
        and for each engine what runs, or nil: nothing, or it has a command and tasks, of which it
        may be doing either.
        """
        numbers = sorted(self.engines)
        tasks = self.context.interfaces.get("tasks")
        if verbose:
            waiting = tasks.numbers_waiting(MOST_LISTED) if isinstance(tasks, TaskQueue) else []
            ended = self._ended_on()
            listed = {str(n): self._listed(n, ended.get(n, ())) for n in numbers}
            return {**listed, "unassigned": to_ranges(waiting)}
        status: dict[str, Any] = {
            str(engine.id): {
                "queue": engine.commands,
                "completed": engine.completed,
                "tasks": engine.tasks,
            }
            for engine in map(self.engine, numbers)
        }
        status["unassigned"] = tasks.unassigned if isinstance(tasks, TaskQueue) else 0
        return status

    def _ended_on(self) -> dict[int, set[int]]:
        found: dict[int, set[int]] = {}
        for each in self.context.interfaces.values():
            if isinstance(each, Recorded):
                for engine, ids in each.ended_on().items():
                    found.setdefault(engine, set()).update(ids)
        return found

    def _listed(self, number: int, ended: Iterable[int]) -> dict[str, Any]:
        interfaces = self.context.interfaces
        commands, tasks = interfaces.get("multiengine"), interfaces.get("tasks")
        queue = commands.numbers_on(number) if isinstance(commands, MultiEngine) else []
        given = tasks.numbers_on(number) if isinstance(tasks, TaskQueue) else []
        # Commands that wait are not with the engine yet: the first may be.
        sent = commands.in_flight(number) if isinstance(commands, MultiEngine) else 0
        begun = [*([sent] if sent else []), *given[:1]]
        return {
            "running": begun[0] if len(begun) == 1 else None,
            "queue": to_ranges(queue[:MOST_LISTED]),
            "completed": to_ranges(sorted(ended)[-MOST_LISTED:]),
            "tasks": to_ranges(given[:MOST_LISTED]),
        }

    @exposed(Role.VIEW)
    def interfaces(self, caller: Session) -> dict[str, list[str]]:
        """Return the exposed interfaces, and the methods of each."""
        return {name: peer.exposed_methods() for name, peer in self.context.interfaces.items()}

    @exposed(Role.ADMIN)
    def revoke(self, caller: Session, key: str) -> bool:
        """Shut out the peer of a public key, for as long as the hub runs; False if there is none."""
        if type(key) is not str:
            raise InvalidRequest("a peer is shut out by its public key, which is a text")
        return self.context.revoke(key)

    @exposed(Role.ADMIN)
    def shutdown_hub(self, caller: Session) -> None:
        """End the hub: its engines finish and exit."""
        self.outbox.add(Stop(f"asked by client {caller.number}"))
