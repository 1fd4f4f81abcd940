"""What is kept of an output, read in order to be shown. No I/O.

A mark tells up to where it was shown. To go back to an earlier one is to show it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ctrlhub.engine.kept import Kept
from ctrlhub.wire.codec import size_of_extras
from ctrlhub.wire.limits import OUTPUT_ITEM_BYTES, OUTPUT_WINDOW
from ctrlhub.wire.messages import OutputItem


@dataclass(frozen=True, slots=True)
class Mark:
    """Up to where what is kept was shown.

    Attributes
    ----------
    pieces, within : int
        So many pieces of its order, and so many characters of the next one.
    displays : int
        So many of what was displayed.
    texts : mapping
        So many characters of each stream.
    """

    pieces: int = 0
    within: int = 0
    displays: int = 0
    texts: Mapping[str, int] = field(default_factory=dict)


BEGIN = Mark()
"""Before anything."""


class Items:
    """What goes into one message: something in any case, and about so many bytes at most.

    Attributes
    ----------
    size : int
        How many bytes they are.
    """

    def __init__(self, most: int) -> None:
        self.size = 0
        self._most = most
        self._items: list[OutputItem] = []
        self._parts: list[str] = []
        self._expected: tuple[str, int] | None = None

    @property
    def room(self) -> int:
        """How many bytes there is room for; one in any case, as long as there is nothing."""
        if not self._items:
            return max(1, self._most)
        return max(0, self._most - self.size - OUTPUT_ITEM_BYTES)

    def add_text(self, name: str, position: int, text: str) -> None:
        """Add text: to the last item, if it goes on there."""
        if self._expected != (name, position):
            self._close()
            self._items.append((name, position, ""))
            self.size += OUTPUT_ITEM_BYTES if len(self._items) > 1 else 0
        self._parts.append(text)
        self._expected = name, position + len(text)
        self.size += size_of(text)

    def add(self, kind: str, position: int, value: Any, size: int) -> bool:
        """Add something else, unless there is no room for it."""
        if self._items and size > self.room:
            return False
        self._close()
        self._items.append((kind, position, value))
        self.size += size
        return True

    def _close(self) -> None:
        if self._parts:
            self._items[-1] = (*self._items[-1][:2], "".join(self._parts))
        self._parts, self._expected = [], None

    def closed(self) -> list[OutputItem]:
        """Return them."""
        self._close()
        return self._items


class Showing:
    """Reads what is kept of an output, as it grows.

    Attributes
    ----------
    mark : Mark
        Up to where it was shown.
    """

    __slots__ = ("_kept", "mark")

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self.mark = BEGIN

    @property
    def waits(self) -> bool:
        """Whether there is something to show."""
        mark, kept = self.mark, self._kept
        return mark.displays < kept.displays or any(
            mark.texts.get(name, 0) < text.length for name, text in tuple(kept.texts.items())
        )

    def take(self, items: Items) -> None:
        """Take what comes next, as far as there is room.

        What is too large to be shown before the result is there is left out: positions tell.
        """
        kept, texts, displays = self._kept, dict(self.mark.texts), self.mark.displays
        pieces, within = self.mark.pieces, self.mark.within

        def take_text(name: str, most: int) -> int:
            start, whole = texts.get(name, 0), kept.texts[name]
            text = cut(whole.piece(start, min(most, items.room)), items.room)
            text = text or whole.piece(start, 1 if most else 0)  # one character in any case
            if text:
                items.add_text(name, start, text)
                texts[name] = start + len(text)
            return len(text)

        while pieces < len(kept.order) and items.room:
            piece = kept.order[pieces]
            if piece["output_type"] == "stream":
                taken = take_text(piece["name"], piece["length"] - within)
                within += taken
                if taken:
                    continue
                if pieces == len(kept.order) - 1:
                    break  # it may grow
            else:
                size = size_of_extras(piece)
                if size <= OUTPUT_WINDOW and not items.add("display", displays, piece, size):
                    break
                displays += 1
            pieces, within = pieces + 1, 0
        if pieces >= len(kept.order) - 1:
            for name in tuple(kept.texts):  # what was printed when the order was kept no longer
                while items.room and take_text(name, items.room):
                    pass
        self.mark = Mark(pieces, within, displays, texts)


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
