"""Records as bytes: what stands in a batch of a store's journal.

A row is msgpack behind its CRC-32. A batch is one array: its format, then sessions, templates, tasks, commands, results, and the
ranges of ids that were fetched and forgotten. A payload is bytes; an array of buffers; an array of
sizes, whose buffers stand in a file of their own; or nil, if it was not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from struct import Struct
from typing import Any, NamedTuple
from zlib import crc32

import msgpack

from ctrlhub.controller.core.commands import CommandRecord
from ctrlhub.controller.core.deliveries import Outcome
from ctrlhub.controller.core.history import GONE
from ctrlhub.controller.core.saved import SavedCommand, SavedSession, SavedTask, SavedTemplate
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.core.tasks import Template
from ctrlhub.wire.ids import Ranges
from ctrlhub.wire.messages import Buffer, Payload
from ctrlhub.wire.options import PLAIN
from ctrlhub.wire.segments import Segment

FORMAT = 1
"""Of a batch; one of another number was written by another version of ctrl-hub."""

FILE_BYTES = 1024 * 1024
"""A payload of so many bytes stands in a file of its own."""

_SEALED = b"\xc1"
"""What a row begins in that has a checksum; no msgpack does."""

_SEAL = Struct("<cI")


class Batch(NamedTuple):
    """A batch that was read: packed rows, as they were written."""

    sessions: Sequence[tuple[Any, ...]]
    templates: Sequence[tuple[Any, ...]]
    tasks: Sequence[tuple[Any, ...]]
    commands: Sequence[tuple[Any, ...]]
    results: Sequence[tuple[Any, ...]]
    fetched: Ranges
    forgotten: Ranges


class UnknownFormat(ValueError):
    """What is stored was written by another version of ctrl-hub, or damaged."""


def bytes_of(buffer: Buffer) -> bytes:
    """Return the bytes of a buffer, whatever it is."""
    if type(buffer) is Segment:
        return buffer.read(0, buffer.nbytes)
    return bytes(memoryview(buffer).cast("B"))


# Half a surrogate pair in a label must not end the store.
_packer = msgpack.Packer(use_bin_type=True, unicode_errors="surrogatepass", default=bytes_of)


def pack(value: Any) -> bytes:
    """Return msgpack, sealed; text of any kind comes back as it was, a buffer of any kind as bytes."""
    packed: bytes = _packer.pack(value)
    return _SEAL.pack(_SEALED, crc32(packed)) + packed


def unpack(body: bytes) -> Any:
    """Return what was packed.

    Raises
    ------
    UnknownFormat
        It was altered, or is no msgpack.
    """
    if type(body) is not bytes:
        raise UnknownFormat("it is damaged: there is no content")
    packed = memoryview(body)
    if packed[:1] == _SEALED:  # what an earlier version has written is not
        packed = packed[_SEAL.size :]
        if len(body) < _SEAL.size or _SEAL.unpack_from(body) != (_SEALED, crc32(packed)):
            raise UnknownFormat("it is damaged: its checksum is not right")
    try:
        return msgpack.unpackb(
            packed, use_list=False, strict_map_key=False, unicode_errors="surrogatepass",
            max_bin_len=len(body), max_str_len=len(body), max_array_len=len(body),
        )  # fmt: skip
    except Exception as error:  # msgpack raises many types
        raise UnknownFormat(f"it is no msgpack: {type(error).__name__}") from error


def read_batch(body: bytes) -> Batch:
    """Return the rows of a batch.

    Raises
    ------
    UnknownFormat
        It is none that this version can read.
    """
    found = unpack(body)
    if type(found) is not tuple or not found or found[0] != FORMAT or len(found) != 8:
        raise UnknownFormat("it is no batch that this version of ctrl-hub knows")
    if any(type(rows) is not tuple for rows in found[1:]):
        raise UnknownFormat("it is damaged: its rows are none")
    return Batch(*found[1:])


def pack_batch(batch: Batch) -> bytes:
    """Return the bytes of a batch."""
    return pack((FORMAT, *batch))


# ---------------------------------------------------------------- rows


def session_row(session: Session) -> tuple[Any, ...]:
    """Return the row of a client."""
    return session.number, session.key, session.incarnation, session.pid, session.host, session.role.value


def template_row(template: Template, unix_offset: float) -> tuple[Any, ...]:
    """Return the row of a template; `unix_offset` is what the hub's clock lacks to Unix time."""
    options = None if template.options is PLAIN else template.options.to_wire()
    return (
        template.function.digest, template.retries, template.engine_retries, template.label,
        template.submitted + unix_offset, options,
    )  # fmt: skip


def command_row(command: CommandRecord, payload: Any, unix_offset: float) -> tuple[Any, ...]:
    """Return the row of a command with its packed payload."""
    function = command.function
    return (
        command.id, command.session.number, command.action,
        b"" if function is None else function.digest, command.target, command.label,
        command.submitted + unix_offset, command.stop_on_error, payload,
    )  # fmt: skip


def pack_payload(payload: Payload) -> Any:
    """Return what stands in a row for a payload that has no file."""
    if isinstance(payload, bytes):
        return payload
    return tuple(map(bytes_of, payload)) or None


# ---------------------------------------------------------------- reading

Open = Callable[[int, Sequence[int]], Payload]
"""Returns the buffers of a request, or of a result, from its file: by id, with their sizes."""


def unpack_payload(packed: Any, number: int, open_file: Open) -> Payload:
    """Return the payload that stands in a row."""
    if packed is None:
        return GONE
    if type(packed) is tuple and packed and type(packed[0]) is int:
        return open_file(number, packed)
    payload: Payload = packed
    return payload


def read_sessions(batch: Batch) -> Iterable[SavedSession]:
    """Yield the clients of a batch."""
    return (SavedSession(*row) for row in batch.sessions)


def read_templates(batch: Batch) -> list[SavedTemplate]:
    """Return the templates of a batch."""
    return [SavedTemplate(*row) for row in batch.templates]


def read_task(row: Sequence[Any], templates: Sequence[SavedTemplate], open_file: Open) -> SavedTask:
    """Return the task of a row."""
    return SavedTask(row[0], templates[row[1]], unpack_payload(row[2], row[0], open_file))


def read_command(row: Sequence[Any], open_file: Open) -> SavedCommand:
    """Return the command of a row."""
    payload = unpack_payload(row[-1], row[0], open_file)
    return SavedCommand(*(row[0], *row[2:-1], payload))


def read_result(row: Sequence[Any], open_file: Open) -> Outcome:
    """Return the outcome of a row."""
    payload = unpack_payload(row[2], row[0], open_file)
    extras = dict(row[6]) if isinstance(row[6], Mapping) else row[6]
    return (row[0], row[1], payload, row[3], row[4], row[5], extras)
