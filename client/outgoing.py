"""Requests on their way out: their order, and what of them has to be said again."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Iterator
from itertools import groupby
from typing import Any

from ctrlhub.client.acceptance import Acceptance
from ctrlhub.client.batches import TaskBatch, command_message, rows_for
from ctrlhub.client.hook_request import StartHookRequest
from ctrlhub.client.ledger import Ledger
from ctrlhub.client.receipts import FailureReceipt
from ctrlhub.client.requests import (
    CalledWithResults,
    CommandRequest,
    Function,
    Request,
    TaskRequest,
    Template,
)
from ctrlhub.wire.codec import FrameList
from ctrlhub.wire.ids import Ranges, select, to_ranges
from ctrlhub.wire.messages import Functions, Message, Payload, Received, Stream

FEW = 256
"""So many submissions are looked at where it is counted how many requests they are."""

LOOKS = 5
"""So often it is counted at most while requests come and go."""

MESSAGES_PER_TURN = 4
"""So many messages are formed before incoming ones get their turn again."""


class Outgoing:
    """Forms messages of requests, and keeps the requests until their rows have come.

    Attributes
    ----------
    submissions : deque
        Where callers leave requests, from any thread, in program order; and what is to leave in
        its turn among them.
    tasks, commands : Ledger
        What has been sent and has not ended.
    start_hooks : dict
        By name the hooks of ours that the hub keeps. They are given to each hub that follows.
    acceptance : Acceptance or None
        What the hub has yet to store, where somebody asks for that.
    """

    def __init__(self) -> None:
        self.submissions: deque[Request | FailureReceipt] = deque()
        self.tasks: Ledger[TaskRequest] = Ledger()
        self.commands: Ledger[CommandRequest | StartHookRequest] = Ledger()
        self.start_hooks: dict[str, StartHookRequest] = {}
        self.acceptance: Acceptance | None = None
        self._naming: set[int] = set()
        self._again: deque[tuple[int, int]] = deque()
        self._generation = 0
        self._of_former_hub = -1
        self._messages: list[tuple[Stream, Message]] = []
        self._batch: TaskBatch | None = None

    @property
    def waits(self) -> bool:
        """Whether there is something to send."""
        return bool(self.submissions or self._again)

    @property
    def load(self) -> int:
        """How many requests have not ended; from any thread."""
        sent = -1
        for _ in range(LOOKS):  # what is sent between one look and the other would count twice
            before, waiting = sent, len(self.submissions)
            if waiting <= FEW:  # else they count as one each: the hub is away, or the I/O thread busy
                waiting = sum(len(request._numbers()) for request in self.submissions.copy())
            sent = len(self.tasks.requests) + len(self.commands.requests)
            if sent == before:
                break
        return waiting + sent

    @property
    def is_accepted(self) -> bool:
        """Whether the hub has accepted everything."""
        return not (self.waits or any(each.unaccepted() for each in self.ledgers))

    @property
    def names_results(self) -> bool:
        """Whether a task that is called with results may not have come to the hub.

        These are not to be acknowledged before: the hub might keep them no longer. On the task's own
        stream the acknowledgement is behind it.
        """
        if self._naming:  # mostly few; and there may be a million tasks
            requests = self.tasks.requests
            self._naming = {number for number in self._naming if number in requests}
        return bool(self._naming)

    def accepted(self, stream: Stream, ranges: Ranges) -> None:
        """Take note of what the hub has stored."""
        self.ledger(stream).accept(ranges)
        if self.acceptance is not None:
            self.acceptance.accepted(ranges)
        if self._naming and stream is Stream.TASK:
            self._naming.difference_update(select(ranges, self._naming))

    @property
    def ledgers(self) -> tuple[Ledger[Any], ...]:
        """What has been sent and has not ended, of each stream."""
        return self.commands, self.tasks

    def ledger(self, stream: Stream) -> Ledger[Any]:
        """Return what has been sent on a stream and has not ended."""
        return self.tasks if stream is Stream.TASK else self.commands

    def outstanding(self) -> list[Request]:
        """Return the requests that have not ended, each once, however many rows it has."""
        sent = (*self.commands.requests.values(), *self.tasks.requests.values())
        submitted = self.submissions.copy()  # others go on submitting; a tuple could be torn by them
        waiting = (each for each in submitted if not isinstance(each, FailureReceipt))
        return list(dict.fromkeys((*sent, *waiting)))

    def numbers(self) -> set[int]:
        """Return the ids of the requests that have not ended."""
        return {*self.commands.requests, *self.tasks.requests, *self.waiting_numbers()}

    def waiting_numbers(self) -> set[int]:
        """Return the ids of the requests that have not been sent."""
        submitted = self.submissions.copy()  # others go on submitting; a tuple could be torn by them
        return {number for request in submitted for number in request._numbers()}

    def take_waiting(self) -> Iterator[Request]:
        """Take the requests that have not been sent; another thread may do so at the same time."""
        while self.submissions:
            try:
                request = self.submissions.popleft()
            except IndexError:
                return
            if not isinstance(request, FailureReceipt):
                yield request

    def messages(self) -> list[tuple[Stream, Message]]:
        """Take the next messages to send: those again first, and not too many at a time."""
        messages = self._messages = []
        requests, again, submissions = self.tasks.requests, self._again, self.submissions
        while again and len(messages) < MESSAGES_PER_TURN:
            number, after = again.popleft()
            request = requests.get(number)
            if request is not None:
                self._add(number, request._template(), request._payload(number), after)
        while submissions and len(messages) < MESSAGES_PER_TURN:
            # Taken out last: entering twice, after Ctrl-C in between, does no harm.
            first = submissions[0]
            first._enter(self)
            if submissions and submissions[0] is first:
                submissions.popleft()
        self._flush()
        self._messages = []  # or else the data of the last ones would stay until the next
        return messages

    def new_hub(self) -> None:
        """Take nothing for known: another hub has none of what was sent."""
        self._generation += 1
        self._of_former_hub = max(self.commands.requests, default=self._of_former_hub)
        self._insert_values(self.outstanding())
        self.tasks.forget_acceptance()
        self.commands.forget_acceptance()
        hooks = {hook.first: hook for hook in tuple(self.start_hooks.values())}
        if hooks:
            # Sorted: the last in the dictionary has to be the highest, for `_last_command`.
            self.commands.requests = dict(sorted({**self.commands.requests, **hooks}.items()))

    def _insert_values(self, requests: Iterable[Request]) -> None:
        for request in requests:
            if isinstance(request, CalledWithResults):
                request._insert_values()

    def forget_hooks(self, gone: Ranges) -> None:
        """Give start hooks to no other hub: somebody has removed them."""
        hooks = {hook.first: name for name, hook in tuple(self.start_hooks.items())}
        for number in select(gone, hooks):
            self.start_hooks.pop(hooks[number], None)

    def withdraw(self, wanted: Container[int]) -> tuple[list[tuple[int, Request]], list[int]]:
        """Take back what waits here to be sent.

        Returns
        -------
        list, list
            The requests, by id; and those of the ids that the hub may have all the same, from an
            earlier time that they were sent.
        """
        taken: list[tuple[int, Request]] = []
        for request in self.submissions.copy():  # a copy: other threads go on submitting
            if isinstance(request, FailureReceipt):
                continue
            numbers = request._numbers()
            if all(number in wanted for number in numbers):
                self.submissions.remove(request)
                taken += [(number, request) for number in numbers]
        # Ctrl-C may have struck when it was half on its way: see `messages`.
        sent = [n for n, _ in taken if self.tasks.drop(n) or self.commands.drop(n)]
        again = [n for n, _ in self._again if n in wanted and n in self.tasks.requests]
        if again:
            taken += self.tasks.take(again)
            self._again = deque(entry for entry in self._again if entry[0] not in wanted)
        return taken, sent + again

    def again(self, stream: Stream) -> list[Message]:
        """Say again what was not accepted: return commands at once, tasks with `messages`."""
        if stream is Stream.TASK:
            lacking = self.tasks.unaccepted()
            self._insert_values(map(self.tasks.requests.__getitem__, lacking))
            self._again = deque(self._after_commands(lacking))
            return []
        found: list[Message] = []
        requests = self.commands.requests
        # Of one command, what has ended in between parts it into several.
        for command, numbers in groupby(self.commands.unaccepted(), requests.__getitem__):
            for first, last in to_ranges(numbers):
                resent = first <= self._of_former_hub
                found.append(command_message(command, first, last, self._generation, resent=resent))
        return found

    def functions(self, stream: Stream, digests: Iterable[bytes]) -> Functions | None:
        """Return functions that the hub lacks; None if nothing outstanding needs them."""
        wanted = set(digests)
        found: dict[bytes, Function] = {}
        for function in self._functions(stream):
            if function.digest in wanted and function.digest not in found:
                function.sent.pop(stream, None)
                found[function.digest] = function
                if len(found) == len(wanted):
                    break
        frames = FrameList()
        rows = rows_for(list(found.values()), frames, stream, self._generation)
        return Functions(rows, frames.frames) if rows else None

    def _functions(self, stream: Stream) -> Iterable[Function]:
        if stream is Stream.TASK:
            return (request._template().function for request in self.tasks.requests.values())
        functions = (command.function for command in self.commands.requests.values())
        return (function for function in functions if function is not None)

    # ------------------------------------------------------------ what requests call

    def add_task(
        self, number: int, request: TaskRequest, template: Template, payload: Payload
    ) -> None:
        """Send a task with the current batch (for `Request._enter`)."""
        self.tasks.requests[number] = request
        batch = self._batch
        if batch is None:
            batch = self._batch = TaskBatch(self._last_command(), self._generation)
        batch.add(number, template, payload)
        if batch.full:
            self._flush()

    def add_names(self, number: int) -> None:
        """Take note that a task is called with results (for `Request._enter`)."""
        self._naming.add(number)

    def add_command(self, command: CommandRequest | StartHookRequest) -> None:
        """Send a command, after the tasks that were added before it (for `Request._enter`)."""
        self._flush()
        requests = self.commands.requests
        highest = next(reversed(requests), 0)
        numbers = command._numbers()
        requests.update(dict.fromkeys(numbers, command))
        if highest > command.first:
            # Another thread took a later id and was quicker: the last in the dictionary has to be
            # the highest, for `_last_command`.
            self.commands.requests = dict(sorted(requests.items()))
        if self.acceptance is not None:
            self.acceptance.sent(numbers)
        message = command_message(command, numbers[0], numbers[-1], self._generation)
        self._messages.append((Stream.MULTIENGINE, message))

    def add_receipt(self, ranges: Ranges) -> None:
        """Acknowledge results of commands, after the commands that were added before it."""
        self._messages.append((Stream.MULTIENGINE, Received(ranges)))

    # ------------------------------------------------------------ batches

    def _last_command(self) -> int:
        requests = self.commands.requests
        return requests[next(reversed(requests))].first if requests else 0

    def _after_commands(self, numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
        """Yield tasks that are sent again, in order, each with the command before it or 0."""
        commands = sorted({command.first for command in self.commands.requests.values()})
        after, place = 0, 0
        for number in numbers:
            while place < len(commands) and commands[place] < number:
                after = commands[place]
                place += 1
            yield number, after

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
            if self.acceptance is not None:
                self.acceptance.sent(row[0] for row in self._batch.rows)
            self._messages.append((Stream.TASK, self._batch.message()))
            self._batch = None
