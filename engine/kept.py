"""What is kept of what a request puts out: its texts, what it displays, and the order of both."""

from __future__ import annotations

import io
from bisect import bisect_right
from typing import Any

BLOCK = 64 * 1024
"""So many characters become one block."""

MOST_PIECES = 10_000
"""The order of so many pieces of text is kept; what is printed then follows behind them."""


class KeptText:
    """Text that grows at its end and is read anywhere, at the cost of the part that is read.

    What is printed a character at a time is not kept as so many strings.
    """

    __slots__ = ("_blocks", "_starts", "_tail", "_tail_start", "length")

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._starts: list[int] = []
        self._tail = io.StringIO(newline="")
        self._tail_start = 0
        self.length = 0

    def append(self, text: str) -> None:
        """Add to its end."""
        self._tail.write(text)
        self.length += len(text)
        if self.length - self._tail_start >= BLOCK:
            self._blocks.append(self._tail.getvalue())
            self._starts.append(self._tail_start)
            self._tail = io.StringIO(newline="")
            self._tail_start = self.length

    def whole(self) -> str:
        """Return all of it."""
        tail = self._tail.getvalue()
        return "".join((*self._blocks, tail)) if self._blocks else tail

    def piece(self, start: int, most: int) -> str:
        """Return what stands at a place, `most` characters or fewer; empty only at the end."""
        if start >= self._tail_start:
            begin, block = self._tail_start, self._tail.getvalue()
        else:
            index = bisect_right(self._starts, start) - 1
            begin, block = self._starts[index], self._blocks[index]
        return block[start - begin : start - begin + most]


class Kept:
    """What is kept of an output.

    Attributes
    ----------
    texts : dict
        What was printed, by stream.
    order : list
        The pieces of both, as they travel with the result; only the last one grows.
    displays : int
        How many of them were displayed.
    """

    __slots__ = ("_pieces", "displays", "order", "texts")

    def __init__(self) -> None:
        self.texts: dict[str, KeptText] = {}
        self.order: list[dict[str, Any]] = []
        self.displays = 0
        self._pieces = 0

    def add_text(self, name: str, text: str) -> None:
        """Keep what was printed."""
        kept = self.texts.get(name)
        if kept is None:
            kept = self.texts[name] = KeptText()
        kept.append(text)
        if self._pieces > MOST_PIECES:  # and never again, or lengths would be of other pieces
            return
        last = self.order[-1] if self.order else {}
        if last.get("name") == name:
            last["length"] += len(text)
            return
        if self._pieces < MOST_PIECES:
            piece = {"output_type": "stream", "name": name, "length": len(text)}
            self.order.append(piece)
        self._pieces += 1

    def add_display(self, output: dict[str, Any]) -> None:
        """Keep what was displayed."""
        self.order.append(output)
        self.displays += 1
