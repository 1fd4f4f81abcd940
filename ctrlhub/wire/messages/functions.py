"""Functions by digest, asked for and sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ctrlhub.wire.messages.base import Buffer, FunctionRow, Message
from ctrlhub.wire.record import record


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
