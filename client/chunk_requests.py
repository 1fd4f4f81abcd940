"""Chunks of a map: several items in one task, each with a result of its own.

A task whose engine is lost again and again is given up, and which of its items did it nobody can say.
So a chunk is run again whole, while that may have been chance, and then each of its items alone: the
one that kills engines fails, and takes none of the others with it. Both together are no more losses
than the `engine_retries` of its view allow.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, Protocol

from ctrlhub.client.requests import Function, Owner, Portion, Stirred, Template
from ctrlhub.client.result_base import Home
from ctrlhub.client.rows import joined
from ctrlhub.link.guarded_log import GuardedLog
from ctrlhub.wire.errors import CtrlHubError, EngineError
from ctrlhub.wire.failure import failure_of
from ctrlhub.wire.ids import Ranges, to_ranges
from ctrlhub.wire.messages import Payload, Status
from ctrlhub.wire.options import PLAIN, TaskOptions
from ctrlhub.wire.serialize import detached, dumps_call, loads

_log = GuardedLog("ctrlhub.client")

_ERROR = int(Status.ERROR)


class OwnerOfChunks(Owner, Protocol):
    """A map whose requests have several items each."""

    _home: Home

    def _run_singly(self, index: int, pieces: Pieces) -> None:
        """Take note that the items of a request are run alone."""


class ChunkTemplate(Template):
    """What the chunks of a map share.

    Attributes
    ----------
    alone : Template or None
        What their items share where they are run alone; None if they are not.
    """

    __slots__ = ("alone",)

    def __init__(
        self,
        what: str,
        label: str | None,
        function: Function,
        retries: int,
        engine_retries: int,
        options: TaskOptions = PLAIN,
    ) -> None:
        whole = engine_retries // 2
        super().__init__(what, label, function, retries, whole, options)
        self.alone = (
            Template(what, label, function, retries, engine_retries - whole - 1, options)
            if engine_retries
            else None
        )

    def with_options(self, options: TaskOptions) -> Template:
        """Return one with other options. Its arguments are not known here: nothing is run alone."""
        again = super().with_options(options)
        again.engine_retries += 0 if self.alone is None else 1 + self.alone.engine_retries
        return again


class ChunkPortion(Portion):
    """A run of consecutive chunks of a map.

    Parameters
    ----------
    first, payloads, template, owner, offset
        As for `Portion`.
    """

    __slots__ = ()

    _owner: OwnerOfChunks

    def _settle(self, row: tuple[Any, ...], now: float) -> Stirred | None:
        if row[1] == _ERROR and failure_of(row[2]).code == EngineError.code:
            pieces = self._in_pieces(row[0])
            if pieces is not None:
                self._payloads[row[0] - self.first] = b""
                self._owner._run_singly(pieces.index, pieces)
                pieces.submit()
                return None
        return super()._settle(row, now)

    def _in_pieces(self, number: int) -> Pieces | None:
        """Return the items of a chunk, each to be run alone; None where that cannot be."""
        template, place = self._about, number - self.first
        alone = template.alone if isinstance(template, ChunkTemplate) else None
        if alone is None:
            return None
        try:
            (first, *columns), _ = loads(self._payloads[place])
            payloads = [
                detached(dumps_call((first + k, *([each] for each in row)), {}))
                for k, row in enumerate(zip(*columns, strict=True))
            ]
        except (ImportError, CtrlHubError) as error:
            _log.warning("the items of a chunk cannot be run one by one: %s", error)
            return None
        if len(payloads) < 2:
            return None
        return Pieces(number, payloads, alone, self._owner, self._offset + place)


class Pieces:
    """The items of a chunk, each of which is run alone.

    Parameters
    ----------
    number
        The id of the chunk.
    payloads
        The arguments of each.
    template
        What they share.
    owner, index
        Whose request the chunk is, and which.
    """

    __slots__ = ("_first", "_left", "_number", "_owner", "_portion", "_rows", "index")

    def __init__(
        self,
        number: int,
        payloads: list[Payload],
        template: Template,
        owner: OwnerOfChunks,
        index: int,
    ) -> None:
        self.index = index
        self._number = number
        self._owner = owner
        self._rows: list[Any] = [None] * len(payloads)
        self._left = len(payloads)
        self._first = owner._home.next_ids(len(payloads))
        self._portion = Portion(self._first, payloads, template, self, 0)

    def submit(self) -> None:
        """Have them run."""
        self._owner._home.submit(self._portion)

    @property
    def waiting(self) -> Ranges:
        """The ids of those that have not ended."""
        return to_ranges(self._first + k for k, row in enumerate(self._rows) if row is None)

    @property
    def settled(self) -> int:
        """How many have ended."""
        return len(self._rows) - self._left

    def _future(self) -> Future[Any]:
        return self._owner._future()

    def _take(self, index: int, row: tuple[Any, ...], now: float) -> Stirred | None:
        self._rows[index] = row
        self._left -= 1
        if self._left:
            return None
        whole = joined(self._number, self._rows)
        return self._owner._take(self.index, whole, now)
