"""What one request puts out: kept for its result, and shown while it runs. No I/O.

The truth is what is kept, up to the limits of the wire. What is shown while the request runs is read
from that, so that nothing of it is missing there, however long the hub or the client is away.

What is printed beyond the limits is queued to be shown, and kept no longer. Where the client does not
follow, or too much comes at once, it is left out, and the positions tell.

Writers are threads of user code; it is shown by the I/O thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from threading import RLock
from typing import Any

from ctrlhub.engine.kept import Kept
from ctrlhub.engine.showing import Items, Mark, Showing, cut, size_of
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
"""So much of what is not kept waits to be shown."""

RESERVE = 64 * 1024
"""Room (bytes) to say of so much that is displayed that it was too much."""


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
        "_data", "_displayed", "_kept", "_lock", "_lost", "_missed", "_published", "_queue", "_queued",
        "_room", "_showing", "_text_room", "_unpublished", "request",
    )  # fmt: skip

    def __init__(self, request: int, text_limit: int = OUTPUT_TEXT_BYTES) -> None:
        self.request = request
        # Reentrant, since a signal's handler of user code may print, too.
        self._lock = RLock()
        self._kept = Kept()
        self._text_room = dict.fromkeys(OUTPUT_STREAMS, text_limit)
        self._lost: dict[str, int] = {}
        self._missed: dict[str, int] = {}
        self._room = OUTPUT_DISPLAY_BYTES
        self._displayed = self._published = 0
        self._data: dict[str, bytes] = {}
        self._showing = Showing(self._kept)
        self._unpublished: dict[str, bytes] = {}
        self._queue: deque[OutputItem] = deque()
        self._queued = 0

    def renew_lock(self) -> None:
        """Take another lock: this is a copy of the process, without the thread that may hold it."""
        self._lock = RLock()

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
            room = self._text_room[name]
            if size <= room:
                self._text_room[name] = room - size
                self._kept.add_text(name, text)
                return
            self._text_room[name] = 0  # for good, so that what is kept has no gaps
            kept = cut(text, room)
            self._kept.add_text(name, kept)
            lost = self._lost.get(name, 0)
            self._lost[name] = lost + len(text) - len(kept)
            queued = cut(text[len(kept) :], QUEUED_BYTES - OUTPUT_ITEM_BYTES - self._queued)
            if queued:
                self._queued += size_of(queued) + OUTPUT_ITEM_BYTES
                self._queue.append((name, self._kept.texts[name].length + lost, queued))

    def miss_text(self, name: str, nbytes: int) -> None:
        """Take note of what was written where nobody could take it: it is in the log alone."""
        with self._lock:
            self._missed[name] = self._missed.get(name, 0) + nbytes

    def add_display(self, output: dict[str, Any]) -> None:
        """Take what was displayed."""
        size = size_of_extras(output) + OUTPUT_ITEM_BYTES
        with self._lock:
            if size > self._room:
                output = _left_out(output, size)
                size = size_of_extras(output) + OUTPUT_ITEM_BYTES
            if size <= self._room + RESERVE:
                self._room -= size
                self._kept.add_display(output)
            else:
                self._room = -RESERVE  # for good, so that what is kept has no gaps
                if self._queued + size <= QUEUED_BYTES:
                    self._queued += size
                    self._queue.append(("display", self._displayed, output))
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
            self._unpublished.update(values)

    def room_for_result(self) -> int:
        """Return how many bytes the value of a cell may take."""
        return max(0, self._room)

    # ------------------------------------------------------------ for the result

    def extras(self) -> dict[str, Any]:
        """Return all that was kept, as it travels with the result."""
        with self._lock:
            kept = self._kept
            extras: dict[str, Any] = {name: text.whole() for name, text in kept.texts.items()}
            for name, lost in self._lost.items():
                note = f"\n[{lost} more characters were printed; the end of it is in the engine's log]\n"
                cuts = extras.setdefault("cut", {})
                cuts[name] = [kept.texts[name].length, lost, len(note)]
                extras[name] += note
            for name, missed in self._missed.items():
                extras[name] = extras.get(name, "") + (
                    f"\n[{missed} more bytes were written by code that let nobody read them; the last "
                    "of them are in the engine's log]\n"
                )
            if len(kept.order) > 1 or kept.displays:
                extras["outputs"] = list(kept.order)
            if self._data:
                extras["data"] = self._data
            return extras

    # ------------------------------------------------------------ from the I/O thread

    @property
    def waits(self) -> bool:
        """Whether there is something to show."""
        return bool(self._queue or self._unpublished or self._showing.waits)

    @property
    def mark(self) -> Mark:
        """Up to where what is kept was shown."""
        return self._showing.mark

    def go_back(self, mark: Mark) -> None:
        """Show again what was kept since a mark."""
        with self._lock:
            self._showing.mark = mark
            self._unpublished = dict(self._data)

    def take(self, most: int) -> tuple[list[OutputItem], int]:
        """Take what is to be shown next, as long as it is not more than `most` bytes; and its size.

        Text is joined, however it was written. What is too large to be shown before the result is
        there is left out, so that there may be nothing.
        """
        items = Items(most)
        with self._lock:
            self._showing.take(items)
            if not self._showing.waits:
                self._take_queued(items)
            self._take_data(items)
        return items.closed(), items.size

    def _take_queued(self, items: Items) -> None:
        queue = self._queue
        while queue and items.room:
            kind, position, value = queue[0][:3]
            if kind in OUTPUT_STREAMS:
                text = cut(value, items.room) or value[:1]
                items.add_text(kind, position, text)
                self._queued -= size_of(text)
                if text != value:
                    queue[0] = (kind, position + len(text), value[len(text) :])
                    continue
            else:
                size = size_of_extras(value)
                if size <= OUTPUT_WINDOW and not items.add(kind, position, value, size):
                    return
                self._queued -= size
            self._queued -= OUTPUT_ITEM_BYTES
            queue.popleft()

    def _take_data(self, items: Items) -> None:
        """Take the last value of each name, as far as there is room."""
        while self._unpublished:
            name = next(iter(self._unpublished))
            values = {name: self._unpublished[name]}
            size = size_of_extras(values)
            if size <= OUTPUT_WINDOW:
                if not items.add("data", self._published, values, size):
                    return
                self._published += 1
            del self._unpublished[name]


def _left_out(output: dict[str, Any], size: int) -> dict[str, Any]:
    """Return what stands in the place of something that is too large."""
    kinds = ", ".join(output.get("data", {})) or "nothing"
    text = (
        f"[not shown: a display of {size} bytes ({kinds[:200]}); show less, or save it to a file]"
    )
    return {"output_type": "display_data", "data": {"text/plain": text}, "metadata": {}}
