"""The client's session, without I/O: what was asked, what was answered, what to say again.

Theory of operation
-------------------
Callers leave requests in `submissions`, in program order, with ids they took themselves. The I/O
thread takes them from there in `drain` and forms batches: alone on the line a request leaves at
once, and under load whatever has gathered meanwhile goes as one message.

Tasks and commands travel on different streams, which do not wait for each other. Their order is
kept by `SubmitTasks.after`, the last command given before the tasks that has not ended; so a batch
of tasks never spans a command.

A request stays in the ledger of its stream until its result has come. After a reconnection to the
same hub those are sent again that it had not accepted; after a restart of the hub, all. The hub
recognises what it has, results that come twice are acknowledged twice and otherwise ignored.

The engines of the moment come with the registration and change by numbered events. A gap in the
numbers, a new connection, and now and then the mere passing of time make the session ask again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Protocol

from ctrlhub.client.batches import TaskBatch, command_message, rows_for
from ctrlhub.client.call_list import Answered, CallList
from ctrlhub.client.engine_list import LIST_ENGINES, EngineList
from ctrlhub.client.ledger import Ledger
from ctrlhub.client.requests import (
    CommandRequest,
    Function,
    Request,
    Stirred,
    TaskRequest,
    Template,
)
from ctrlhub.client.rows import failed
from ctrlhub.link.membership import Membership, Patience, State
from ctrlhub.wire.codec import FrameList, resolve
from ctrlhub.wire.errors import ControllerStopped, CtrlHubError, SessionClosed, error_for
from ctrlhub.wire.ids import to_ranges
from ctrlhub.wire.messages import (
    Accepted,
    Answer,
    Call,
    Completed,
    EngineEvent,
    Functions,
    Goodbye,
    Message,
    NeedFunctions,
    Payload,
    Received,
    Refused,
    Register,
    Registered,
    Stream,
)

MESSAGES_PER_TURN = 4
"""So many batches of tasks are formed before incoming messages get their turn again."""


class Watcher(Protocol):
    """What the shell wants to know of its session."""

    def joined(self, session: int) -> None:
        """Take note that the hub let us in, or that it is back."""

    def silent(self, seconds: float) -> None:
        """Take note that the hub has not answered for so long."""

    def engines(self, engines: Mapping[int, Mapping[str, Any]]) -> None:
        """Take the engines of the moment, by id."""

    def ended(self, error: CtrlHubError) -> None:
        """Take note that this session is over, and why."""


class ClientSession(Membership):
    """A client's session.

    Parameters
    ----------
    registration
        What the client says of itself.
    watcher
        Is told what happens.
    patience, seed
        As for `Membership`.

    Attributes
    ----------
    submissions : deque
        Where callers leave requests, from any thread.
    calls : CallList
        The calls that were not answered.
    """

    def __init__(
        self,
        registration: Register,
        watcher: Watcher,
        *,
        patience: Patience | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(registration, patience=patience or Patience(), seed=seed)
        self.submissions: deque[Request] = deque()
        self.calls = CallList()
        self._watcher = watcher
        self._tasks: Ledger[TaskRequest] = Ledger()
        self._commands: Ledger[CommandRequest] = Ledger()
        self._again: deque[int] = deque()
        self._received: dict[Stream, list[tuple[int, int]]] = {
            Stream.MULTIENGINE: [],
            Stream.TASK: [],
        }
        self._engines = EngineList()
        self._generation = 0
        self._now = 0.0
        self._out: list[tuple[Stream, Message]] = []
        self._batch: TaskBatch | None = None

    # ------------------------------------------------------------ what the shell calls

    def call(self, message: Call, answered: Answered) -> None:
        """Send a call, now or once we have joined; `answered` gets its answer."""
        if self.state is State.GONE:
            answered(Answer(message.id, None, SessionClosed.code, "this client was closed"))
        else:
            self.calls.add(message, answered)

    def outstanding(self) -> list[Request]:
        """Return the requests that have not ended, each as often as it has rows."""
        return [
            *self._commands.requests.values(),
            *self._tasks.requests.values(),
            *self.submissions,
        ]

    def look_at_engines(self) -> None:
        """Ask for the engines of the moment, unless an answer is on its way."""
        if not self._engines.asked:
            self._engines.asked = True
            number = next(self.calls.numbers)
            self.call(Call(number, "query", LIST_ENGINES, {}), self._on_engines)

    def close(self, error: CtrlHubError, now: float) -> None:
        """Leave; what has not ended fails with `error`."""
        self.goodbye(now)
        self._end(error, now)

    def reject(self, error: CtrlHubError, now: float) -> None:
        """Fail what was submitted and will not be sent; from any thread, once we are gone."""
        while self.submissions:
            try:
                request = self.submissions.popleft()
            except IndexError:  # another thread rejects, too
                return
            _fail([(number, request) for number in request._numbers()], error, now)

    def tick(self, now: float) -> None:
        """Do what is due."""
        self._now = now
        super().tick(now)
        if self.state is State.JOINED and now >= self._engines.due:
            self._engines.due = float("inf")
            self.look_at_engines()

    def next_deadline(self) -> float | None:
        """Tell when `tick` is next due."""
        due = super().next_deadline()
        if self.state is not State.JOINED or due is None:
            return due
        if self.submissions or self._again:
            return self._now  # the turn was over before they were all sent
        return min(due, self._engines.due)

    def drain(self) -> list[tuple[Stream, Message]]:
        """Take what is to be sent, in order."""
        out = super().drain()
        if self.state is not State.JOINED:
            return out
        self._out = out
        out.extend((Stream.HUB, call) for call in self.calls.take_unsent())
        for stream, ranges in self._received.items():
            if ranges:
                out.append((stream, Received(tuple(ranges))))
                ranges.clear()
        if self._again or self.submissions:
            self._send_requests()
        return out

    # ------------------------------------------------------------ sending requests

    def _send_requests(self) -> None:
        out = self._out
        limit = len(out) + MESSAGES_PER_TURN
        requests, again = self._tasks.requests, self._again
        while again and len(out) < limit:
            number = again.popleft()
            request = requests.get(number)
            if request is not None:
                self._add(
                    number, request._template(), request._payload(number), self._before(number)
                )
        submissions = self.submissions
        while submissions and len(out) < limit:
            submissions.popleft()._enter(self)
        self._flush()

    def add_task(
        self, number: int, request: TaskRequest, template: Template, payload: Payload
    ) -> None:
        """Send a task with the current batch (for `Request._enter`)."""
        self._tasks.requests[number] = request
        batch = self._batch
        if batch is None:
            batch = self._batch = TaskBatch(self._last_command(), self._generation)
        batch.add(number, template, payload)
        if batch.full:
            self._flush()

    def add_command(self, command: CommandRequest) -> None:
        """Send a command, after the tasks that were added before it (for `Request._enter`)."""
        self._flush()
        requests = self._commands.requests
        last_known = next(reversed(requests), 0)
        last = command.first + len(command.targets) - 1
        for number in range(command.first, last + 1):
            requests[number] = command
        if last_known > command.first:
            # Another thread took a later id and was quicker: the last of the dictionary has to be
            # the one with the highest id, for `_last_command`.
            self._commands.requests = dict(sorted(requests.items()))
        message = command_message(command, command.first, last, self._generation)
        self._out.append((Stream.MULTIENGINE, message))

    def _last_command(self) -> int:
        requests = self._commands.requests
        return requests[next(reversed(requests))].first if requests else 0

    def _before(self, number: int) -> int:
        """Return the command before a task that is sent again."""
        # Few commands are outstanding when a hub comes back, and mostly none.
        numbers = [first for first in self._commands.requests if first < number]
        return self._commands.requests[max(numbers)].first if numbers else 0

    def _add(self, number: int, template: Template, payload: Payload, after: int) -> None:
        if self._batch is not None and self._batch.after != after:
            self._flush()
        if self._batch is None:
            self._batch = TaskBatch(after, self._generation)
        self._batch.add(number, template, payload)
        if self._batch.full:
            self._flush()

    def _flush(self) -> None:
        if self._batch is not None:
            self._out.append((Stream.TASK, self._batch.message()))
            self._batch = None

    # ------------------------------------------------------------ joining

    def on_joined(self, registered: Registered, now: float) -> None:
        """Say again what the hub may not have."""
        previous = self.previous
        if previous is not None and previous.session != registered.session:
            error = SessionClosed(
                "the hub was restarted and has given this client's number to another one: "
                "make a new Client and submit again what has not ended"
            )
            self.close(error, now)
            return
        if not (registered.resumed and self.same_epoch):
            self._generation += 1
            self._tasks.forget_acceptance()
            self._commands.forget_acceptance()
        if previous is not None and not self.same_epoch:
            self.calls.send_again()
        self._say_again(Stream.MULTIENGINE)
        self._say_again(Stream.TASK)
        self._engines.joined(registered, now)
        self._watcher.engines(self._engines.by_id)
        self._watcher.joined(registered.session)

    def on_welcome(self, stream: Stream, now: float) -> None:
        """Say again what the hub may not have of a stream."""
        self._say_again(stream)

    def _say_again(self, stream: Stream) -> None:
        if stream is Stream.TASK:
            self._again = deque(self._tasks.unaccepted())
            return
        requests = self._commands.requests
        for first, last in to_ranges(self._commands.unaccepted()):
            start = first
            for number in range(first, last + 1):
                if number == last or requests[number + 1] is not requests[number]:
                    message = command_message(requests[start], start, number, self._generation)
                    self.send(Stream.MULTIENGINE, message)
                    start = number + 1

    def on_silent(self, now: float) -> None:
        """Tell that the hub is silent; we keep trying."""
        self._watcher.silent(now - self.last_heard)

    def on_refused(self, refused: Refused) -> None:
        """Give up: the hub does not let us in."""
        self._end(error_for(refused.code)(refused.message), self.last_heard)

    def _end(self, error: CtrlHubError, now: float) -> None:
        """Fail everything: the session is over."""
        self._watcher.ended(error)
        for ledger in (self._commands, self._tasks):
            requests = list(ledger.requests.items())
            ledger.requests.clear()
            _fail(requests, error, now)
        self.calls.fail(error.code, str(error))
        self._engines.clear()
        self._watcher.engines(self._engines.by_id)

    # ------------------------------------------------------------ messages

    def on_message(self, stream: Stream, message: Message, now: float) -> None:
        """Take a message."""
        handler = self._TAKES.get(type(message))
        if handler is not None:
            handler(self, stream, message, now)

    def _on_completed(self, stream: Stream, message: Any, now: float) -> None:
        pop, frames = self._ledger(stream).requests.pop, message.frames
        ranges = self._received[stream]
        stirred: dict[Stirred, None] = {}
        first, last = 0, -2
        for row in message.rows:
            number = row[0]
            if number != last + 1:
                if last >= 0:
                    ranges.append((first, last))
                first = number
            last = number
            request = pop(number, None)
            if request is None:
                continue  # it came before, and our acknowledgement was lost
            if type(row[2]) is not bytes:
                row = (number, row[1], resolve(row[2], frames), *row[3:])
            waiter = request._settle(row, now)
            if waiter is not None:
                stirred[waiter] = None
        if last >= 0:
            ranges.append((first, last))
        # Last, so that a thread that wakes up finds as much as there is.
        for waiter in stirred:
            waiter._stir()

    def _on_accepted(self, stream: Stream, message: Any, now: float) -> None:
        self._ledger(stream).accept(message.requests)

    def _on_need_functions(self, stream: Stream, message: Any, now: float) -> None:
        wanted = set(message.digests)
        found: dict[bytes, Function] = {}
        for request in self._ledger(stream).requests.values():
            function = (
                request.function
                if isinstance(request, CommandRequest)
                else request._template().function
            )
            if function is not None and function.digest in wanted:
                found[function.digest] = function
                if len(found) == len(wanted):
                    break
        for function in found.values():
            function.sent.pop(stream, None)
        frames = FrameList()
        rows = rows_for(list(found.values()), frames, stream, self._generation)
        if rows:
            self.send(stream, Functions(rows, frames.frames))

    def _on_answer(self, stream: Stream, message: Any, now: float) -> None:
        self.calls.answer(message)

    def _on_engine_event(self, stream: Stream, message: Any, now: float) -> None:
        if self._engines.take(message):
            self._watcher.engines(self._engines.by_id)
        else:
            self.look_at_engines()

    def _on_engines(self, answer: Answer) -> None:
        self._engines.asked = False
        if answer.code == "" and self._engines.replace(answer.value, self.last_heard):
            self._watcher.engines(self._engines.by_id)

    def _on_refused_request(self, stream: Stream, message: Any, now: float) -> None:
        # The hub does not say which request it would not take: those it has accepted are safe.
        if stream in self._received:
            ledger = self._ledger(stream)
            refused = [(number, ledger.requests.pop(number)) for number in ledger.unaccepted()]
            _fail(refused, error_for(message.code)(message.message), now)

    def _on_goodbye(self, stream: Stream, message: Any, now: float) -> None:
        reason = f": {message.reason}" if message.reason else ""
        self.goodbye(now)
        self._end(ControllerStopped(f"the hub was stopped{reason}"), now)

    def _ledger(self, stream: Stream) -> Ledger[Any]:
        return self._tasks if stream is Stream.TASK else self._commands

    _TAKES: ClassVar[Mapping[type[Message], Callable[..., None]]] = {
        Completed: _on_completed,
        Accepted: _on_accepted,
        NeedFunctions: _on_need_functions,
        Answer: _on_answer,
        EngineEvent: _on_engine_event,
        Refused: _on_refused_request,
        Goodbye: _on_goodbye,
    }


def _fail(requests: Iterable[tuple[int, Request]], error: CtrlHubError, now: float) -> None:
    """Let rows of requests end with an error of our own."""
    stirred: dict[Stirred, None] = {}
    for number, request in requests:
        waiter = request._settle(failed(number, error), now)
        if waiter is not None:
            stirred[waiter] = None
    for waiter in stirred:
        waiter._stir()
