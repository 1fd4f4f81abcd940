"""Every message of the protocol, as a frozen dataclass, by what it is about; one table from kind to class.

A message is one msgpack header and, for bulk data, raw frames behind it (:mod:`ctrlhub.wire.codec`).
Hot messages are batches: their rows stay plain tuples, whose columns are named here, since one object
per task would cost more than the rest of the protocol.

A *payload* in a row is either ``bytes`` (up to `limits.INLINE_BYTES`) or a reference ``(first, count)``
to the message's own frames. Nobody but clients and engines looks into a payload.
"""

from __future__ import annotations

from collections.abc import Mapping

from ctrlhub.wire.messages.base import (
    CLIENT_ROLES,
    OUTPUT_STREAMS,
    Action,
    Buffer,
    CompletedRow,
    FunctionRow,
    Message,
    OutputItem,
    Payload,
    PayloadRef,
    ResourceRow,
    ResultRow,
    Role,
    RunRow,
    Status,
    Stream,
    SubmitRow,
    TemplateRow,
    UsageRow,
    ValueRow,
    WatchedRow,
)
from ctrlhub.wire.messages.commands import (
    Command,
    HooksGone,
    Lent,
    RunCommand,
    StartHook,
)
from ctrlhub.wire.messages.control import (
    Answer,
    Call,
    Drain,
    EngineEvent,
    ForwardLogs,
    Interrupt,
    Restart,
    Retire,
    Shutdown,
    Signal,
    StartEngines,
    Subscribed,
)
from ctrlhub.wire.messages.functions import (
    Functions,
    NeedFunctions,
)
from ctrlhub.wire.messages.joining import (
    Beat,
    DeathNoted,
    EngineDied,
    Enrol,
    Enrolled,
    Goodbye,
    Hello,
    Refused,
    Register,
    Registered,
    SayHello,
    Welcome,
)
from ctrlhub.wire.messages.output import (
    LogRecords,
    Output,
    OutputReceived,
    WatchedOutput,
)
from ctrlhub.wire.messages.parts import (
    Part,
    PartsTaken,
)
from ctrlhub.wire.messages.results import (
    Accepted,
    Completed,
    Received,
    Results,
    Stored,
)
from ctrlhub.wire.messages.tasks import (
    GaveBack,
    GiveBack,
    RunTasks,
    SubmitTasks,
)

__all__ = [
    "CLIENT_ROLES",
    "KINDS",
    "OUTPUT_STREAMS",
    "Accepted",
    "Action",
    "Answer",
    "Beat",
    "Buffer",
    "Call",
    "Command",
    "Completed",
    "CompletedRow",
    "DeathNoted",
    "Drain",
    "EngineDied",
    "EngineEvent",
    "Enrol",
    "Enrolled",
    "ForwardLogs",
    "FunctionRow",
    "Functions",
    "GaveBack",
    "GiveBack",
    "Goodbye",
    "Hello",
    "HooksGone",
    "Interrupt",
    "Lent",
    "LogRecords",
    "Message",
    "NeedFunctions",
    "Output",
    "OutputItem",
    "OutputReceived",
    "Part",
    "PartsTaken",
    "Payload",
    "PayloadRef",
    "Received",
    "Refused",
    "Register",
    "Registered",
    "ResourceRow",
    "Restart",
    "ResultRow",
    "Results",
    "Retire",
    "Role",
    "RunCommand",
    "RunRow",
    "RunTasks",
    "SayHello",
    "Shutdown",
    "Signal",
    "StartEngines",
    "StartHook",
    "Status",
    "Stored",
    "Stream",
    "SubmitRow",
    "SubmitTasks",
    "Subscribed",
    "TemplateRow",
    "UsageRow",
    "ValueRow",
    "WatchedOutput",
    "WatchedRow",
    "Welcome",
]

KINDS: Mapping[str, type[Message]] = {
    cls.kind: cls
    for cls in (
        Enrol, Enrolled, Register, Registered, Refused, Hello, Welcome, SayHello, Beat, EngineDied, DeathNoted,
        Goodbye, Call, Answer, Interrupt, Signal, Restart, StartEngines, Shutdown, Retire, Drain, ForwardLogs, Subscribed, EngineEvent, Command, StartHook,
        HooksGone, RunCommand, Lent, Part, PartsTaken, SubmitTasks, RunTasks, GiveBack, GaveBack, Accepted, Results, Stored, Completed, Received,
        Output,
        OutputReceived, WatchedOutput, LogRecords, NeedFunctions, Functions,
    )
}  # fmt: skip
"""Every message by its word on the wire."""
