"""Calls: small methods of interfaces, each answered exactly once. No I/O."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ctrlhub.controller.core.effects import Connection, Outbox, Send, SendStored
from ctrlhub.controller.core.later import Later, OnceStored
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.interfaces.base import Interface
from ctrlhub.wire import messages as m
from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.errors import CtrlHubError, InternalError, UnknownInterface
from ctrlhub.wire.limits import MAX_TEXT

log = logging.getLogger(__name__)


class Calls:
    """Finds the method that a client calls, and sends the answer.

    Parameters
    ----------
    interfaces
        What is exposed, by name.
    outbox
        Where answers go.
    """

    def __init__(self, interfaces: Mapping[str, Interface], outbox: Outbox) -> None:
        self._interfaces = interfaces
        self._outbox = outbox
        self._failed = 0

    def call(self, session: Session, message: m.Call, connection: Connection) -> None:
        """Answer a call: now, or when the method says so."""
        try:
            value = self._interface(message).call(session, message.method, message.arguments)
            if isinstance(value, Later):
                value.on_answer(lambda given, error: self._later(session, message, given, error))
                return
            if isinstance(value, OnceStored):
                stored = Send(connection, self._answer(message, value.value))
                self._outbox.add(SendStored(stored))
                return
            answer = self._answer(message, value)
        except Exception as error:
            answer = self._failure(message, error)
        self._outbox.add(Send(connection, answer))

    def _interface(self, message: m.Call) -> Interface:
        interface = self._interfaces.get(message.interface)
        if interface is None:
            raise UnknownInterface(
                f"the hub does not expose interface {message.interface[:80]!r}; it exposes: "
                + ", ".join(sorted(self._interfaces))
            )
        return interface

    def _later(
        self, session: Session, message: m.Call, value: Any, error: CtrlHubError | None
    ) -> None:
        """Send an answer that had to wait, on the connection that the caller has now."""
        try:
            if error is not None:
                raise error
            answer = self._answer(message, value)
        except Exception as failure:
            answer = self._failure(message, failure)
        session.send(self._outbox, m.Stream.HUB, answer)

    def _answer(self, message: m.Call, value: Any) -> m.Answer:
        answer = m.Answer(message.id, value)
        # A value that cannot travel is this call's failure, not the hub's, nor a silence.
        decode(*encode(answer))
        return answer

    def _failure(self, message: m.Call, error: Exception) -> m.Answer:
        if isinstance(error, CtrlHubError):
            return m.Answer(message.id, code=error.code, message=str(error)[:MAX_TEXT])
        self._failed += 1
        if self._failed <= 20 or self._failed % 1000 == 0:
            log.error(
                "%.80s.%.80s failed (%d calls so far)",
                message.interface, message.method, self._failed, exc_info=error,
            )  # fmt: skip
        text = f"{message.interface}.{message.method} failed in the hub: {error!r}"
        return m.Answer(message.id, code=InternalError.code, message=text[:MAX_TEXT])
