"""The part of `MultiEngine` that start hooks use: commands that no client gave to a certain engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ctrlhub.controller.core.commands import CommandQueue, CommandRecord
from ctrlhub.controller.core.effects import Commit, SaveResults
from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.functions import Function, FunctionTable
from ctrlhub.controller.core.saved import SavedCommand
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.core.start_hooks import HookRun, StartHook
from ctrlhub.controller.interfaces.returning import Returning
from ctrlhub.wire.messages import Buffer, FunctionRow, Payload, Status


class HookWatcher(Protocol):
    """Whose commands start hooks are."""

    def ended(self, run: HookRun, status: int, failure: Payload) -> None:
        """Take note of how a run of a hook has ended."""

    def stop(self, number: int) -> bool:
        """Give up the hook of a request, since its client wants that; False if there is none."""

    def has_hook(self, number: int) -> bool:
        """Tell whether a request has brought a hook, which engines run under its id."""


class HookQueues(Returning[CommandRecord, SavedCommand]):
    """Takes in start hooks and queues their runs.

    A hook's request is a request like any other to its client; no engine has it. A run of it is a
    command in the queue of an engine, and no client's.
    """

    _queues: dict[int, CommandQueue]
    _ready: dict[int, CommandQueue]
    _commands: dict[int, CommandRecord]
    _accepted: dict[Session, list[tuple[int, CommandRecord]]]
    _functions: FunctionTable
    _hooks: HookWatcher | None = None

    def _interrupt(self, engine: Engine, command: CommandRecord) -> None:
        raise NotImplementedError

    def watch_hooks(self, watcher: HookWatcher) -> None:
        """Take commands of start hooks from now on, and tell `watcher` how they end."""
        self._hooks = watcher

    def function(
        self, digest: bytes, rows: Sequence[FunctionRow], frames: Sequence[Buffer]
    ) -> Function | None:
        """Return the function of a message that brings it along."""
        self._functions.learn(rows, frames)
        return self._functions.get(digest) if digest else None

    def knows(self, number: int) -> bool:
        """Tell whether a request is here, and its client has not let go of its result."""
        return number in self._commands

    def functions_again(self, digest: bytes, blob: Payload) -> Function:
        """Return a function that a hook of the hub before this one calls."""
        return self._functions.take_back(digest, blob)

    def take_in(self, request: CommandRecord) -> bool:
        """Keep a request that is no engine's, until `conclude`; False if it is here already."""
        session, known = request.session, self._commands.get(request.id)
        if known is None:
            refusal = self.context.refusal(self._kept.get(session, 0) + 1)
            if refusal is not None:
                raise refusal
            self._commands[request.id] = request
            self._kept[session] = self._kept.get(session, 0) + 1
        self._accepted.setdefault(session, []).append((request.id, known or request))
        session.last_command = max(session.last_command, request.id)
        return known is None

    def conclude(
        self, request: CommandRecord, status: Status, payload: Payload, engine: int = -1
    ) -> None:
        """End a request that is no engine's."""
        request.end()
        if self._commands.get(request.id) is request:
            outcome = (request.id, int(status), payload, engine, 0.0, 0.0, None)
            self._deliver(request, outcome)
            if not request.session.ended:
                self.outbox.add(Commit((SaveResults([(request.id, outcome)]),), ()))

    def queue_hooks(self, number: int, runs: Sequence[HookRun], *, first: bool) -> None:
        """Have an engine run start hooks: before all else, or behind what it has."""
        queue = self._queues[number]
        for run in reversed(runs) if first else runs:
            queue.put_first(run) if first else queue.put(run)
        if runs:
            self._ready[number] = queue

    def stop_runs(self, hook: StartHook) -> None:
        """Let no engine run a hook any more."""
        number = hook.request.id
        for queue in self._queues.values():
            queue.withdraw({number})
            if queue.running is not None and queue.running.id == number:
                queue.running.stopping = True
                self._interrupt(queue.engine, queue.running)

    def _hook_ended(self, run: HookRun, status: int, failure: Payload) -> None:
        if self._hooks is not None:
            self._hooks.ended(run, status, failure)
