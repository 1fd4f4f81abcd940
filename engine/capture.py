"""What one request puts out: kept for its result, and queued to be shown while it runs. No I/O.

The truth is what is kept, up to the limits of the wire. What is queued is for showing alone: where
the client does not follow, or too much comes at once, it is left out, and the positions tell.
Writers are threads of user code; the only reader of the queue is the I/O thread.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Mapping
from threading import RLock
from typing import Any

from ctrlhub.wire.codec import size_of_extras
from ctrlhub.wire.errors import LimitExceeded
from ctrlhub.wire.limits import (
    OUTPUT_DISPLAY_BYTES,
    OUTPUT_ITEM_BYTES,
    OUTPUT_TEXT_BYTES,
    OUTPUT_WINDOW,
)
from ctrlhub.wire.messages import OUTPUT_STREAMS, OutputItem

QUEUED_BYTES = 2 * OUTPUT_WINDOW
"""So much waits to be shown."""

MOST_PIECES = 10_000
"""The order of so many pieces of text is kept; what is printed then follows behind them."""

RESERVE = 64 * 1024
"""Room (bytes) to say of so much that is displayed that it was too much."""


class _Text:
    """What was printed to one stream: what is kept, how much there was, and what never came."""

    __slots__ = ("kept", "lost", "missed", "position", "room")

    def __init__(self, room: int) -> None:
        self.kept = io.StringIO(newline="")
        self.room = room
        self.lost = 0
        self.missed = 0
        self.position = 0


class Capture:
    """The output of one request.

    Parameters
    ----------
    request
        Its id; 0 while that is not known.
    text_limit
        The most bytes of each stream that are kept.
    """

    __slots__ = (
        "_data", "_displayed", "_lock", "_order", "_pieces", "_published", "_put", "_queue", "_room",
        "_taken", "_text_limit", "_texts", "request",
    )  # fmt: skip

    def __init__(self, request: int, text_limit: int = OUTPUT_TEXT_BYTES) -> None:
        self.request = request
        # Reentrant, since a signal's handler of user code may print, too.
        self._lock = RLock()
        self._text_limit = text_limit
        self._texts: dict[str, _Text] = {}
        self._room = OUTPUT_DISPLAY_BYTES
        self._order: list[dict[str, Any]] = []
        self._pieces = self._displayed = self._published = 0
        self._data: dict[str, bytes] = {}
        self._queue: deque[tuple[int, OutputItem]] = deque()
        self._put = self._taken = 0

    # ------------------------------------------------------------ from user code

    def add_text(self, name: str, text: str) -> None:
        """Take what was printed to ``stdout`` or ``stderr``."""
        if text.isascii():
            size = len(text)
        else:
            # Half a surrogate pair, which Python allows in a text, cannot travel.
            text = text.encode("utf-8", "backslashreplace").decode("utf-8")
            size = size_of(text)
        with self._lock:
            stream = self._texts.get(name)
            if stream is None:
                stream = self._texts[name] = _Text(self._text_limit)
            length = len(text)
            if size <= stream.room:
                kept = text
                stream.room -= size
            elif kept := cut(text, stream.room):
                stream.room = 0
            if kept:
                stream.kept.write(kept)
                self._note_order(name, len(kept))
            stream.lost += length - len(kept)
            room = QUEUED_BYTES - OUTPUT_ITEM_BYTES - self._put + self._taken
            if size > room:
                text = cut(text, room)
                size = size_of(text)
            if text:
                self._put += size + OUTPUT_ITEM_BYTES
                self._queue.append((size, (name, stream.position, text)))
            stream.position += length

    def miss_text(self, name: str, nbytes: int) -> None:
        """Take note of what was written where nobody could take it: it is in the log alone."""
        with self._lock:
            self._texts.setdefault(name, _Text(self._text_limit)).missed += nbytes

    def _note_order(self, name: str, length: int) -> None:
        last = self._order[-1] if self._order else {}
        if self._pieces > MOST_PIECES:  # and never again, or lengths would be of other pieces
            return
        if last.get("name") == name:
            last["length"] += length
        elif self._pieces < MOST_PIECES:
            self._order.append({"output_type": "stream", "name": name, "length": length})
            self._pieces += 1
        else:
            self._pieces += 1

    def add_display(self, output: dict[str, Any]) -> None:
        """Take what was displayed."""
        size = size_of_extras(output) + OUTPUT_ITEM_BYTES
        with self._lock:
            if size > self._room:
                output, size = _left_out(output, size), 3 * OUTPUT_ITEM_BYTES
            if size <= self._room + RESERVE:
                self._room -= size
                self._order.append(output)
            self._enqueue("display", self._displayed, output, size)
            self._displayed += 1

    def add_data(self, values: Mapping[str, bytes]) -> None:
        """Take what was published, pickled, by name.

        Raises
        ------
        LimitExceeded
            It is too much.
        """
        with self._lock:
            data = {**self._data, **values}
            if (size := size_of_extras(data)) > OUTPUT_DISPLAY_BYTES:
                raise LimitExceeded(
                    f"what this request has published takes {size} bytes, and it may be "
                    f"{OUTPUT_DISPLAY_BYTES}: return large values, or leave them in the namespace "
                    "and pull() them"
                )
            self._data = data
            self._enqueue("data", self._published, dict(values), size_of_extras(values))
            self._published += 1

    def room_for_result(self) -> int:
        """Return how many bytes the value of a cell may take."""
        return max(0, self._room)

    def _enqueue(self, kind: str, position: int, value: Any, size: int) -> None:
        size += OUTPUT_ITEM_BYTES
        if size <= OUTPUT_WINDOW and self._put - self._taken + size <= QUEUED_BYTES:
            self._put += size
            self._queue.append((size - OUTPUT_ITEM_BYTES, (kind, position, value)))

    # ------------------------------------------------------------ for the result

    def extras(self) -> dict[str, Any]:
        """Return all that was kept, as it travels with the result."""
        with self._lock:
            extras: dict[str, Any] = {}
            for name, stream in self._texts.items():
                extras[name] = stream.kept.getvalue()
                if lost := stream.lost:
                    extras[name] += (
                        f"\n[{lost} more characters were printed; the end of it is in the engine's log]\n"
                    )
                if missed := stream.missed:
                    extras[name] += (
                        f"\n[{missed} more bytes were written by code that let nobody read them; they "
                        "are in the engine's log]\n"
                    )
            if len(self._order) > 1 or self._displayed:
                extras["outputs"] = list(self._order)
            if self._data:
                extras["data"] = self._data
            return extras

    # ------------------------------------------------------------ from the I/O thread

    @property
    def waits(self) -> bool:
        """Whether there is something to show."""
        return bool(self._queue)

    def take(self, most: int) -> tuple[list[OutputItem], int]:
        """Take what is to be shown next, as long as it is not more than `most` bytes; and its size.

        Something is always taken, and text is joined, however it was written.
        """
        items: list[OutputItem] = []
        parts: list[Any] = []
        taken, expected, queue = 0, 0, self._queue
        while queue and (taken < most or not items):
            size, item = queue.popleft()
            kind, position, value = item
            if kind in OUTPUT_STREAMS and size > most:
                first = cut(value, most)
                size, value, rest = size_of(first), first, value[len(first) :]
                queue.appendleft((size_of(rest), (kind, position + len(first), rest)))
                self._taken -= OUTPUT_ITEM_BYTES
            elif items and taken + size > most:
                queue.appendleft((size, item))
                break
            taken += size
            self._taken += size + OUTPUT_ITEM_BYTES
            last = items[-1] if items else None
            if (
                last is not None
                and kind in OUTPUT_STREAMS
                and (kind, position) == (last[0], expected)
            ):
                parts.append(value)
            else:
                _join(items, parts)
                parts = [value]
                items.append((kind, position, value))
            expected = position + len(value)
        _join(items, parts)
        return items, taken


def _join(items: list[OutputItem], parts: list[Any]) -> None:
    if len(parts) > 1:
        items[-1] = (*items[-1][:2], "".join(parts))


def size_of(text: str) -> int:
    """Return the bytes of a text."""
    return len(text) if text.isascii() else len(text.encode())


def cut(text: str, room: int) -> str:
    """Return as much of the begin of a text as takes no more bytes than there is room."""
    if room <= 0:
        return ""
    if len(text) <= room and size_of(text) <= room:
        return text
    return text[:room] if text.isascii() else text[:room].encode()[:room].decode("utf-8", "ignore")


def _left_out(output: dict[str, Any], size: int) -> dict[str, Any]:
    """Return what stands in the place of something that is too large."""
    kinds = ", ".join(output.get("data", {})) or "nothing"
    text = (
        f"[not shown: a display of {size} bytes ({kinds[:200]}); show less, or save it to a file]"
    )
    return {"output_type": "display_data", "data": {"text/plain": text}, "metadata": {}}
