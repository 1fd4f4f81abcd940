from __future__ import annotations

import asyncio
import gc
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from tornado.iostream import StreamClosedError
from tornado.web import RequestHandler
from tornado.websocket import WebSocketClosedError

from ctrlhub.gateway.access.identity import Identity
from ctrlhub.gateway.access.roles import Role
from ctrlhub.gateway.api.handler import ApiHandler
from ctrlhub.gateway.handlers import Handler, SocketHandler, is_more


class Connection:
    """The protocol of a WebSocket whose messages fail once they are on their way."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def is_closing(self) -> bool:
        """Tell that it is open."""
        return False

    def write_message(self, message: Any, binary: bool = False) -> asyncio.Task[None]:
        """Take a message."""

        async def fail() -> None:
            raise self._error

        return asyncio.ensure_future(fail())


def complaints(error: Exception) -> list[Any]:
    """Return what the loop complains of when a message fails that nobody waits for."""
    heard: list[Any] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, about: heard.append(about))
        handler: Any = SocketHandler.__new__(SocketHandler)
        handler.ws_connection = Connection(error)
        sent = handler.write_message("news")
        await asyncio.wait([sent])
        await asyncio.sleep(0)
        del sent
        gc.collect()

    asyncio.run(run())
    return heard


def test_messages_to_who_has_gone_meanwhile_are_no_errors(caplog: pytest.LogCaptureFixture) -> None:
    """Where nobody waits for them, too: `on_close` tells."""
    with caplog.at_level(logging.DEBUG):
        assert complaints(WebSocketClosedError()) == []
    assert "not sent" not in caplog.text


def test_messages_that_fail_as_nobody_has_foreseen_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With what has happened."""
    with caplog.at_level(logging.DEBUG):
        assert complaints(OSError("odd")) == []
    assert "not sent" in caplog.text
    assert "odd" in caplog.text


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("0", False), ("5", False), ("6", True), ("10", True), ("0" * 5000 + "5", False), ("0" * 5000, False),
        ("9" * 5000, True), ("", False), ("\xb2", False), ("-9", False), ("1e9", False),
    ],
)  # fmt: skip
def test_lengths_that_are_more_than_there_may_be(said: str, answer: bool) -> None:
    """However many digits they have; what is no length is refused where it is read as one."""
    assert is_more(said, 5) is answer


def test_who_answers_in_pieces_lets_others_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where each piece is taken at once: an answer of many holds up nobody. Where it is not, nothing changes."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        handler: Any = Handler.__new__(Handler)
        sent = loop.create_future()
        monkeypatch.setattr(RequestHandler, "flush", lambda self, include_footers=False: sent)
        assert handler.flush() is sent
        sent.set_result(None)
        turns: list[int] = []
        for piece in range(3):
            loop.call_soon(turns.append, piece)
            await handler.flush()
            assert turns == list(range(piece + 1))
        sent = loop.create_future()
        sent.set_exception(StreamClosedError())
        with pytest.raises(StreamClosedError):
            await handler.flush()

    asyncio.run(run())


@pytest.mark.parametrize(("error", "is_logged"), [(StreamClosedError(), False), (ZeroDivisionError("odd"), True)])
def test_that_somebody_has_gone_is_no_fault_of_ours(
    error: Exception, is_logged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever likes goes in the midst of an answer, and fills no log."""
    handler: Any = Handler.__new__(Handler)
    handler.request = SimpleNamespace(method="GET")
    handler.route = SimpleNamespace(path="/x")
    handler.log_exception(type(error), error, None)
    assert ("GET /x failed" in caplog.text) is is_logged


def test_who_has_gone_is_not_waited_for() -> None:
    """What he waited for ends; it would take memory for as long as he had said, and he may come again and again."""

    async def run() -> None:
        closed, ended = asyncio.Event(), asyncio.Event()
        body = asyncio.get_running_loop().create_future()
        body.set_result(None)
        handler: Any = ApiHandler.__new__(ApiHandler)
        handler._identity = Identity(Role.VIEW, "token", "name")
        handler._came = 0
        handler.gateway = SimpleNamespace(waiting=set())
        handler.request = SimpleNamespace(_body_future=body, connection=SimpleNamespace(close=closed.set))

        async def wait() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        waits = asyncio.create_task(handler.waiting(wait()))
        while not handler.gateway.waiting:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        handler.on_connection_close()
        with pytest.raises(StreamClosedError):
            await waits
        assert ended.is_set()
        assert closed.is_set()
        assert not handler.gateway.waiting
        assert handler._finished

    asyncio.run(run())
