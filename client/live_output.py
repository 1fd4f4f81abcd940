"""Live output as it reaches a client: what has come of each request that runs. No I/O.

It is for showing: what is too much comes with the result, which takes the place of all this.

Each message tells which one it follows. Where that has not come, it was lost with a connection: the
engine is asked to go on behind the last one that has, and what comes until it does is ignored.
Positions tell what has come twice, and what will not come.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

from ctrlhub.client.rows import Row
from ctrlhub.wire.codec import size_of_extras
from ctrlhub.wire.limits import (
    OUTPUT_DISPLAY_BYTES,
    OUTPUT_ITEM_BYTES,
    OUTPUT_TEXT_BYTES,
    OUTPUT_WINDOW,
)
from ctrlhub.wire.messages import OUTPUT_STREAMS, Output, OutputItem, OutputReceived

ACKNOWLEDGE = OUTPUT_WINDOW // 4
"""What has arrived of a request is told once it is so much (bytes)."""

WHEREVER_IT_RUNS = -1
"""In place of an engine's id, where the hub alone knows it."""

MOST_ASKED = 256
"""Of so many requests at once their engines are asked for what was put out before."""

ASK_AGAIN = 32
"""After so many messages that follow one which was lost, it is asked for again."""


class Follower(Protocol):
    """Who wants to know of output as it comes; called in the I/O thread."""

    def output(
        self, request: int, engine: int, items: Sequence[OutputItem], attempt: int = 0
    ) -> None:
        """Take what has come of an attempt at a request."""

    def ended(self, request: int) -> None:
        """Take note that the result of a request is there, and with it all of its output."""


class Reached:
    """Up to where output has come, by kind, and what of the displays before is missing."""

    __slots__ = ("_missing", "_reached")

    def __init__(self) -> None:
        self._reached: dict[str, int] = {}
        self._missing: list[range] = []

    def at(self, kind: str) -> int:
        """Return up to where a kind has come."""
        return self._reached.get(kind, 0)

    def take(self, item: OutputItem) -> tuple[int, Any]:
        """Return how much is missing before an item, and of its value what is new; None for nothing."""
        kind, position, value = item[:3]
        reached = self._reached.get(kind, 0)
        is_text = kind in OUTPUT_STREAMS
        end = position + (len(value) if is_text else 1)
        if end <= reached:
            return 0, value if kind == "display" and self._fills(position) else None
        self._reached[kind] = end
        if is_text and position < reached:
            value = value[reached - position :]
        if kind == "display" and position > reached:
            self._missing.append(range(reached, position))
        return max(0, position - reached), value

    def _fills(self, position: int) -> bool:
        """Tell whether a display was missing that comes late."""
        for index, gap in enumerate(self._missing):
            if position in gap:
                rest = range(gap.start, position), range(position + 1, gap.stop)
                self._missing[index : index + 1] = [each for each in rest if each]
                return True
        return False


class LiveRequest:
    """What has come of one attempt at a request.

    Attributes
    ----------
    attempt, engine : int
        Which one, and where it runs.
    items : list
        What has come, in order and each once, as far as there is room.
    """

    def __init__(self, attempt: int = 0, engine: int = -1) -> None:
        self.attempt = attempt
        self.engine = engine
        self.items: list[OutputItem] = []
        self._reached = Reached()
        self._number = 0
        self._unacknowledged = 0
        self._ignored = 0
        self._room = {
            **dict.fromkeys(OUTPUT_STREAMS, OUTPUT_TEXT_BYTES),
            "other": OUTPUT_DISPLAY_BYTES,
        }

    def take(self, message: Output) -> tuple[list[OutputItem], OutputReceived | None]:
        """Keep what has come; return what of it is new, and what its engine is to be told, if anything."""
        if message.after > self._number:  # what it follows was lost: it comes again, with this
            self._ignored += 1
            return [], self._asked(message) if self._ignored % ASK_AGAIN == 1 else None
        # It was said again, and somebody waits to hear of it.
        is_told = message.after < message.number - 1
        self._ignored = 0
        self._number = max(self._number, message.number)
        new = [item for item in map(self._new, message.items) if item is not None]
        for item in message.items:
            self._unacknowledged += size_of_extras(item[2]) + OUTPUT_ITEM_BYTES
        for item in new:
            size = size_of_extras(item[2]) + OUTPUT_ITEM_BYTES
            kind = item[0] if item[0] in OUTPUT_STREAMS else "other"
            if size <= self._room[kind]:
                self._room[kind] -= size
                self.items.append(item)
        if self._unacknowledged < ACKNOWLEDGE and not is_told:
            return new, None
        self._unacknowledged = 0
        return new, OutputReceived(message.request, self._number, message.engine)

    def _new(self, item: OutputItem) -> OutputItem | None:
        kind, position = item[:2]
        reached = self._reached.at(kind)
        value = self._reached.take(item)[1]
        if value is None:
            return None
        return kind, max(position, reached) if kind in OUTPUT_STREAMS else position, value

    def _asked(self, message: Output) -> OutputReceived:
        return OutputReceived(message.request, self._number, message.engine, missed=True)

    def text(self, name: str, start: int, end: int) -> str:
        """Return what is here of a stream's text between two positions, up to the first gap; from any thread."""
        parts = []
        for kind, position, value in list(self.items):
            if kind == name and position <= start < position + len(value):
                parts.append(value[start - position : end - position])
                start += len(parts[-1])
        return "".join(parts)

    def extras(self) -> Mapping[str, Any]:
        """Return what has come, in the form of the extras of a result; from any thread."""
        progress = Reached()
        texts: dict[str, list[str]] = {name: [] for name in OUTPUT_STREAMS}
        displayed: list[Mapping[str, Any]] = []
        data: dict[str, bytes] = {}
        for item in list(self.items):
            missing, value = progress.take(item)
            if item[0] in OUTPUT_STREAMS:
                texts[item[0]] += [gap(missing), value] if missing else [value]
            elif item[0] == "display":
                displayed.append(value)
            elif item[0] == "data":
                data.update(value)
        joined = {name: "".join(parts) for name, parts in texts.items()}
        cuts: dict[str, Any] = {}
        for name, text in joined.items():
            if more := self._reached.at(name) - progress.at(name):
                note = f"\n[{more} more characters have come than are kept]\n"
                cuts[name] = [len(text), more, len(note)]
                joined[name] += note
        return {**joined, "cut": cuts, "outputs": displayed, "data": data, "attempt": self.attempt}


def gap(missing: int) -> str:
    """Return what stands in the place of text that did not come: it is beyond what is kept of it."""
    return (
        f"\n[{missing} characters are left out here: more was printed than is kept, and than could be "
        "shown; the end of it is in the engine's log]\n"
    )


class LiveOutputs:
    """What has come of the requests of a session, and who follows it.

    Attributes
    ----------
    requests : dict
        What has come, by request; made when the first of it comes.
    """

    def __init__(self) -> None:
        self.requests: dict[int, LiveRequest] = {}
        self._followers: dict[int, list[Follower]] = {}

    def __bool__(self) -> bool:
        return bool(self.requests or self._followers)

    def take(self, message: Output) -> OutputReceived | None:
        """Take what has come of a request that has not ended."""
        live = self.requests.get(message.request)
        if live is None or (live.attempt, live.engine) != (message.attempt, message.engine):
            # It begins, or begins anew: positions count from the start of each attempt.
            live = self.requests[message.request] = LiveRequest(message.attempt, message.engine)
        items, answer = live.take(message)
        if items:
            for follower in self._followers.get(message.request, ()):
                follower.output(message.request, message.engine, items, message.attempt)
        return answer

    def completed(self, row: Row) -> Row:
        """Return a row that came without output, from no engine, with what has come of it before."""
        live = self.requests.get(row[0])
        if live is None or row[6] is not None or row[3] >= 0:
            return row
        return (*row[:3], live.engine, *row[4:6], live.extras())

    def ended(self, requests: Iterable[int]) -> None:
        """Forget requests: their results are there."""
        for number in requests:
            self.requests.pop(number, None)
            for follower in self._followers.pop(number, ()):
                follower.ended(number)

    def questions(self, numbers: Iterable[int]) -> Iterator[OutputReceived]:
        """Yield what is to be asked about requests of which nothing has come, as far as there are few."""
        unheard = (number for number in numbers if number not in self.requests)
        for number in islice(unheard, MOST_ASKED):
            yield OutputReceived(number, 0, WHEREVER_IT_RUNS, missed=True)

    def forget(self, numbers: Iterable[int]) -> None:
        """Forget requests: nobody here wants to know of them any more."""
        for number in numbers:
            self.requests.pop(number, None)

    def follow(
        self, numbers: Iterable[int], follower: Follower, running: Sequence[Container[int]]
    ) -> None:
        """Have somebody told of requests: first of what has come, at last that they ended.

        Parameters
        ----------
        numbers, follower
            Of what, and whom.
        running
            Where requests are that have not ended.
        """
        for number in numbers:
            if not any(number in some for some in running):
                follower.ended(number)
                continue
            live = self.requests.get(number)
            if live is not None:
                follower.output(number, live.engine, tuple(live.items), live.attempt)
            self._followers.setdefault(number, []).append(follower)

    def leave(self, numbers: Iterable[int], follower: Follower) -> None:
        """Have somebody told no more."""
        for number in numbers:
            followers = self._followers.get(number, [])
            if follower in followers:
                followers.remove(follower)
            if not followers:
                self._followers.pop(number, None)
