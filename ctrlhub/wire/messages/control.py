"""Control: calls, and what is done to engines. The hub stream, but for engine events and logs asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ctrlhub.wire.ids import Ranges
from ctrlhub.wire.messages.base import Message
from ctrlhub.wire.record import record


@record
class Call(Message):
    """Client to hub: call a small method of an interface. Exactly one `Answer` comes back."""

    kind: ClassVar[str] = "call"
    id: int
    interface: str
    method: str
    arguments: Mapping[str, Any]


@record
class Answer(Message):
    """Hub to client: the value of a `Call`, or the error's code and text (`code` is "" for none)."""

    kind: ClassVar[str] = "answer"
    id: int
    value: Any = None
    code: str = ""
    message: str = ""


@record
class Interrupt(Message):
    """Hub to engine: stop requests.

    With `cancels` they are those of a client that wants them no more: drop what has not begun,
    interrupt what runs. Without it whatever runs now is interrupted, whether it is named or not;
    if nothing runs, the commands that are named are, as soon as they run. What is interrupted ends
    with the KeyboardInterrupt that it gets.
    """

    kind: ClassVar[str] = "interrupt"
    requests: Ranges
    cancels: bool = True


@record
class Signal(Message):
    """Hub to nanny: send a signal, by name, to the engine process of this key."""

    kind: ClassVar[str] = "signal"
    key: str
    name: str


@record
class Restart(Message):
    """Hub to nanny: end this process (`incarnation`) of an engine, and start another in its place."""

    kind: ClassVar[str] = "restart"
    key: str
    incarnation: bytes
    reason: str = ""
    at_once: bool = False


@record
class StartEngines(Message):
    """Hub to an elastic nanny: start so many further engines."""

    kind: ClassVar[str] = "start_engines"
    count: int


@record
class Shutdown(Message):
    """Hub to engine or nanny: finish and exit.

    An engine gives back what it has not begun; what runs may go on `within` so many seconds (without an
    end, if that is infinite), and is given back then. A negative number leaves it the few seconds that
    an engine has of its own, as a hub does that ends itself.
    """

    kind: ClassVar[str] = "shutdown"
    reason: str = ""
    within: float = -1.0


@record
class Retire(Message):
    """Hub to nanny: this process (`incarnation`) of an engine is to finish: start no other in its place.

    If it is there still when `within` seconds are over, and some more to leave in, end it; a negative
    number: as with `Shutdown`.
    """

    kind: ClassVar[str] = "retire"
    key: str
    incarnation: bytes
    reason: str = ""
    within: float = -1.0


@record
class Drain(Message):
    """Nanny to hub: these engines of mine (keys) are to finish within so many seconds, and leave."""

    kind: ClassVar[str] = "drain"
    keys: Sequence[str]
    reason: str
    within: float


@record
class ForwardLogs(Message):
    """Hub to engine: forward what these loggers log from these levels on (numbers), and no others."""

    kind: ClassVar[str] = "forward_logs"
    levels: Mapping[str, Any]


@record
class Subscribed(Message):
    """Hub to client, iopub: what is published from now on arrives; `events` were before."""

    kind: ClassVar[str] = "subscribed"
    events: int


@record
class EngineEvent(Message):
    """Hub to clients, iopub: an engine came, went or changed state; `number` has no gaps."""

    kind: ClassVar[str] = "engine_event"
    number: int
    event: str
    engine: Mapping[str, Any]
