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
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from ctrlhub.client.cancellations import Cancellation, CancellationList, parts
from ctrlhub.client.detaching import Detaching, detached
from ctrlhub.client.ending import EndingMembership
from ctrlhub.client.flushing import Flushing
from ctrlhub.client.handing_over import HandingOver, without
from ctrlhub.client.informed import InformedMembership
from ctrlhub.client.live_output import Follower
from ctrlhub.client.receipts import FailureReceipt, Receipts
from ctrlhub.client.requests import Owner, Request, Stirred
from ctrlhub.client.rows import TaskCancelled
from ctrlhub.client.watcher import Watcher
from ctrlhub.client.withdrawn import WithdrawnBook
from ctrlhub.link.membership import Membership, Patience, State
from ctrlhub.wire.codec import resolve
from ctrlhub.wire.errors import OutOfMemory, SessionClosed, error_for
from ctrlhub.wire.ids import Ranges, to_ranges
from ctrlhub.wire.messages import (
    Accepted,
    Answer,
    Call,
    Completed,
    Goodbye,
    HooksGone,
    Message,
    NeedFunctions,
    Output,
    Refused,
    Register,
    Registered,
    Status,
    Stream,
)
from ctrlhub.wire.room import shrink

BULK = (Stream.MULTIENGINE, Stream.TASK)
"""The streams of requests."""

_FAILED = frozenset({int(Status.ERROR), int(Status.PARTLY)})


class ClientSession(EndingMembership):
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
    start_hooks : dict
        The hooks of this client that the hub keeps, by name.
    withdrawn : WithdrawnBook
        What was cancelled before it was sent.
    """

    def __init__(
        self,
        registration: Register,
        watcher: Watcher,
        *,
        patience: Patience | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(registration, watcher, patience or Patience(), seed)
        self.submissions = self._outgoing.submissions
        self.start_hooks = self._outgoing.start_hooks
        self.withdrawn = WithdrawnBook()
        self._receipts = Receipts()
        self._cancellations = CancellationList()
        self._now = 0.0
        self._taking = 0
        self.handing = HandingOver()
        self._detaching: Detaching | None = None
        self.flushing = Flushing(self._outgoing)

    # ------------------------------------------------------------ what the shell calls

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is outstanding: what is submitted now is alone on the line."""
        outgoing = self._outgoing
        return self.state is State.JOINED and not (
            outgoing.tasks.requests or outgoing.commands.requests
        )

    @property
    def load(self) -> int:
        """How many requests the hub counts as ours, or more for a moment; from any thread."""
        return self._outgoing.load + self._receipts.count + self._taking + len(self.handing.owed)

    def outstanding(self) -> list[Request]:
        """Return the requests that have not ended, each once, however many rows it has."""
        return self._outgoing.outstanding()

    def outstanding_numbers(self) -> set[int]:
        """Return the ids of the requests that have not ended."""
        return self._outgoing.numbers()

    def follow(self, owner: Owner, numbers: Sequence[int], now: float, *, ask: bool = True) -> None:
        """Have an owner get the results of requests, of whosoever they are.

        Without `ask` the hub is to be told in another way.
        """
        self._following.expect(owner, numbers)
        if self.state is State.GONE:
            self._following.fail(numbers, SessionClosed("this client was closed"), now)
        elif ask:
            known = self.withdrawn
            gone = {number for number in numbers if known.find(number) is not None}
            self._following.fail(gone, TaskCancelled("it was cancelled before it was sent"), now)
            own = self.outstanding_numbers() | gone
            self._following.ask([number for number in numbers if number not in own])

    def unfollow(self, owner: Owner, numbers: Sequence[int]) -> None:
        """Have an owner get no more results."""
        self._following.forget(owner, numbers)
        self.live.forget(number for number in numbers if not self._is_awaited(number))

    def follow_output(self, numbers: Iterable[int], follower: Follower) -> None:
        """Have somebody told of output, and of requests that have ended."""
        outgoing = self._outgoing
        sent = [ledger.requests for ledger in outgoing.ledgers]
        numbers = list(numbers)
        self.live.follow(numbers, follower, [outgoing.waiting_numbers(), *sent, self._following])
        # What another process has submitted, whose session this was, may have said much by now.
        for asked in self.live.questions(self._following.of_session(numbers, self.session)):
            for of in BULK:
                self.send(of, asked)

    def _is_awaited(self, number: int) -> bool:
        ledgers = self._outgoing.ledgers
        return number in self._following or any(number in each.requests for each in ledgers)

    def cancel(self, wish: Cancellation, now: float) -> None:
        """Stop requests: take back what has not left, and have the hub stop the rest."""
        taken, sent = self._outgoing.withdraw(wish.left)
        self.withdrawn.add(taken)
        self._fail(taken, TaskCancelled("it was cancelled before it was sent"), now)
        self._never_accepted(taken)
        wish.keep(self._outgoing.ledger(wish.stream).requests)
        for number in wish.calls:  # their answers were lost
            self.calls.forget(number)
        numbers = wish.take_named().union(sent)
        calls = [
            Call(next(self.calls.numbers), *wish.call, {"requests": ranges, **wish.more})
            for ranges in parts(numbers)
        ]
        wish.calls = {call.id for call in calls}
        self._cancellations.begin(wish, numbers)
        if not calls:
            self._cancellations.end(wish)
        for call in calls:
            self.call(call, partial(self._on_stopped, wish))

    def _on_stopped(self, wish: Cancellation, answer: Answer) -> None:
        if not wish.take(answer):
            return
        wish.keep(self._outgoing.ledger(wish.stream).requests)
        if wish.is_over:
            self._cancellations.end(wish)
        else:
            wish.wait(self.last_heard)

    def last_received(self) -> Ranges:
        """Tell what we have, where the hub keeps the rest for somebody else."""
        return self._receipts.last() if self.registered and self.registered.first > 1 else ()

    def detach(self, wish: Detaching | None) -> None:
        """Leave the session to another process, once everything is accepted; None does not."""
        self._detaching = wish

    def _on_left(self, wish: Detaching, answer: Answer) -> None:
        self._detaching = None
        wish.answered(answer)
        if not answer.code:
            self.vanish()
            self._end(detached(self.session), self.last_heard)

    def tick(self, now: float) -> None:
        """Do what is due."""
        self._now = now
        super().tick(now)
        for ledger in self._outgoing.ledgers:
            shrink(ledger.requests)
        # Also while we try to enrol anew, which is what follows a silence over TCP.
        if self.registered is not None and self.state not in (State.JOINED, State.GONE):
            error = self._watcher.despair(now - self.last_heard)
            if error is not None:
                self.hub_has_ended(error, now)
        if self.state is State.JOINED and now >= self._engines.due:
            self._engines.due = float("inf")
            self.look_at_engines()
        if self.state is State.JOINED:
            for wish in self._cancellations.take_due(now):
                self.cancel(wish, now)

    def next_deadline(self) -> float | None:
        """Tell when `tick` is next due."""
        due = Membership.next_deadline(self)
        if self.state is not State.JOINED or due is None:
            return due
        if self._outgoing.waits:
            return self._now  # the turn was over before they were all sent
        return min(due, self._engines.due, self._receipts.due, self._cancellations.due)

    def drain(self) -> list[tuple[Stream, Message]]:
        """Take what is to be sent, in order."""
        out = Membership.drain(self)
        if self.state is not State.JOINED:
            return out
        self.flushing.look()
        wish = self._detaching
        if wish is not None and wish.is_due(self._outgoing):
            self.call(wish.call(self.calls), partial(self._on_left, wish))
        if self.calls.unsent:
            out += [(Stream.HUB, call) for call in self.calls.take_unsent()]
        if self._now >= self._receipts.due:
            kept = Stream.MULTIENGINE if self._outgoing.names_results else None
            out += self._receipts.take(self._now, kept)
        if self._outgoing.waits:
            out += self._outgoing.messages()
        return out

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
            self._outgoing.new_hub()
        if previous is not None and not self.same_epoch:
            self.calls.send_again()
        if self._outgoing.acceptance is not None:
            self._outgoing.acceptance.joined(self.outstanding_numbers())
        if self._following:
            self._following.ask_again(self.outstanding_numbers())
        for stream in BULK:
            self._say_again(stream)
        self._cancellations.repeat(now)
        if previous is not None and not self.same_epoch:
            for wish in self._cancellations.once_more():
                self.cancel(wish, now)
        self._engines.joined(registered, now, previous is not None and not self.same_epoch)
        self._watcher.engines(self._engines.by_id)
        self._watcher.joined(registered.session)

    def on_welcome(self, stream: Stream, now: float) -> None:
        """Say again what the hub may not have of a stream."""
        if stream is not Stream.IOPUB:
            self._say_again(stream)

    def _say_again(self, stream: Stream) -> None:
        for message in self._outgoing.again(stream):
            self.send(stream, message)

    # ------------------------------------------------------------ messages

    def on_message(self, stream: Stream, message: Message, now: float) -> None:
        """Take a message."""
        self._now = now
        handler = self._TAKES.get(type(message))
        if handler is not None:
            handler(self, stream, message, now)

    def _on_completed(self, stream: Stream, message: Any, now: float) -> None:
        self._taking = len(message.rows)
        message, owed = self.handing.over(stream, message, self.live.completed)
        pop, frames = self._outgoing.ledger(stream).requests.pop, message.frames
        self._engines.heard_of(message.events)
        live = self.live.requests
        ranges: list[tuple[int, int]] = []
        stirred: dict[Stirred, None] = {}
        first, last = 0, -2
        # A failure may stop the commands behind it, until the hub knows that we know of it.
        told = [row for row in message.rows if row[0] not in owed] if stream is Stream.MULTIENGINE else ()
        if failure := any(row[1] in _FAILED for row in told):  # before anybody can know of it, and submit knowing it
            self.submissions.append(FailureReceipt(to_ranges(row[0] for row in told)))
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
            if live and row[6] is None:
                row = self.live.completed(row)
            waiter = request._settle(row, now)
            if waiter is not None:
                stirred[waiter] = None
        if last >= 0:
            ranges.append((first, last))
        if self._following:
            self._following.take(message.rows, frames, now, stirred)
        if self.live:
            self.live.ended(row[0] for row in message.rows)
        if not failure:
            ranges = without(ranges, owed)
            urgent = bool(frames or self.crowd)
            self._receipts.add(stream, ranges, len(message.rows) - len(owed), urgent, now)
        self._taking = 0
        if self.crowd:
            self._watcher.room()
        # Last, so that a thread that wakes up finds as much as there is.
        for waiter in stirred:
            waiter._stir()

    def acknowledge(self, stream: Stream, numbers: Collection[int], now: float) -> None:
        """Acknowledge results that were handed over, and are kept."""
        self.handing.owed.difference_update(numbers)
        self._receipts.add(stream, list(to_ranges(sorted(numbers))), len(numbers), True, now)
        if self.crowd:
            self._watcher.room()

    def no_room(self, stream: Stream, message: Message, now: float) -> None:
        """Let the requests fail whose results this process has no memory for."""
        if type(message) is Completed:
            numbers = [row[0] for row in message.rows]
            error = OutOfMemory("this process has no memory for the result: fetch less at a time")
            ledger = self._outgoing.ledger(stream)
            ours = [number for number in numbers if number in ledger.requests]
            self._fail(ledger.take(ours), error, now)
            self._following.fail(numbers, error, now)
            self._receipts.add(stream, list(to_ranges(numbers)), len(numbers), True, now)

    def _on_output(self, stream: Stream, message: Any, now: float) -> None:
        streams = [of for of in BULK if message.request in self._outgoing.ledger(of).requests]
        if not streams and message.request in self._following:
            streams = list(BULK)  # which one, only the process knew that has submitted it
        received = self.live.take(message) if streams else None
        if received is not None:
            for of in streams:
                self.send(of, received)

    def _on_accepted(self, stream: Stream, message: Any, now: float) -> None:
        self._outgoing.accepted(stream, message.requests)

    def _on_need_functions(self, stream: Stream, message: Any, now: float) -> None:
        functions = self._outgoing.functions(stream, message.digests)
        if functions is not None:
            self.send(stream, functions)

    def _on_refused_request(self, stream: Stream, message: Any, now: float) -> None:
        if stream in BULK:
            ledger = self._outgoing.ledger(stream)
            refused = ledger.take(ledger.refused(message.requests))
            self._fail(refused, error_for(message.code)(message.message), now)
            self._never_accepted(refused)

    _TAKES: ClassVar[Mapping[type[Message], Callable[..., None]]] = {
        Completed: _on_completed,
        Accepted: _on_accepted,
        NeedFunctions: _on_need_functions,
        **InformedMembership.informs,
        Output: _on_output,
        Refused: _on_refused_request,
        Goodbye: EndingMembership._on_goodbye,
        HooksGone: lambda self, stream, message, now: self._outgoing.forget_hooks(message.requests),
    }
