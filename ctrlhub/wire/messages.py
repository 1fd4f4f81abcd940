"""Every message of the protocol, as a frozen dataclass; one table from kind to class.

A message is one msgpack header and, for bulk data, raw frames behind it (:mod:`ctrlhub.wire.codec`).
Hot messages are batches: their rows stay plain tuples, whose columns are named here, since one object
per task would cost more than the rest of the protocol.

A *payload* in a row is either ``bytes`` (up to `limits.INLINE_BYTES`) or a reference ``(first, count)``
to the message's own frames. Nobody but clients and engines looks into a payload.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum, StrEnum
from typing import Any, ClassVar, TypeAlias

from ctrlhub.wire.ids import Ranges
from ctrlhub.wire.record import record

Buffer: TypeAlias = Any
"""Anything with the buffer protocol: bytes, memoryview, a received frame; also a `Segment` that is to
be sent, and a `SegmentRef` that has come (:mod:`ctrlhub.wire.segments`)."""

PayloadRef: TypeAlias = bytes | tuple[int, int]
"""A payload as it stands in a row: inline bytes, or (first frame, number of frames)."""

Payload: TypeAlias = bytes | tuple[Buffer, ...]
"""A payload in memory: inline bytes, or the buffers themselves."""

FunctionRow: TypeAlias = tuple[bytes, PayloadRef]
"""(digest, serialized function)."""

TemplateRow: TypeAlias = tuple[bytes, int, int, str]
"""(function digest, retries, engine_retries, label): what the tasks of a call share."""

SubmitRow: TypeAlias = tuple[int, int, PayloadRef]
"""(task id, index into templates, arguments)."""

RunRow: TypeAlias = tuple[int, int, int, PayloadRef]
"""(task id, attempt, index into templates, arguments)."""

ResultRow: TypeAlias = tuple[int, int, int, PayloadRef, float, float, Any]
"""(request id, attempt, Status, value or failure, started, elapsed, extras) from an engine.

`started` is a Unix time and `elapsed` a duration, both in seconds; `extras` is None or a map
(``stdout``, ``stderr``, ``execute_result`` ...).
"""

CompletedRow: TypeAlias = tuple[int, int, PayloadRef, int, float, float, Any]
"""(request id, Status, value or failure, engine id or -1, started, elapsed, extras) to a client."""


OUTPUT_STREAMS = ("stdout", "stderr")
"""The kinds of output that are text."""

OutputItem: TypeAlias = tuple[str, int, Any]
"""(kind, position, value): a piece of what a request puts out.

The kind is ``stdout``, ``stderr`` (a text; its position counts characters), ``display`` (a map) or
``data`` (a map of pickled values); their positions count what came before of the same kind.
"""


class Stream(StrEnum):
    """The four streams: one socket each, so that bulk data never delays a heartbeat."""

    HUB = "hub"
    MULTIENGINE = "multiengine"
    TASK = "task"
    IOPUB = "iopub"


class Role(StrEnum):
    """What a peer is, and so what it may say."""

    ENGINE = "engine"
    NANNY = "nanny"
    CLIENT = "client"


class Status(IntEnum):
    """How a request ended; `UNMET`, an error too, is for tasks that may run elsewhere."""

    OK = 0
    ERROR = 1
    CANCELLED = 2
    UNMET = 3


class Action(StrEnum):
    """What a command asks of an engine."""

    EXECUTE = "execute"
    APPLY = "apply"
    PUSH = "push"
    PULL = "pull"
    CLEAR = "clear"
    UPLOAD = "upload"


@record
class Message:
    """What all messages share."""

    kind: ClassVar[str]


# ---------------------------------------------------------------- joining (hub stream unless said)


@record
class Enrol(Message):
    """Peer to hub, over TCP with an enrolment key: accept this public key of mine (z85)."""

    kind: ClassVar[str] = "enrol"
    public_key: str


@record
class Enrolled(Message):
    """Hub to peer: the key opens every stream now."""

    kind: ClassVar[str] = "enrolled"
    public_key: str


@record
class Register(Message):
    """Peer to hub: who I am. Repeated with `token` to resume a session after a silence.

    `incarnation` is fresh in every process: an engine's key with another incarnation means that its
    namespace is gone. `session` and `engine_id` are wishes (-1: none), granted when free.
    `versions` holds ``ctrlhub``, ``python``, ``protocol``, and ``cloudpickle`` where it is loaded.
    `segment` is a segment of ours (descriptor, inode, bytes) that holds the incarnation: a hub that can
    read it may be sent references to others. `node` names what shares processes and memory with us.
    """

    kind: ClassVar[str] = "register"
    role: str
    key: str
    incarnation: bytes
    pid: int
    host: str
    versions: Mapping[str, str]
    token: bytes = b""
    session: int = -1
    engine_id: int = -1
    supervised: bool = False
    segment: Sequence[int] = ()
    node: str = ""


@record
class Registered(Message):
    """Hub to peer: the session. `token` opens the other streams (`Hello`).

    `subscription` is the session's secret topic on iopub. `resumed` tells that the hub still knew
    the session. `engines` are the engines of the moment, for clients; `events` the number of the
    last engine event they include. Times are in seconds. `segment` is one of the hub's (process id,
    descriptor, inode, bytes), if it could read the peer's.
    """

    kind: ClassVar[str] = "registered"
    session: int
    token: bytes
    engine_id: int
    epoch: str
    resumed: bool
    subscription: bytes
    beat: float
    suspect: float
    lease: float
    engines: Sequence[Mapping[str, Any]] = ()
    events: int = 0
    segment: Sequence[int] = ()


@record
class Refused(Message):
    """Hub to peer, any stream: this will not be; `code` names the error class.

    `requests` are those of the refused message, as far as the hub could read it.
    """

    kind: ClassVar[str] = "refused"
    code: str
    message: str
    requests: Ranges = ()


@record
class Hello(Message):
    """Peer to hub, multiengine and task streams: this connection is my session's.

    `held` are the requests an engine has (queued, running, or finished and not acknowledged). `proof`
    is what stands in the hub's segment: it may send references to others.
    """

    kind: ClassVar[str] = "hello"
    token: bytes
    held: Ranges = ()
    proof: bytes = b""


@record
class Welcome(Message):
    """Hub to peer, any stream but iopub: the connection is bound to the session."""

    kind: ClassVar[str] = "welcome"
    epoch: str


@record
class SayHello(Message):
    """Hub to peer, any stream: I do not know this connection; register or say hello."""

    kind: ClassVar[str] = "say_hello"


@record
class Beat(Message):
    """Peer to hub and back. A nanny vouches for the processes (keys) it sees running."""

    kind: ClassVar[str] = "beat"
    vouches: Sequence[str] = ()


@record
class EngineDied(Message):
    """Nanny to hub: the process of this key and incarnation ended; `cause` says how.

    `restarting` tells that the nanny will start another in its place, so its id stays reserved;
    `running` is the request that was running (-1: none), which alone is to blame.
    """

    kind: ClassVar[str] = "engine_died"
    key: str
    incarnation: bytes
    cause: str
    log: str = ""
    restarting: bool = False
    running: int = -1


@record
class Goodbye(Message):
    """Either way: I leave on purpose; nothing is to be kept for me."""

    kind: ClassVar[str] = "goodbye"
    reason: str = ""


# ---------------------------------------------------------------- control (hub stream)


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


# ---------------------------------------------------------------- commands (multiengine stream)


@record
class Command(Message):
    """Client to hub: one action on explicit engines; target number k has id ``first + k``.

    `payloads` holds one payload for all targets, or one for each. With `stop_on_error` its failure on
    an engine clears what the client had sent there behind it before it knew.
    """

    kind: ClassVar[str] = "command"
    first: int
    targets: Sequence[int]
    action: str
    payloads: Sequence[PayloadRef]
    function: bytes = b""
    functions: Sequence[FunctionRow] = ()
    label: str = ""
    stop_on_error: bool = False
    frames: Sequence[Buffer] = ()

    @property
    def last(self) -> int:
        """The id for its last target."""
        return self.first + max(1, len(self.targets)) - 1


@record
class StartHook(Message):
    """Client to hub: have each engine do this before anything else, those that are here now as well.

    It ends as a request: once all engines of the moment have done it, and it is kept under its name;
    or with the failure of one of them, and it is not.
    """

    kind: ClassVar[str] = "start_hook"
    id: int
    name: str
    action: str
    payload: PayloadRef
    function: bytes = b""
    functions: Sequence[FunctionRow] = ()
    frames: Sequence[Buffer] = ()


@record
class HooksGone(Message):
    """Hub to client: somebody else has removed or replaced these start hooks of yours.

    They are not to be given to a hub that follows.
    """

    kind: ClassVar[str] = "hooks_gone"
    requests: Ranges


@record
class RunCommand(Message):
    """Hub to engine: run this before any task that has not begun."""

    kind: ClassVar[str] = "run_command"
    id: int
    action: str
    payload: PayloadRef
    function: bytes = b""
    functions: Sequence[FunctionRow] = ()
    frames: Sequence[Buffer] = ()


@record
class Lent(Message):
    """Engine to hub: what came with a request, and is to be kept, stands in segments of mine.

    `segments` are groups of four: the number of a frame, and descriptor, inode and bytes of a segment.
    """

    kind: ClassVar[str] = "lent"
    request: int
    segments: Sequence[int]


# ---------------------------------------------------------------- tasks (task stream)


@record
class SubmitTasks(Message):
    """Client to hub: a batch of tasks. `after` is the last command the client sent before (0: none)."""

    kind: ClassVar[str] = "submit_tasks"
    templates: Sequence[TemplateRow]
    rows: Sequence[SubmitRow]
    functions: Sequence[FunctionRow] = ()
    after: int = 0
    frames: Sequence[Buffer] = ()


@record
class RunTasks(Message):
    """Hub to engine: tasks to run, in this order."""

    kind: ClassVar[str] = "run_tasks"
    templates: Sequence[TemplateRow]
    rows: Sequence[RunRow]
    functions: Sequence[FunctionRow] = ()
    frames: Sequence[Buffer] = ()


# ---------------------------------------------------------------- results (multiengine and task streams)


@record
class Accepted(Message):
    """Hub to client: these requests are stored and will end; they need not be sent again."""

    kind: ClassVar[str] = "accepted"
    requests: Ranges


@record
class Results(Message):
    """Engine to hub: how requests ended. The engine keeps them until `Stored`."""

    kind: ClassVar[str] = "results"
    rows: Sequence[ResultRow]
    frames: Sequence[Buffer] = ()


@record
class Stored(Message):
    """Hub to engine: these results are safe; forget them."""

    kind: ClassVar[str] = "stored"
    requests: Ranges


@record
class Completed(Message):
    """Hub to client: how requests ended. The hub keeps them until `Received`.

    `events` is the number of the last engine event so far: they travel on another stream.
    """

    kind: ClassVar[str] = "completed"
    rows: Sequence[CompletedRow]
    events: int = 0
    frames: Sequence[Buffer] = ()


@record
class Received(Message):
    """Client to hub: these results arrived; forget them."""

    kind: ClassVar[str] = "received"
    requests: Ranges


@record
class Output(Message):
    """Engine to hub, and hub to the request's client on iopub: what a request puts out as it runs.

    `number` counts the messages of an attempt. `engine` is filled in by the hub. What is lost on the
    way comes with the result.
    """

    kind: ClassVar[str] = "output"
    request: int
    number: int
    items: Sequence[OutputItem]
    engine: int = -1
    attempt: int = 0


@record
class OutputReceived(Message):
    """Client to hub to engine: live output up to this number has arrived; more may follow."""

    kind: ClassVar[str] = "output_received"
    request: int
    number: int
    engine: int


@record
class LogRecords(Message):
    """Engine to hub, and hub to clients on iopub: what was logged. `engine` is filled in by the hub."""

    kind: ClassVar[str] = "log_records"
    records: Sequence[Mapping[str, Any]]
    engine: int = -1


@record
class NeedFunctions(Message):
    """Receiver of a request to its sender: I lack these functions (digests)."""

    kind: ClassVar[str] = "need_functions"
    digests: Sequence[bytes]


@record
class Functions(Message):
    """The answer to `NeedFunctions`."""

    kind: ClassVar[str] = "functions"
    functions: Sequence[FunctionRow]
    frames: Sequence[Buffer] = ()


KINDS: Mapping[str, type[Message]] = {
    cls.kind: cls
    for cls in (
        Enrol, Enrolled, Register, Registered, Refused, Hello, Welcome, SayHello, Beat, EngineDied,
        Goodbye, Call, Answer, Interrupt, Signal, Restart, Shutdown, ForwardLogs, Subscribed, EngineEvent, Command, StartHook,
        HooksGone, RunCommand, Lent, SubmitTasks, RunTasks, Accepted, Results, Stored, Completed, Received,
        Output,
        OutputReceived, LogRecords, NeedFunctions, Functions,
    )
}  # fmt: skip
"""Every message by its word on the wire."""
