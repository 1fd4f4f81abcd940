"""What handlers of REST are made from: what is asked is checked, and errors become answers."""

from __future__ import annotations

from asyncio import CancelledError, Task, create_task, to_thread
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from tornado.iostream import StreamClosedError

from ctrlhub.gateway.access.identity import Identity
from ctrlhub.gateway.api.finding import Ended
from ctrlhub.gateway.api.operation import BadPath, Operation
from ctrlhub.gateway.api.problems import RETRY_AFTER, code_of, status_of
from ctrlhub.gateway.api.rest import Rest, rest_of
from ctrlhub.gateway.api.telling import together
from ctrlhub.gateway.handlers import Handler, Refusal
from ctrlhub.wire.encoded import OCTETS, Encoded
from ctrlhub.wire.unread import Unread

T = TypeVar("T")

PIECE = 1024 * 1024
"""Large bodies are written in pieces of so many bytes, each once the one before has left."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked, checked.

    Parameters
    ----------
    path, query
        The parts of the path, and the parameters that were given.
    body
        The body, if there is one.
    """

    path: Mapping[str, Any]
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None


@dataclass(eq=False)
class Waits:
    """A request that waits; it is answered when its token ends.

    Parameters
    ----------
    identity
        Who has asked.
    task
        What it waits for.
    ended
        Why it waits no longer.
    """

    identity: Identity
    task: Task[Any]
    ended: str = ""

    def end(self, reason: str) -> None:
        """Wait no longer."""
        self.ended = reason
        self.task.cancel()


class ApiHandler(Handler):
    """A handler of REST.

    A subclass says what its methods take and give (`operations`), and has a coroutine for each:
    ``async def on_get(self, asked)``.
    """

    operations: ClassVar[Mapping[str, Operation]] = {}
    _waits: Waits | None = None
    _has_gone = False

    @property
    def rest(self) -> Rest:
        """What handlers share."""
        return rest_of(self.gateway)

    @property
    def prefix(self) -> str:
        """What stands before the paths of this gateway."""
        return self.gateway.config.prefix

    async def get(self, **path: str) -> None:
        """Read."""
        await self._serve("GET", path)

    async def post(self, **path: str) -> None:
        """Do."""
        await self._serve("POST", path)

    async def put(self, **path: str) -> None:
        """Set."""
        await self._serve("PUT", path)

    async def delete(self, **path: str) -> None:
        """End."""
        await self._serve("DELETE", path)

    async def _serve(self, method: str, path: Mapping[str, str]) -> None:
        operation = self.operations[method]
        act: Callable[[Asked], Awaitable[None]] = getattr(self, f"on_{method.lower()}")
        try:
            await act(self._asked(operation, path))
        except Exception as error:
            refusal = refusal_of(error)
            if refusal is None or refusal is error:
                raise
            raise refusal from error

    def _asked(self, operation: Operation, path: Mapping[str, str]) -> Asked:
        parts = operation.read_path(path)
        query = operation.read_query(self.request.query_arguments)
        if operation.body is None or (operation.optional_body and not self.body):
            return Asked(parts, query)
        return Asked(parts, query, operation.read_body(self.json()))

    async def waiting(self, what: Coroutine[Any, Any, T]) -> T:
        """Wait for something that may take its time; who is let in no more waits no longer.

        Raises
        ------
        Refusal
            The token was revoked meanwhile, or has expired.
        StreamClosedError
            Who asks has gone.
        """
        self._waits = waits = Waits(self.identity, create_task(what))
        self.gateway.waiting.add(waits)
        if self._has_gone:
            waits.task.cancel()
        try:
            result: T = await waits.task
        except CancelledError:
            if waits.ended:
                raise self._not_authenticated(waits.ended) from None
            if self._has_gone:
                self._break_off(None)
                raise StreamClosedError from None
            waits.task.cancel()
            raise
        finally:
            self._waits = None
            self.gateway.waiting.discard(waits)
        return result

    def on_connection_close(self) -> None:
        """Wait no longer for who has gone: he may come again, and again."""
        self._has_gone = True
        if self._waits is not None:
            self._waits.task.cancel()
        super().on_connection_close()

    # ------------------------------------------------------------ answers

    async def send(self, pieces: Iterable[Any] | AsyncIterable[Any], media_type: str = "", status: int = 200) -> None:
        """Answer with a body in pieces, without a second copy of it."""
        self.set_status(status)
        self.set_header("Content-Type", media_type or "application/json; charset=utf-8")
        if media_type == OCTETS:
            self.set_header("Content-Disposition", "attachment")
        if self.request.method == "HEAD":
            await self.finish()
            return
        waiting = 0
        async for piece in _each(pieces):
            view = memoryview(piece).cast("B")
            for place in range(0, len(view), PIECE):
                part = bytes(view[place : place + PIECE])
                self.write(part)
                waiting += len(part)
                if waiting >= PIECE:
                    await self.flush()
                    waiting = 0
        if not media_type:
            self.write(b"\n")
        await self.finish()

    async def send_rows(self, numbers: Sequence[int], ended: Ended) -> None:
        """Answer with what came of requests, each as it is read.

        Parameters
        ----------
        numbers
            The requests.
        ended
            Which of them have ended.
        """
        out = [number for number in numbers if number not in ended.numbers]
        states = await self.rest.states(self.role, out)
        rows = self.rest.finding.rows(self.role, numbers, ended)
        await self.send(together(numbers, rows, states, self.prefix), status=202 if out else 200)
        self.has_fetched(*ended.numbers)

    def has_fetched(self, *numbers: int) -> None:
        """Take note that who asks has results, which have left whole."""
        if self.request.method != "HEAD":
            self.rest.shelf.fetched(numbers)

    async def send_value(self, value: Encoded) -> None:
        """Answer with an encoded value, a piece at a time, each once the one before has left.

        What fails on the way breaks the connection, short of the length that was said.
        """
        self.set_header("Content-Type", value.media_type)
        self.set_header("Content-Length", str(value.nbytes))
        if value.media_type == OCTETS:
            self.set_header("Content-Disposition", "attachment")
        if self.request.method != "HEAD":
            for place in range(0, value.nbytes, PIECE):
                self.write(await self._part(value, place))
                await self.flush()
        await self.finish()

    async def _part(self, value: Encoded, place: int) -> bytes:
        """Read a piece; what is not in our memory may have to be read from a disk."""
        if isinstance(value.data, Unread):
            return await to_thread(value.part, place, PIECE)
        return value.part(place, PIECE)


async def _each(pieces: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Any]:
    if isinstance(pieces, AsyncIterable):
        async for piece in pieces:
            yield piece
    else:
        for piece in pieces:
            yield piece


def refusal_of(error: Exception) -> Refusal | None:
    """Return what is answered where something has failed; None where nobody has foreseen it."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, BadPath):
        return Refusal(404, "not_found", str(error))
    status = status_of(error)
    if status is None:
        return None
    more = {"Retry_After": str(RETRY_AFTER)} if status in (429, 503) else {}
    return Refusal(status, code_of(error), str(error), **more)
