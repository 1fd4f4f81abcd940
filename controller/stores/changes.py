"""What a transaction of a store has to do, and what its files are called."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from ctrlhub.wire.messages import Payload


class Kind(IntEnum):
    """What an entry of a batch is about: the places in what is known of each request."""

    REQUEST = 0
    RESULT = 1
    FETCHED = 2


@dataclass(slots=True)
class Changes:
    """What a transaction has to do.

    Attributes
    ----------
    batches, functions, kept
        To be inserted, or put in the place of what is there.
    gone_batches, gone_functions, gone_names
        To be removed.
    files
        To be written before: payloads by the name of the file.
    gone_files
        To be removed afterwards.
    """

    batches: dict[int, bytes] = field(default_factory=dict)
    gone_batches: list[int] = field(default_factory=list)
    functions: dict[bytes, Payload] = field(default_factory=dict)
    gone_functions: list[bytes] = field(default_factory=list)
    kept: dict[str, bytes] = field(default_factory=dict)
    gone_names: list[str] = field(default_factory=list)
    files: dict[str, Payload] = field(default_factory=dict)
    gone_files: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)


def file_name(kind: int, number: int) -> str:
    """Return the name of the file of a request's arguments, or of its value."""
    return f"{number:016x}.{Kind(kind).name.lower()}"
