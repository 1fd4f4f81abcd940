"""What messages are made of: streams, roles, the columns of rows, and what all messages share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum, StrEnum
from typing import Any, ClassVar, TypeAlias

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

TemplateRow: TypeAlias = (
    tuple[bytes, int, int, str] | tuple[bytes, int, int, str, Mapping[str, Any]]
)
"""(function digest, retries, engine_retries, label): what the tasks of a call share; and behind it
their options, if they have any (`ctrlhub.wire.options`)."""

ResourceRow: TypeAlias = tuple[str, float]
"""(name, amount): what an engine has, for tasks that ask for it."""

UsageRow: TypeAlias = tuple[str, float, int]
"""(key of an engine, seconds of a core that its process and its children have worked, bytes of memory
that they have): what is unknown is -1."""

ValueRow: TypeAlias = tuple[int, PayloadRef]
"""(request id, its value): what a task is called with."""

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

WatchedRow: TypeAlias = tuple[int, int, int, Sequence[OutputItem]]
"""(request id, engine id, attempt, what it put out) to a client that watches."""


class Stream(StrEnum):
    """The four streams: one socket each, so that bulk data never delays a heartbeat."""

    HUB = "hub"
    MULTIENGINE = "multiengine"
    TASK = "task"
    IOPUB = "iopub"


class Role(StrEnum):
    """What a peer is, and so what it may say. The last three are clients, each of which may all that the next may.

    `VIEW` reads and changes nothing, `SUBMIT` has code run and stops what is its own, `ADMIN` ends
    engines, hub, and what others have. Connection files, keys, sessions and tokens name them.
    """

    ENGINE = "engine"
    NANNY = "nanny"
    ADMIN = "admin"
    SUBMIT = "submit"
    VIEW = "view"

    @classmethod
    def _missing_(cls, value: object) -> Role | None:
        """Take ``client``, as all clients were called before there were three kinds, for what they were."""
        return cls.ADMIN if value == "client" else None

    @property
    def is_client(self) -> bool:
        """Whether this is one of the clients' roles."""
        return self in _RANKS

    @property
    def noun(self) -> str:
        """What a peer of this role is called: ``engine``, ``nanny`` or ``client``."""
        return "client" if self.is_client else self.value

    def allows(self, needed: Role) -> bool:
        """Say whether a peer of this role may do what needs a role: its own, or of clients a lower one."""
        return self is needed or (needed in _RANKS and _RANKS.get(self, 0) > _RANKS[needed])


_RANKS = {Role.VIEW: 1, Role.SUBMIT: 2, Role.ADMIN: 3}

CLIENT_ROLES: tuple[Role, ...] = (Role.ADMIN, Role.SUBMIT, Role.VIEW)
"""The roles of clients, the highest first."""


class Status(IntEnum):
    """How a request ended; `UNMET`, an error too, is for tasks that may run elsewhere.

    `PARTLY`, an error too, is for a function that was called with many rows: some of them raised.
    """

    OK = 0
    ERROR = 1
    CANCELLED = 2
    UNMET = 3
    PARTLY = 4


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
