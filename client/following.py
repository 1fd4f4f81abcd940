"""Results that a client wants although their requests are not its own, or have ended long ago.

A request of this session that has not ended brings its result here, too. All others are followed at
the hub, which sends their results, now or once they are there, as it sends those of our own.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from functools import partial

from ctrlhub.client.call_list import CallList
from ctrlhub.client.cancellations import parts
from ctrlhub.client.requests import Owner, Stirred
from ctrlhub.client.rows import Row, failed
from ctrlhub.wire.codec import resolve
from ctrlhub.wire.errors import CtrlHubError, ResultLost, error_for
from ctrlhub.wire.ids import from_ranges, session_of, text_of
from ctrlhub.wire.messages import Answer, Buffer, Call

FOLLOW = ("history", "follow")
"""The call by which the hub is asked for results: interface and method."""


class Following:
    """Who waits for which results.

    Parameters
    ----------
    calls
        The calls of the session.
    clock
        Tells the time of the moment (seconds, monotonic).
    """

    __slots__ = ("_calls", "_clock", "_open", "_wanted")

    def __init__(self, calls: CallList, clock: Callable[[], float]) -> None:
        self._calls = calls
        self._clock = clock
        self._wanted: dict[int, list[tuple[Owner, int]]] = {}
        self._open: set[int] = set()  # the calls that were not answered

    def __bool__(self) -> bool:
        return bool(self._wanted)

    def __contains__(self, number: object) -> bool:
        return number in self._wanted

    def expect(self, owner: Owner, numbers: Iterable[int]) -> None:
        """Have an owner get results; its item number k is the k-th of them."""
        for index, number in enumerate(numbers):
            self._wanted.setdefault(number, []).append((owner, index))

    def of_session(self, numbers: Iterable[int], session: int) -> Iterator[int]:
        """Yield those of some requests that are wanted and of a session."""
        for number in numbers:
            if number in self._wanted and session_of(number) == session:
                yield number

    def forget(self, owner: Owner, numbers: Iterable[int]) -> None:
        """Have an owner get no more results."""
        for number in numbers:
            left = [each for each in self._wanted.pop(number, ()) if each[0] is not owner]
            if left:
                self._wanted[number] = left

    def ask(self, numbers: Iterable[int]) -> None:
        """Ask the hub for results."""
        for ranges in parts(numbers):
            call = Call(next(self._calls.numbers), *FOLLOW, {"requests": ranges})
            self._open.add(call.id)
            self._calls.add(call, partial(self._on_answer, list(from_ranges(ranges))))

    def ask_again(self, outstanding: Container[int]) -> None:
        """Ask a hub that we have joined for what is wanted, apart from our own requests.

        Also the one that we had: it may not have got our question. Of what it knows already it takes
        no note.
        """
        for call in self._open:
            self._calls.forget(call)
        self._open.clear()
        self.ask([number for number in self._wanted if number not in outstanding])

    def _on_answer(self, asked: Sequence[int], answer: Answer) -> None:
        self._open.discard(answer.id)
        if answer.code:
            self.fail(asked, error_for(answer.code)(answer.message), self._clock())
            return
        found = set(from_ranges(answer.value["found"]))
        for number in asked:
            if number not in found:
                self.fail([number], unknown(number), self._clock())

    def take(
        self,
        rows: Iterable[Row],
        frames: Sequence[Buffer],
        now: float,
        stirred: dict[Stirred, None],
    ) -> None:
        """Take completed rows, as they came; add whom to stir."""
        for row in rows:
            for owner, index in self._wanted.pop(row[0], ()):
                whole = (*row[:2], resolve(row[2], frames), *row[3:])
                waiter = owner._take(index, whole, now)
                if waiter is not None:
                    stirred[waiter] = None

    def fail(self, numbers: Iterable[int], error: CtrlHubError, now: float) -> None:
        """Let results end with an error of our own."""
        stirred: dict[Stirred, None] = {}
        for number in numbers:
            for owner, index in self._wanted.pop(number, ()):
                waiter = owner._take(index, failed(number, error), now)
                if waiter is not None:
                    stirred[waiter] = None
        for waiter in stirred:
            waiter._stir()

    def fail_all(self, error: CtrlHubError, now: float) -> None:
        """Let all results end with an error of our own."""
        self.fail(list(self._wanted), error, now)


def unknown(number: int) -> ResultLost:
    """Say that the hub does not know a request, and why that may be."""
    return ResultLost(
        f"the hub knows no request {text_of(number)}: it has not come there, or was purged or "
        "forgotten; its history keeps what has ended for a while (the hub's options history_records, "
        "history_bytes, history_age)"
    )
