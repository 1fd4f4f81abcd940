"""REST: the namespaces of engines. Values pass through in pieces: none is held here as a whole."""

from __future__ import annotations

import logging
from asyncio import Task, create_task
from collections.abc import Mapping, Sequence
from secrets import token_hex
from typing import Any, ClassVar

from ctrlhub.engine.by_name import names
from ctrlhub.engine.pieces import (
    PIECES,
    begin_reading,
    end_reading,
    end_writing,
    give_up_writing,
    piece_of,
    take_piece,
)
from ctrlhub.gateway.api import resources as shapes
from ctrlhub.gateway.api.handler import ApiHandler, Asked, refusal_of
from ctrlhub.gateway.api.operation import JSON, OCTETS, Answer, Operation
from ctrlhub.gateway.api.outcomes import VALUES, NotAsSaid, Outcome, outcome_of, value_in
from ctrlhub.gateway.api.submissions import Submissions
from ctrlhub.gateway.handlers import Refusal
from ctrlhub.wire.encoded import Encoded
from ctrlhub.wire.errors import EngineError
from ctrlhub.wire.ids import text_of

PIECE = 4 * 1024 * 1024
"""Values pass in pieces of so many bytes."""

PATIENCE = 60.0
"""How long (seconds) an engine may be busy with something else, for each piece."""

LABEL = "namespace"

_FROM_ENGINES = VALUES | {PIECES}


class RemoteFailure(Refusal):
    """A command failed on an engine: what it raised."""

    def __init__(self, outcome: Outcome) -> None:
        error = outcome.error or {"type": outcome.state, "message": ""}
        lost = error["type"] in ("NameError", "AttributeError", "NoSuchFunction")
        super().__init__(
            404 if lost else 422,
            "not_found" if lost else "remote_error",
            f"engine {outcome.engine}: {error['type']}: {error['message']}",
        )


class Names(ApiHandler):
    """What there is in them."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "GET": Operation(
            {200: Answer("The names, and the types of their values", shapes.NAMES)},
            path={"engines": shapes.ENGINES_PATH},
        )
    }

    async def on_get(self, asked: Asked) -> None:
        """Tell what there is."""
        submissions = await self.rest.of(self.role)
        engines = await submissions.engines(asked.path["engines"])
        values = await values_of(submissions, await submissions.call(engines, names, label=LABEL))
        self.answer({"engines": [
            {"engine": engine, "names": value_in(value)}
            for engine, value in zip(engines, values, strict=True) if value is not None
        ]})  # fmt: skip


class Value(ApiHandler):
    """One value."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "GET": Operation(
            {200: Answer("The value: JSON, or bytes as they are", None, (JSON, OCTETS))},
            path={"engines": shapes.ONE_ENGINE_PATH, "name": shapes.NAME_PATH},
        ),
        "PUT": Operation(
            {204: Answer("It is set", None, ())},
            path={"engines": shapes.ENGINES_PATH, "name": shapes.NAME_PATH},
            raw=(JSON, OCTETS),
        ),
    }

    _upload: Upload | None = None

    async def on_get(self, asked: Asked) -> None:
        """Give it, in pieces."""
        submissions = await self.rest.of(self.role)
        engines = await submissions.engines(str(asked.path["engines"]))
        token = token_hex(16)
        value = await one_of(submissions, engines, begin_reading, token, asked.path["name"], PIECE)
        if value.media_type != PIECES:
            await self.send_value(value)
            return
        media_type, size = leaving(value)
        self.set_header("Content-Type", media_type)
        self.set_header("Content-Length", str(size))
        if media_type == OCTETS:
            self.set_header("Content-Disposition", "attachment")
        try:
            for start in range(0, size, PIECE) if self.request.method == "GET" else ():
                piece = await one_of(submissions, engines, piece_of, token, start, PIECE)
                self.write(piece.part(0, PIECE))
                await self.flush()
        finally:
            farewell(submissions, engines, end_reading, token)
        await self.finish()

    async def data_received(self, chunk: bytes) -> None:
        """Pass a piece of the body on."""
        self.came(len(chunk))
        if self._finished or self.request.method != "PUT":
            return
        try:
            await self._pass_on(chunk)
        except Exception as error:  # nobody above answers with it while the body comes
            self.abandoned()
            refusal = refusal_of(error)
            if refusal is None:
                raise
            self.send_error(refusal.status_code, exc_info=(type(refusal), refusal, None))

    async def _pass_on(self, chunk: bytes) -> None:
        if self._upload is None:
            submissions = await self.rest.of(self.role)
            asked = self.operations["PUT"].read_path(self.path_kwargs)
            self._upload = Upload(submissions, await submissions.engines(asked["engines"]))
        await self._upload.add(chunk)

    def abandoned(self) -> None:
        """Have the engines forget what has come of a body that does not come whole."""
        upload, self._upload = self._upload, None
        if upload is not None:
            upload.give_up()

    async def on_put(self, asked: Asked) -> None:
        """Set it, once all of it has come."""
        try:
            await self._set(asked)
        except BaseException:
            self.abandoned()
            raise
        self.set_status(204)
        await self.finish()

    async def _set(self, asked: Asked) -> None:
        kind = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind not in (JSON, OCTETS):
            raise Refusal(415, "unsupported_media_type", f"Content-Type must be {JSON} or {OCTETS}")
        if self._upload is None:
            submissions = await self.rest.of(self.role)
            self._upload = Upload(submissions, await submissions.engines(asked.path["engines"]))
        await self._upload.end(asked.path["name"], kind)


log = logging.getLogger(__name__)

_leaving: set[Task[None]] = set()


def farewell(submissions: Submissions, engines: Sequence[int], function: Any, token: str) -> None:
    """Have engines keep something no longer, and wait for it beside what goes on."""
    task = create_task(_tell(submissions, engines, function, token))
    _leaving.add(task)
    task.add_done_callback(_told)


async def _tell(submissions: Submissions, engines: Sequence[int], *call: Any) -> None:
    await values_of(submissions, await submissions.call(engines, *call, label=LABEL))


def _told(task: Task[None]) -> None:
    _leaving.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("engines keep a part of a value that nobody waits for: %s", error)


class Upload:
    """A value on its way to engines.

    Parameters
    ----------
    submissions
        Through whom.
    engines
        To which.
    """

    def __init__(self, submissions: Submissions, engines: Sequence[int]) -> None:
        self._submissions = submissions
        self._engines = engines
        self._token = token_hex(16)
        self._waiting = bytearray()
        self._sent = 0

    async def add(self, data: bytes) -> None:
        """Take more; a whole piece is passed on, and waited for."""
        self._waiting += data
        if len(self._waiting) >= PIECE:
            await self._pass_on()

    async def end(self, name: str, media_type: str) -> None:
        """Set the name, once all has come."""
        if self._waiting:
            await self._pass_on()
        await self._do(end_writing, self._token, name, media_type, self._sent)

    def give_up(self) -> None:
        """Forget what has come, here and there."""
        self._waiting.clear()
        if self._sent:
            farewell(self._submissions, self._engines, give_up_writing, self._token)

    async def _pass_on(self) -> None:
        piece, start = bytes(self._waiting), self._sent
        self._waiting.clear()
        self._sent += len(piece)
        await self._do(take_piece, self._token, start, piece)

    async def _do(self, function: Any, *args: Any) -> None:
        numbers = await self._submissions.call(self._engines, function, *args, label=LABEL)
        await values_of(self._submissions, numbers)


def leaving(value: Encoded) -> tuple[str, int]:
    """Return what an engine says of a value that leaves in pieces: its media type, and how many bytes.

    Raises
    ------
    NotAsSaid
        It says nothing of the kind: whoever runs code there can have it say anything.
    """
    about = value_in(value)
    match about:
        case {"media_type": str(media_type), "bytes": int(size)} if media_type in VALUES and type(size) is int and size > 0:
            return media_type, size
    raise NotAsSaid("what the engine says of the value is not what it says of one")


async def one_of(
    submissions: Submissions, engines: Sequence[int], function: Any, *args: Any
) -> Encoded:
    """Call a function on one engine, and return what it returns."""
    numbers = await submissions.call(engines, function, *args, label=LABEL)
    [value] = await values_of(submissions, numbers)
    assert value is not None  # these functions return something
    return value


async def values_of(submissions: Submissions, numbers: Sequence[int]) -> list[Encoded | None]:
    """Wait for commands, and return what they return.

    Raises
    ------
    RemoteFailure
        One of them failed.
    EngineError
        An engine was busy for too long.
    """
    rows = await submissions.rows(numbers, PATIENCE)
    if None in rows:
        await submissions.client.cancel_requests(
            [text_of(number) for number in numbers]
        )
        raise EngineError(
            f"an engine has not had time for it within {PATIENCE:g} s: it is busy with something else"
        )
    values = []
    for row in rows:
        assert row is not None  # it has come
        outcome = outcome_of(row, _FROM_ENGINES)
        if outcome.state != "done" or outcome.error is not None:
            raise RemoteFailure(outcome)
        values.append(outcome.value)
    return values
