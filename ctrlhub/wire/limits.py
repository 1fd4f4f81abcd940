"""Every limit of the wire, once, with its unit.

Precedents: NATS refuses messages over 1 MiB by default and beanstalkd jobs over 64 KiB; here bulk data
travels in frames of its own, so only what the hub must parse is bounded tightly.
"""

from __future__ import annotations

PROTOCOL_MAJOR = 1
"""Peers of another major version are refused with a message that names both."""

INLINE_BYTES = 64 * 1024
"""A payload up to this size (bytes) travels inside its batch, while there is room (`BATCH_BYTES`); a
larger one in frames of its own."""

MAX_HEADER_BYTES = 16 * 1024 * 1024
"""The largest msgpack header (bytes) that is parsed."""

MAX_CONTROL_BYTES = 1024 * 1024
"""The largest header (bytes) on the hub stream, where only small messages travel; and the most of a
message of output or log records."""

MAX_HELLO_BYTES = 4096
"""The largest frame (bytes) that a client sends on iopub, where it says hello and nothing else."""

MAX_FRAMES = 65_536
"""The most payload frames in one message."""

BATCH_ROWS = 512
"""The most rows (tasks, results) a sender puts into one message: small enough that a hub has begun to
hand out the first while it takes in the next."""

BATCH_BYTES = 1024 * 1024
"""A sender closes a batch once its payloads exceed this (bytes), and puts no more of them into its
header: what comes behind travels in frames of its own, however small."""

OUTPUT_TEXT_BYTES = 2 * 1024 * 1024
"""The most text (bytes) of each of a request's two streams that travels with its result."""

OUTPUT_DISPLAY_BYTES = 4 * 1024 * 1024
"""The most (bytes) of what a request displays, its value included, that travels with its result; and
the most of what it publishes."""

OUTPUT_MESSAGE_BYTES = 64 * 1024
"""An engine closes a message of live output once it holds so much (bytes)."""

OUTPUT_ITEM_BYTES = 100
"""What a piece of output counts beside its text or data, where it is bounded (bytes)."""

OUTPUT_WINDOW = 512 * 1024
"""The most live output (bytes) of a request that is under way: more leaves when the client has it."""

MAX_TEXT = 4096
"""The longest name, label or host (characters) in a message."""

COUNTER_BITS = 40
"""A request id is ``session << COUNTER_BITS | counter``: a million million requests a session."""

MAX_SESSION = (1 << 23) - 1
"""The highest session number, so that every request id fits in 63 bits."""

MAX_DEPTH = 64
"""So deep may maps and lists lie in each other, in a field that holds any."""

MAX_CONTAINERS = 262_144
"""So many maps and lists may a field have that holds any."""

MAX_ITEMS = 2_097_152
"""So many items may all maps and lists of a header have together."""

MAX_ID = (1 << 63) - 1
"""The highest request id, and the highest integer in a message."""

MAX_FRAME_BYTES = 8 * 1024**3
"""The largest payload frame (bytes) that a listener takes."""

SEGMENT_BYTES = 256 * 1024
"""A buffer from this size (bytes) is kept in shared memory, and handed over by reference to a peer on
the same host: below it, the bytes are there sooner."""

WHOLE_BYTES = 4 * 1024 * 1024
"""A larger message (bytes) travels in parts, where its receiver takes them."""

PART_BYTES = 512 * 1024
"""The bytes of a part: so long others wait for the line."""

PARTS_WINDOW = 4 * 1024 * 1024
"""The most bytes of parts under way that the receiver has not said to have taken."""

BULK_FIRST_BYTES = 64 * 1024
"""The bytes of the first part, which goes by the stream, of what is to go by a bulk connection."""

BULK_PART_BYTES = 512 * 1024
"""The bytes of the other parts, there."""

BULK_WINDOW = 8 * 1024 * 1024
"""The most bytes of parts under way on a bulk connection that the receiver has not said to have taken."""

SEGMENTS = 256
"""The most segments that a client or engine keeps for others: each takes a descriptor, of which a
process has some thousand. What is beyond travels as bytes."""

SHARED_BYTES = 8 * 1024**3
"""The most bytes that a client or engine keeps for others in segments."""

BORROWED_SEGMENTS = 16_384
"""The most segments that a hub keeps open; the bytes of further ones it takes in."""
