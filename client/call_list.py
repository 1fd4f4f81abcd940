"""Calls that were not answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from ctrlhub.wire.codec import encode
from ctrlhub.wire.errors import LimitExceeded, SerializationError
from ctrlhub.wire.limits import MAX_CONTROL_BYTES
from ctrlhub.wire.messages import Answer, Call

Answered = Callable[[Answer], None]


class CallList:
    """Calls to the hub's interfaces, each until its answer has come.

    A call is sent once in the life of a hub, since its method may do something that must not be
    done twice. One that a hub did not answer before it died goes to its successor.

    Attributes
    ----------
    numbers : iterator
        The numbers of calls, for any thread.
    unsent : dict
        Those to be sent, by number.
    standing : dict
        What is said to each hub that follows, by what it is about: interface, method, arguments.
    """

    __slots__ = ("_pending", "numbers", "standing", "unsent")

    def __init__(self) -> None:
        self.numbers = count(1)
        self.standing: dict[tuple[str, str], tuple[str, str, Mapping[str, Any]]] = {}
        self._pending: dict[int, tuple[Call, Answered]] = {}
        self.unsent: dict[int, Call] = {}

    def add(self, call: Call, answered: Answered) -> None:
        """Have a call sent; `answered` gets its answer."""
        self._pending[call.id] = call, answered
        self.unsent[call.id] = call

    def forget(self, number: int) -> None:
        """Do not wait for an answer any longer."""
        self._pending.pop(number, None)
        self.unsent.pop(number, None)

    def take_unsent(self) -> list[Call]:
        """Take the calls to be sent."""
        calls = list(self.unsent.values())
        self.unsent.clear()
        return calls

    def answer(self, answer: Answer) -> None:
        """Take an answer; one that nobody waits for is ignored."""
        pending = self._pending.pop(answer.id, None)
        if pending is not None:
            pending[1](answer)

    def send_again(self) -> None:
        """Have all calls sent to another hub, and say to it what is to be said to each."""
        for said in tuple(self.standing.values()):
            call = Call(next(self.numbers), *said)
            self._pending[call.id] = call, heed_nothing
        self.unsent = {number: call for number, (call, _) in self._pending.items()}

    def fail(self, code: str, message: str) -> None:
        """Answer all calls with an error."""
        for number in list(self._pending):
            self.answer(Answer(number, None, code, message))
        self.unsent.clear()


def heed_nothing(answer: Answer) -> None:
    """Take the answer to what nobody waits for."""


def check_call(call: Call) -> None:
    """See that a call can be sent.

    Raises
    ------
    SerializationError
        Its arguments are not plain data.
    LimitExceeded
        They are too large for a call.
    """
    what = f"{call.interface}.{call.method}"
    try:
        (header,) = encode(call)
    except (TypeError, ValueError, OverflowError) as error:
        raise SerializationError(
            f"{what}: arguments must be plain data that msgpack can write: {error}"
        ) from error
    if len(header) > MAX_CONTROL_BYTES:
        raise LimitExceeded(
            f"{what}: the call takes {len(header)} bytes, and a call may take {MAX_CONTROL_BYTES}: "
            "ask in several calls, and send data with push() or as arguments of tasks"
        )
