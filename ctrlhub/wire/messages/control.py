"""Control: calls, and what is done to engines. The hub stream, but for engine events and logs asked for."""

from __future__ import annotations

from collections.abc import Mapping
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
    """Hub to engine or nanny: finish and exit."""

    kind: ClassVar[str] = "shutdown"
    reason: str = ""


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
