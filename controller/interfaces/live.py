"""Live output on its way from an engine to a client: what interfaces of requests share of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import ClassVar

from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.interfaces.base import Interface
from ctrlhub.wire.codec import size_of_extras
from ctrlhub.wire.errors import LimitExceeded
from ctrlhub.wire.limits import MAX_CONTROL_BYTES
from ctrlhub.wire.messages import Message, Output, OutputReceived, Stream

NOT_KNOWN = -1
"""In place of the number up to which a client has received output, or of the engine that it comes from."""


class Relay(Interface):
    """An interface that passes on what requests put out while they run; nothing is kept.

    Credit is an affair of engine and client: an engine has no more under way than the client of its
    request takes. What an engine says beyond any credit is refused here.
    """

    relayed: ClassVar[Mapping[type[Message], str]] = {
        Output: "output",
        OutputReceived: "output_received",
    }

    def client_of(self, engine: Engine, request: int) -> Session | None:
        """Return the client of a request, if it runs on this engine."""
        raise NotImplementedError

    def running_of(self, session: Session) -> Iterable[tuple[Engine, int]]:
        """Return the engines that run something of a client, and what."""
        raise NotImplementedError

    def client_connected(self, session: Session) -> None:
        """Have engines say again what may have been lost: a client is connected anew.

        It is of no use to keep that here: the engines have it, and may not be sure of their client
        either.
        """
        for engine, request in self.running_of(session):
            message = OutputReceived(request, NOT_KNOWN, engine.id, missed=True)
            for stream in self.streams:  # its own, one
                engine.session.send(self.outbox, stream, message)

    def output(self, session: Session, message: Output, stream: Stream, now: float) -> None:
        """Pass output on to the client.

        Raises
        ------
        LimitExceeded
            It is more than an engine puts into a message.
        """
        if size_of_extras(message.items) > MAX_CONTROL_BYTES:
            raise LimitExceeded(
                f"a message of output takes {MAX_CONTROL_BYTES} bytes at most: send it in several"
            )
        engine = session.engine
        client = self.client_of(engine, message.request) if engine is not None else None
        if engine is not None and client is not None and not client.ended:
            said = replace(message, engine=engine.id)
            client.publish(self.outbox, said)
            if self.context.output.watchers:
                self.context.output.put_out(said, now)

    def output_received(
        self, session: Session, message: OutputReceived, stream: Stream, now: float
    ) -> None:
        """Tell an engine that its client follows; the one that runs it, if the client does not know."""
        if message.engine == NOT_KNOWN:
            for engine, request in self.running_of(session):
                if request == message.request:
                    engine.session.send(self.outbox, stream, replace(message, engine=engine.id))
            return
        if message.engine in self.engines:
            engine = self.engine(message.engine)
            if self.client_of(engine, message.request) is session:
                engine.session.send(self.outbox, stream, message)
