"""A client's membership, and what the hub tells it: answers, the engines of the moment, log records.

The engines of the moment come with the registration and change by numbered events. A gap in the
numbers, a new subscription, and now and then the mere passing of time make the session ask again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from ctrlhub.client.call_list import Answered, CallList, heed_nothing
from ctrlhub.client.engine_list import LIST_ENGINES, LOOK_AGAIN, EngineList
from ctrlhub.client.taken_in import TakenIn
from ctrlhub.client.watcher import Watcher
from ctrlhub.link.membership import Membership, Patience, State
from ctrlhub.wire.errors import SessionClosed
from ctrlhub.wire.messages import (
    Answer,
    Call,
    EngineEvent,
    LogRecords,
    Message,
    Register,
    Stream,
    Subscribed,
    WatchedOutput,
)


class InformedMembership(Membership):
    """A membership that asks the hub, and is told of engines.

    Parameters
    ----------
    registration, patience, seed
        As for `Membership`.
    watcher
        Is told what happens.

    Attributes
    ----------
    calls : CallList
        The calls that were not answered.
    """

    def __init__(
        self, registration: Register, watcher: Watcher, patience: Patience, seed: int | None
    ) -> None:
        super().__init__(registration, patience=patience, seed=seed)
        self.calls = CallList()
        self._watcher = watcher
        self._engines = EngineList()
        self._logs_taken_in = TakenIn()

    def call(self, message: Call, answered: Answered) -> None:
        """Send a call, now or once we have joined; `answered` gets its answer."""
        if self.state is State.GONE:
            answered(Answer(message.id, None, SessionClosed.code, "this client was closed"))
        else:
            self.calls.add(message, answered)

    @property
    def may_miss_engines(self) -> bool:
        """Whether there may be engines, or losses of engines, that only the hub knows of; any thread."""
        return self.state is State.JOINED and not self._engines.is_current

    def knows_of(self, event: int) -> bool:
        """Say whether engine events up to this one are known; from any thread."""
        return self._engines.includes(event)

    @property
    def awaits_engines(self) -> bool:
        """Whether engines may be on their way to a hub that has just begun; from any thread."""
        return self.state is State.JOINED and self._engines.awaits_others

    def look_at_engines(self) -> None:
        """Ask for the engines of the moment, unless an answer is on its way."""
        if not self._engines.asked:
            self._engines.asked = True
            number = next(self.calls.numbers)
            self.call(Call(number, "query", LIST_ENGINES, {}), self._on_engines)

    def on_silent(self, now: float) -> None:
        """Tell that the hub is silent; we keep trying."""
        self._watcher.silent(now - self.last_heard)

    # ------------------------------------------------------------ messages

    def _on_answer(self, stream: Stream, message: Any, now: float) -> None:
        self.calls.answer(message)

    def _on_subscribed(self, stream: Stream, message: Any, now: float) -> None:
        if not self._engines.subscribed(message.events):
            self.look_at_engines()

    def _on_engine_event(self, stream: Stream, message: Any, now: float) -> None:
        if message.event == "unprepared":
            self._watcher.unprepared(message.engine)
        if message.engine.get("lost"):
            self._watcher.lost(message.engine)
        if self._engines.take(message):
            self._watcher.engines(self._engines.by_id)
        else:
            self.look_at_engines()

    def _on_engines(self, answer: Answer) -> None:
        self._engines.asked = False
        if answer.code:
            self._engines.due = self.last_heard + LOOK_AGAIN
        else:
            self.engines_are(answer.value)

    def engines_are(self, now: Mapping[str, Any]) -> None:
        """Take the engines of the moment, as the hub has told."""
        if self._engines.told(now, self.last_heard):
            self._watcher.engines(self._engines.by_id)

    def _on_log_records(self, stream: Stream, message: LogRecords, now: float) -> None:
        self._watcher.logged(message)
        if self._logs_taken_in.is_to_be_told(message.number):
            number = next(self.calls.numbers)
            self.call(Call(number, "logs", "received", {"number": message.number}), heed_nothing)

    def _on_watched_output(self, stream: Stream, message: WatchedOutput, now: float) -> None:
        self._watcher.put_out(message)

    informs: ClassVar[Mapping[type[Message], Callable[..., None]]] = {
        Answer: _on_answer,
        Subscribed: _on_subscribed,
        EngineEvent: _on_engine_event,
        LogRecords: _on_log_records,
        WatchedOutput: _on_watched_output,
    }
