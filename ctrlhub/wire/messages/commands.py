"""Commands to explicit engines: the multiengine stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ctrlhub.wire.ids import Ranges
from ctrlhub.wire.messages.base import Buffer, FunctionRow, Message, PayloadRef
from ctrlhub.wire.record import record


@record
class Command(Message):
    """Client to hub: one action on explicit engines; target number k has id ``first + k``.

    `payloads` holds one payload for all targets, or one for each. With `stop_on_error` its failure on
    an engine clears what the client had sent there behind it before it knew. `resent` says that the hub
    before this one was sent it, and may have had it run.
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
    resent: bool = False
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

    `segments` are groups of four: the number of a frame, and descriptor, stamp and bytes of a segment.
    """

    kind: ClassVar[str] = "lent"
    request: int
    segments: Sequence[int]
