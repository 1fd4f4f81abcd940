"""Mutations: what is made of a recorded message. No I/O; all chance is the generator's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, nan
from random import Random
from typing import Any

import msgpack

from ctrlhub.wire.ids import COUNTER_BITS, session_of
from ctrlhub.wire.limits import MAX_FRAMES, MAX_ID
from ctrlhub.wire.messages import KINDS, Stream
from tests.fuzz.traffic import Corpus

BOMBS: Sequence[bytes] = (
    *(b"\x91" * depth + b"\xc0" for depth in (70, 500, 5_000, 200_000)),
    *(b"\x81\xa1a" * depth + b"\xc0" for depth in (70, 5_000, 200_000)),
    b"\x82" * 3_000,
    *(code + b"\xff\xff\xff\xff" for code in (b"\xdd", b"\xdf", b"\xc6", b"\xdb", b"\xc9")),
    b"\xdf\x00\x00\xff\xff" + b"\xc0\xc0" * 100,
    b"\xd6\xff\xff\xff\xff\xff",
    b"\xc7\x0c\xff" + b"\xff" * 12,
    b"\xd4\x05x",
    b"\xa2\xff\xfe",
    b"\xc1",
    b"\xdc\xff\xff" + bytes(65_535),
    b"\xdb\x00\x0f\x42\x40" + b"a" * 1_000_000,
    b"\xde\x27\x10" + b"".join(b"\xcd" + n.to_bytes(2, "big") + b"\xc0" for n in range(10_000)),
)
"""Pieces of msgpack that ask for more than is there, or for too much."""

NUMBERS = (
    0, 1, -1, 2**7, 2**15, 2**31, 2**32 - 1, 2**32, 2**40, MAX_ID, 2**63, 2**64 - 1, -(2**31), -(2**63)
)  # fmt: skip
SCALARS: tuple[Any, ...] = (
    *NUMBERS, None, True, False, "", b"", "x" * 5000, b"y" * 70_000, "\0", "\ud800", 0.0, -1.5, inf, -inf, nan, [],
    {}, [[]], {"": {}}, [[0, MAX_ID]], [[5, 1]], [[-1, 1]], [[0, 2**40]], [[n, n] for n in range(600)],
)  # fmt: skip

_MARK = msgpack.ExtType(85, b"a bomb lies here")
_MARKED = msgpack.packb(_MARK)

HARMLESS = {
    "query": ("status", "engines_now", "engine_events", "queue_status", "interfaces"),
    "tasks": ("cancel", "withdraw", "explain", "counts"),
    "multiengine": ("abort",),
    "history": ("follow", "records", "select", "requests", "purge", "resubmit"),
    "logs": ("forward", "received", "unforward"),
    "start_hooks": ("list", "remove"),
    "sessions": ("list", "unfetched", "window", "detach", "end"),
}
"""Methods that a client may call as it likes without ending or disturbing what belongs to others."""


class Mutator:
    """Makes messages that are nearly right, and some that are right.

    Parameters
    ----------
    corpus
        What was recorded.
    random
        Chance.
    """

    def __init__(self, corpus: Corpus, random: Random) -> None:
        self._corpus, self._random = corpus, random
        self._shift = 0
        self._ways: Sequence[Callable[[list[bytes]], list[bytes]]] = (
            self._as_it_is, self._as_it_is, self._as_it_is, self._bytes, self._bytes, self._frames, self._structure, self._structure,
            self._structure, self._splice, self._bomb, self._other_kind, self._call,
        )  # fmt: skip

    def next(self, session: int) -> tuple[Stream, list[bytes]]:
        """Return a message for somebody of a session, and the stream where it would be right."""
        recorded = self._random.choice(self._corpus.messages)
        self._shift += 1
        frames = self._moved(list(recorded.frames), session)
        for _ in range(1 if self._random.random() < 0.7 else 3):
            frames = self._random.choice(self._ways)(frames) or [b""]
        return recorded.stream, frames[: MAX_FRAMES + 1]

    # ------------------------------------------------------------ ids

    def _moved(self, frames: list[bytes], session: int) -> list[bytes]:
        """Give requests ids of the speaker's session, mostly new ones."""
        envelope = _unpacked(frames[0])
        if envelope is None or self._random.random() < 0.1:
            return frames
        offset = self._shift * 1000 if self._random.random() < 0.8 else 0

        def move(value: Any) -> Any:
            if type(value) is int and session_of(value) in self._corpus.sessions:
                counter = value & ((1 << COUNTER_BITS) - 1)
                return min((session << COUNTER_BITS) + counter + offset, MAX_ID)
            if isinstance(value, list):
                return [move(each) for each in value]
            if isinstance(value, dict):
                return {key: move(each) for key, each in value.items()}
            return value

        return [_packed(move(envelope)), *frames[1:]]

    # ------------------------------------------------------------ ways

    def _as_it_is(self, frames: list[bytes]) -> list[bytes]:
        return frames

    def _bytes(self, frames: list[bytes]) -> list[bytes]:
        """Change bytes of a frame: mostly of the header."""
        random = self._random
        index = 0 if random.random() < 0.8 else random.randrange(len(frames))
        data = bytearray(frames[index])
        for _ in range(random.choice((1, 1, 2, 8))):
            at = random.randrange(len(data) + 1)
            what = random.randrange(5)
            if what == 0 and at < len(data):
                data[at] ^= 1 << random.randrange(8)
            elif what == 1:
                data[at:at] = random.randbytes(random.choice((1, 4, 100)))
            elif what == 2:
                del data[at : at + random.choice((1, 4, 100))]
            elif what == 3:
                del data[at:]
            else:
                data[at:at] = data[at : at + 50]
        return [*frames[:index], bytes(data), *frames[index + 1 :]]

    def _frames(self, frames: list[bytes]) -> list[bytes]:
        """Leave frames out, double them, change their order, add many."""
        random = self._random
        what = random.randrange(6)
        if what == 0:
            del frames[random.randrange(len(frames))]
        elif what == 1:
            frames.insert(random.randrange(len(frames) + 1), random.choice(frames))
        elif what == 2:
            random.shuffle(frames)
        elif what == 3:
            frames += [b""] * random.choice((*[1] * 40, *[1000] * 9, 70_000))
        elif what == 4:
            frames.insert(0, b"")
        else:
            frames.append(random.randbytes(random.choice((*[1] * 5, *[1000] * 5, 300_000))))
        return frames

    def _structure(self, frames: list[bytes]) -> list[bytes]:
        """Put another value somewhere into the header."""
        envelope = _unpacked(frames[0])
        if envelope is None:
            return frames
        return [_packed(self._replaced(envelope, self._random.choice(SCALARS))), *frames[1:]]

    def _bomb(self, frames: list[bytes]) -> list[bytes]:
        """Put a piece of msgpack into the header that asks for too much, or in its place."""
        bomb = self._random.choice(BOMBS)
        envelope = _unpacked(frames[0])
        if envelope is None or self._random.random() < 0.2:
            return [bomb, *frames[1:]]
        header = _packed(self._replaced(envelope, _MARK))
        return [header.replace(_MARKED, bomb), *frames[1:]]

    def _splice(self, frames: list[bytes]) -> list[bytes]:
        """Give it the frames of another."""
        other = self._random.choice(self._corpus.messages).frames
        return [frames[0] if frames else b"", *other[1:]]

    def _other_kind(self, frames: list[bytes]) -> list[bytes]:
        """Say that it is something else, or of another version."""
        envelope = _unpacked(frames[0])
        if not isinstance(envelope, list) or len(envelope) < 3:
            return frames
        if self._random.random() < 0.1:
            envelope[0] = self._random.choice(SCALARS)
        else:
            kinds = [kind for kind in sorted(KINDS) if kind not in ("goodbye", "shutdown")]
            envelope[1] = self._random.choice([*kinds, "abc", "x" * 10_000])
        return [_packed(envelope), *frames[1:]]

    def _call(self, frames: list[bytes]) -> list[bytes]:
        """Call a method with arguments that it has never seen."""
        random = self._random
        interface = random.choice(sorted(HARMLESS))
        names = (
            "requests", "request", "verbose", "query", "first", "after", "logger", "name", "keys", "keep", "session", "x",
        )  # fmt: skip
        arguments = {random.choice(names): random.choice(SCALARS) for _ in range(random.randrange(4))}
        fields = {
            "id": random.choice(NUMBERS), "interface": interface,
            "method": random.choice(HARMLESS[interface]), "arguments": arguments,
        }  # fmt: skip
        return [_packed([1, "call", fields])]

    def _replaced(self, value: Any, by: Any, depth: int = 0) -> Any:
        """Return a copy with something replaced, deep inside mostly."""
        random = self._random
        if depth > 1 and random.random() < 0.3:
            return by
        if isinstance(value, list) and value:
            index = random.randrange(len(value))
            return [*value[:index], self._replaced(value[index], by, depth + 1), *value[index + 1 :]]
        if isinstance(value, dict) and value:
            key = random.choice(list(value))
            if random.random() < 0.1:
                return {each: kept for each, kept in value.items() if each != key}
            return {**value, key: self._replaced(value[key], by, depth + 1)}
        return by


def _unpacked(header: bytes) -> Any:
    """Return what a header says; None where that cannot be read any more."""
    try:
        return msgpack.unpackb(header, strict_map_key=False)
    except Exception:  # msgpack raises many types; there is nothing to tell, it was spoilt here
        return None


def _packed(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value, unicode_errors="surrogatepass")
    return packed
