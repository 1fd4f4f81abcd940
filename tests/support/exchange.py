"""A switchboard spoken to message by message, where scripted peers would be too well behaved."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from random import Random
from typing import Any, TypeVar

from ctrlhub.controller.borrowing import Borrowing
from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.core.effects import (
    Commit,
    Connection,
    Operation,
    Publish,
    Send,
    SendStored,
    Stop,
)
from ctrlhub.controller.interfaces.finding import find_interfaces
from ctrlhub.controller.interfaces.multiengine import MultiEngine
from ctrlhub.controller.interfaces.taskqueue import TaskQueue
from ctrlhub.controller.switchboard import Origin, Switchboard
from ctrlhub.wire import messages as m
from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.ids import request_id
from ctrlhub.wire.parts import whole
from ctrlhub.wire.security import KeyRegistry
from tests.support.peers import registration

M = TypeVar("M", bound=m.Message)

VERSIONS = {"ctrlhub": "0", "python": "3.11.0", "protocol": "1"}

BULK = (m.Stream.MULTIENGINE, m.Stream.TASK)


class Exchange:
    """A switchboard whose effects are kept for looking at."""

    def __init__(
        self,
        config: HubConfig | None = None,
        keys: KeyRegistry | None = None,
        borrowing: Borrowing | None = None,
    ) -> None:
        tokens = itertools.count(1)
        self.config = config or HubConfig()
        self.now = 100.0
        self.inboxes: dict[bytes, list[m.Message]] = defaultdict(list)
        self.published: list[Publish] = []
        self.operations: list[Operation] = []
        self.stopped: list[str] = []
        self.switchboard = Switchboard(
            self.config,
            find_interfaces(self.config.interfaces),
            epoch="epoch",
            new_token=lambda: b"token %d" % next(tokens),
            versions=VERSIONS,
            keys=keys,
            borrowing=borrowing,
            random=Random(1),
        )

    @property
    def tasks(self) -> TaskQueue:
        """The task queue."""
        interface = self.switchboard.interfaces["tasks"]
        assert isinstance(interface, TaskQueue)
        return interface

    @property
    def commands(self) -> MultiEngine:
        """The command queues."""
        interface = self.switchboard.interfaces["multiengine"]
        assert isinstance(interface, MultiEngine)
        return interface

    def raw(
        self, header: bytes, frames: Sequence[bytes], connection: Connection, user: str | None
    ) -> None:
        """Let bytes arrive, and end the turn."""
        self.switchboard.receive(Origin(connection, user), header, frames, self.now)
        self.turn()

    def turn(self) -> None:
        """End a turn: keep what is sent, as its receiver reads it."""
        for effect in itertools.chain.from_iterable(self.switchboard.turn(self.now)):
            if isinstance(effect, Send):
                self._keep(effect)
            elif isinstance(effect, SendStored):
                self._keep(effect.send)
            elif isinstance(effect, Commit):
                self.operations += effect.operations
                for each in effect.then:
                    self._keep(each.send())
            elif isinstance(effect, Publish):
                self.published.append(effect)
            elif isinstance(effect, Stop):
                self.stopped.append(effect.reason)
        self.switchboard.check()
        assert not self.switchboard.failures

    def _keep(self, send: Send) -> None:
        frames = [bytes(frame) for frame in whole(encode(send.message, send.shares))]
        self.inboxes[send.connection.address].append(decode(frames[0], frames[1:]))

    def pass_time(self, seconds: float) -> None:
        """Let time pass with nobody saying anything."""
        self.now += seconds
        self.switchboard.tick(self.now)
        self.turn()

    def events(self) -> list[tuple[str, int]]:
        """Take the engine events that were published: (event, engine id)."""
        published, self.published = self.published, []
        messages = [effect.message for effect in published]
        return [(e.event, e.engine["id"]) for e in messages if isinstance(e, m.EngineEvent)]


class Line:
    """One peer's connections, by hand; `address` is the same on every stream.

    Parameters
    ----------
    exchange
        Whom to speak to.
    address
        What ROUTER would call the connections.
    user
        The key that CURVE proved; None over ipc.
    """

    def __init__(self, exchange: Exchange, address: str, user: str | None = None) -> None:
        self.exchange = exchange
        self.address = address.encode()
        self.user = user
        self.registered: m.Registered | None = None

    def say(self, stream: m.Stream, message: m.Message) -> list[m.Message]:
        """Say something; return what came to this peer by it (`heard` gives it once more)."""
        frames = [bytes(frame) for frame in encode(message)]
        return self.say_bytes(stream, frames[0], frames[1:])

    def say_bytes(
        self, stream: m.Stream, header: bytes, frames: Sequence[bytes] = ()
    ) -> list[m.Message]:
        """Say any bytes."""
        inbox = self.exchange.inboxes[self.address]
        before = len(inbox)
        self.exchange.raw(header, frames, Connection(0, stream, self.address), self.user)
        return inbox[before:]

    def heard(self, *kinds: type[m.Message]) -> list[m.Message]:
        """Take what came to this peer since it was last asked, of some kinds or all."""
        inbox = self.exchange.inboxes[self.address]
        chosen = [each for each in inbox if not kinds or isinstance(each, kinds)]
        inbox[:] = [each for each in inbox if kinds and not isinstance(each, kinds)]
        return chosen

    def one(self, kind: type[M]) -> M:
        """Take the only message of a kind."""
        found = self.heard(kind)
        assert len(found) == 1, (kind, found)
        assert isinstance(found[0], kind)
        return found[0]

    def register(self, role: m.Role, key: str = "", **fields: Any) -> m.Registered:
        """Register, and say hello on the other streams of the role."""
        self.heard()
        said = registration(role, key or self.address.decode(), **fields)
        answers = self.say(m.Stream.HUB, said)
        assert answers, "no answer"
        registered = answers[-1]
        assert isinstance(registered, m.Registered), answers
        self.registered = registered
        self.said = said
        if role.is_client:
            self.say(m.Stream.IOPUB, m.Hello(registered.token))
        if role is not m.Role.NANNY:
            for stream in BULK:
                self.say(stream, m.Hello(registered.token))
        return registered

    def id(self, counter: int) -> int:
        """Return a request id of this peer's session."""
        assert self.registered is not None
        return request_id(self.registered.session, counter)

    def submit(self, *counters: int, **fields: Any) -> list[m.Message]:
        """Submit tasks of one template."""
        template: tuple[Any, ...] = (
            fields.pop("function", b"f"), fields.pop("retries", 0),
            fields.pop("engine_retries", 3), "",
        )  # fmt: skip
        if "options" in fields:
            template = (*template, fields.pop("options"))
        payload = fields.pop("payload", b"arguments")
        rows = tuple((self.id(counter), 0, payload) for counter in counters)
        functions = fields.pop("functions", ((template[0], b"code"),))
        return self.say(m.Stream.TASK, m.SubmitTasks((template,), rows, functions, **fields))  # type: ignore[arg-type]

    def command(self, counter: int, *targets: int, **fields: Any) -> list[m.Message]:
        """Give a command."""
        action = fields.pop("action", "push")
        payloads = fields.pop("payloads", (b"data",))
        message = m.Command(self.id(counter), targets, action, payloads, **fields)
        return self.say(m.Stream.MULTIENGINE, message)

    def results(self, *rows: tuple[int, int], **fields: Any) -> list[m.Message]:
        """Report the ends of tasks (id, attempt)."""
        status = int(fields.pop("status", m.Status.OK))
        payload = fields.pop("payload", b"value")
        stream = fields.pop("stream", m.Stream.TASK)
        elapsed = fields.pop("elapsed", 0.001)
        extras = fields.pop("extras", None)
        made = tuple((n, attempt, status, payload, 0.0, elapsed, extras) for n, attempt in rows)
        return self.say(stream, m.Results(made))

    def call(self, interface: str, method: str, **arguments: Any) -> m.Answer:
        """Call a method; return its answer."""
        self.say(m.Stream.HUB, m.Call(7, interface, method, arguments))
        return self.one(m.Answer)


def rows_of(messages: Sequence[m.Message]) -> list[tuple[int, int]]:
    """Return (id, attempt) of the tasks in messages to an engine."""
    return [row[:2] for each in messages if isinstance(each, m.RunTasks) for row in each.rows]


def ends_of(messages: Sequence[m.Message]) -> dict[int, tuple[int, Any]]:
    """Return (status, payload) by id of the results in messages to a client."""
    found = [each for each in messages if isinstance(each, m.Completed)]
    return {row[0]: (row[1], row[2]) for each in found for row in each.rows}
