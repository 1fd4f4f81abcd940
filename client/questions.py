"""What a client can ask the hub."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ctrlhub.client.connection import Connection
from ctrlhub.client.interface import InterfaceProxy
from ctrlhub.client.targets import Targets
from ctrlhub.wire.ids import from_ranges, text_of
from ctrlhub.wire.telemetry import EngineTelemetry, Telemetry, engines_of, merged


class Questions:
    """The part of a client that asks the hub what goes on."""

    _connection: Connection

    def _resolve(self, targets: Targets) -> list[int]:
        raise NotImplementedError

    def interface(self, name: str, timeout: float | None = None) -> InterfaceProxy:
        """Return an interface of the hub: ``client.interface('mine').method(argument=1)``.

        Parameters
        ----------
        name
            Its name.
        timeout
            How long (seconds) to wait for answers; None takes the client's deadline.
        """
        return InterfaceProxy(self._connection, name, timeout)

    def status(self) -> dict[str, Any]:
        """Return the state of hub, engines and tasks, as `ctrl-hub status --json` prints it."""
        value: dict[str, Any] = self._connection.call("query", "status", {})
        return value

    def telemetry(self, since: int = 0) -> Telemetry:
        """Return what the hub has counted and measured: throughput, latency, what engines use.

        Parameters
        ----------
        since
            The `cursor` of the answer before: what has ended until then is not told again.
        """
        answer = self._connection.call("telemetry", "read", {"since": since})
        found = Telemetry.from_answer(answer)
        further: list[EngineTelemetry] = []
        while (after := answer.get("more")) is not None:
            answer = self._connection.call("telemetry", "engines_after", {"after": after})
            further += engines_of(answer)
        return merged(found, further)

    def queue_status(self, targets: Targets = "all", verbose: bool = False) -> dict[Any, Any]:
        """Return what each engine has to do and has done, and how much waits for any.

        Parameters
        ----------
        targets
            The engines.
        verbose
            Return the ids of requests instead of their numbers: at most 1,000 of each kind.

        Returns
        -------
        dict
            ``{engine: {"queue": commands, "completed": requests, "tasks": tasks}, "unassigned":
            tasks}``; what runs is in the queue (first) or the tasks, and with `verbose` also under
            ``"running"``: None where nothing does, or where an engine has a task and a command, of
            which it may be doing either.
        """
        value: Mapping[str, Any] = self._connection.call(
            "query", "queue_status", {"verbose": verbose}
        )
        read = _named if verbose else dict
        status: dict[Any, Any] = {
            int(name): read(of_one) for name, of_one in value.items() if name.isdecimal()
        }
        if targets != "all":
            status = {number: status[number] for number in self._resolve(targets)}
        unassigned = value.get("unassigned", 0)
        return {**status, "unassigned": _texts(unassigned) if verbose else unassigned}


def _named(of_one: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an engine has to do, with ids as text."""
    running = of_one["running"]
    listed = {name: _texts(ranges) for name, ranges in of_one.items() if name != "running"}
    return {"running": None if running is None else text_of(running), **listed}


def _texts(ranges: Any) -> list[str]:
    return [text_of(number) for number in from_ranges(ranges)]
