"""A client session without a hub, and a hub of a few lines on a link in the same process."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.client import Client
from ctrlhub.client.live_output import Follower, LiveRequest
from ctrlhub.client.requests import About, CommandRequest, Function, Template
from ctrlhub.client.session import ClientSession
from ctrlhub.engine.each_row import SomeRaised, caller
from ctrlhub.wire.codec import decode, encode, resolve
from ctrlhub.wire.each_row import EachRow
from ctrlhub.wire.errors import CtrlHubError, pack_failure
from ctrlhub.wire.ids import Ranges, from_ranges, request_id, to_ranges
from ctrlhub.wire.messages import (
    Accepted,
    Action,
    Answer,
    Beat,
    Buffer,
    Call,
    Command,
    Completed,
    EngineEvent,
    Goodbye,
    Hello,
    Message,
    Register,
    Registered,
    Status,
    Stream,
    SubmitTasks,
    Welcome,
)
from ctrlhub.wire.rebuild import failure_from_exception
from ctrlhub.wire.serialize import dumps, loads

SESSION = 7
PATIENCE = 60.0
"""How long (seconds) to wait for what must happen."""
NONE = dumps(None)
ABOUT = About("f", Stream.TASK, None)


OPENED: list[object] = []
"""Filled by each `Counted` that is unpickled."""


class Counted:
    """Counts how often it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (_count, ())


def _count() -> str:
    OPENED.append(None)
    return "counted"


def registration() -> Register:
    """Return what a client says of itself."""
    return Register("admin", "key", b"i", 1, "host", {})


def registered(**changes: Any) -> Registered:
    """Return a hub's answer to a registration."""
    values: dict[str, Any] = {
        "session": SESSION,
        "token": b"token",
        "engine_id": -1,
        "epoch": "first",
        "resumed": False,
        "beat": 1.0,
        "suspect": 3.0,
        "lease": 10.0,
        "engines": ({"id": 0}, {"id": 1}),
        "events": 2,
    }
    return Registered(**{**values, **changes})


def ok(number: int, value: object = None, engine: int = 0) -> tuple[Any, ...]:
    """Return the completed row of a request that ended well."""
    return (number, 0, dumps(value), engine, 1000.0, 0.5, None)


class Home:
    """Stands for the connection of results that are made by hand."""

    timeout = PATIENCE

    def check_wait(self) -> None:
        """Let everyone wait."""

    def wait(self, ready: Callable[[], bool], timeout: float | None) -> bool:
        """Have them wait in the usual way."""
        return False

    def is_io_thread(self) -> bool:
        """Say no."""
        return False

    def cancel(self, stream: Stream, requests: Ranges, grace: float | None = None) -> bool:
        """Know nothing of these requests."""
        return False

    def call(self, interface: str, method: str, arguments: Mapping[str, Any]) -> Any:
        """Know of no records."""
        return {"records": [], "after": None}

    def cancel_later(self, stream: Stream, requests: Ranges, grace: float | None = None) -> None:
        """Forget it."""

    def engine_uuid(self, engine: int) -> str | None:
        """Know of no engine."""
        return None

    def unix_time(self, monotonic: float) -> float:
        """Return the time itself."""
        return monotonic

    def live_output(self, request: int) -> LiveRequest | None:
        """Know of none."""
        return None

    def follow_output(self, requests: Sequence[int], follower: Follower) -> None:
        """Say that they have ended."""
        for number in requests:
            follower.ended(number)

    def leave(self, requests: Sequence[int], follower: Follower) -> None:
        """Forget it."""


class Watched:
    """Takes note of what a session tells."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.by_id: Mapping[int, Mapping[str, Any]] = {}
        self.despairs_of: CtrlHubError | None = None

    def despair(self, seconds: float) -> CtrlHubError | None:
        """Do as the test says."""
        return self.despairs_of

    def joined(self, session: int) -> None:
        """Note it."""
        self.told.append(("joined", session))

    def silent(self, seconds: float) -> None:
        """Note it."""
        self.told.append(("silent", seconds))

    def engines(self, engines: Mapping[int, Mapping[str, Any]]) -> None:
        """Keep them."""
        self.by_id = engines

    def lost(self, engine: Mapping[str, Any]) -> None:
        """Note it."""
        self.told.append(("lost", engine["id"]))

    def room(self) -> None:
        """Do not care."""

    def ended(self, error: CtrlHubError) -> None:
        """Note it."""
        self.told.append(("ended", error))


class Bench:
    """A client session, a clock, and what the session sent."""

    def __init__(self, *, join: bool = True, durable: bool = False) -> None:
        self.now = 100.0
        self.watched = Watched()
        self.session = ClientSession(registration(), self.watched, seed=1)
        self.home = Home()
        self.session.start(self.now, enrolling=False)
        self.function = Function(b"d" * 16, b"blob")
        self.template = Template("f", None, self.function)
        self._counter = 0
        self.drain()
        if join:
            self.receive(Stream.HUB, registered(durable=durable))
            self.drain()

    def drain(self, kind: type[Message] | None = None) -> list[Any]:
        """Return the messages that the session has to send, of a kind."""
        found = [message for _, message in self.session.drain()]
        return found if kind is None else [m for m in found if isinstance(m, kind)]

    def receive(self, stream: Stream, message: Message) -> None:
        """Give the session a message, by way of the wire."""
        header, *frames = encode(message)
        self.session.receive(stream, decode(bytes(header), frames), self.now)

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.session.tick(self.now)

    def rejoin(self, **changes: Any) -> list[Any]:
        """Lose the hub and find it again; return what is said then."""
        self.pass_time(3.5)
        self.drain()
        self.receive(Stream.HUB, registered(token=b"token2", **changes))
        found = [m for m in self.drain() if not isinstance(m, Hello)]
        while self.session._outgoing.waits:
            found += self.drain()
        return found

    def take_ids(self, count: int = 1) -> int:
        """Take ids; return the first."""
        first = request_id(SESSION, self._counter + 1)
        self._counter += count
        return first

    def task(self, payload: Any = b"args", template: Template | None = None) -> AsyncResult:
        """Submit a task."""
        result = AsyncResult(self.home, self.take_ids(), payload, template or self.template)
        self.session.submissions.append(result)
        return result

    def command(self, targets: Sequence[int] = (0,), payload: bytes = b"args") -> CommandRequest:
        """Submit a command."""
        first = self.take_ids(len(targets))
        result = AsyncResult(self.home, first, b"", ABOUT)
        request = CommandRequest(first, targets, "execute", [payload], None, result)
        self.session.submissions.append(request)
        return request

    def complete(self, numbers: Sequence[int], stream: Stream = Stream.TASK) -> None:
        """Let the hub tell that requests ended well."""
        self.receive(stream, Completed([ok(number) for number in numbers]))  # type: ignore[misc]

    def accept(self, numbers: Sequence[int], stream: Stream = Stream.TASK) -> None:
        """Let the hub accept requests."""
        self.receive(stream, Accepted(to_ranges(numbers)))


class HubLink:
    """A link to a hub with engines of its own, which answers in the client's I/O thread.

    Attributes
    ----------
    sent : list
        What the client sent, decoded.
    hold : bool
        Keep tasks and commands instead of running them; `release` runs them.
    deaf : bool
        Answer nothing at all.
    has_queries : bool
        Tell the engines when asked.
    ignored_cancels : int
        So often behave as if requests had not arrived that are to be cancelled.
    """

    enrolling = False
    sleeping = sleeps_in_system = False
    bulk = None

    def __init__(self, engines: int = 2, answers: Mapping[str, Any] | None = None) -> None:
        self.lock = threading.RLock()  # never let go of: everything is posted
        self.namespaces: dict[int, dict[str, Any]] = {number: {} for number in range(engines)}
        self.answers = dict(answers or {})
        self.sent: list[Message] = []
        self.hold = False
        self.deaf = False
        self.has_queries = True
        self.ignored_cancels = 0
        self.refusal: Message | None = None
        self._held: deque[SubmitTasks | Command] = deque()
        self._functions: dict[bytes, Any] = {}
        self._events = engines
        self._condition = threading.Condition()
        self._inbox: list[tuple[Stream, bytes, list[Buffer]]] = []
        self._woken = False

    def client(self, **options: Any) -> Client:
        """Return a client on this link."""
        return Client._on_link(self, **options)

    # ------------------------------------------------------------ as a link

    def receive(self, timeout: float | None) -> list[tuple[Stream, bytes, list[Buffer]]]:
        """Wait for messages or `wake`."""
        with self._condition:
            self._condition.wait_for(lambda: self._inbox or self._woken, timeout)
            self._woken = False
            arrived, self._inbox = self._inbox, []
        return arrived

    def missed(self) -> bool:
        """Nothing is missed."""
        return False

    def reopen(self) -> None:
        """There is nothing to open."""

    def wake(self) -> None:
        """Make `receive` return."""
        with self._condition:
            self._woken = True
            self._condition.notify_all()

    def put(self, stream: Stream, message: Message) -> None:
        """Send the client a message."""
        header, *frames = encode(message)
        with self._condition:
            self._inbox.append((stream, bytes(header), [memoryview(bytes(f)) for f in frames]))
            self._condition.notify_all()

    def enrolled(self) -> None:
        """There are no keys."""

    def enrol_again(self) -> None:
        """There are no keys."""

    def failure(self) -> str | None:
        """Know of none."""
        return None

    def close(self) -> None:
        """Do nothing."""

    # ------------------------------------------------------------ as a hub

    def send(self, stream: Stream, frames: Sequence[Buffer]) -> None:
        """Take a message from the client, and answer."""
        message = decode(bytes(frames[0]), [memoryview(bytes(f)) for f in frames[1:]])
        with self._condition:
            self.sent.append(message)
            self._condition.notify_all()
        if self.deaf or isinstance(message, Goodbye):
            return
        if isinstance(message, Register):
            engines = tuple({"id": number} for number in self.namespaces)
            answer = self.refusal or registered(engines=engines, events=self._events)
            self.put(Stream.HUB, answer)
        elif isinstance(message, Hello):
            self.put(stream, Welcome("first"))
        elif isinstance(message, Beat):
            self.put(stream, message)
        elif isinstance(message, Call):
            self.put(stream, self._answer(message))
        elif isinstance(message, SubmitTasks | Command):
            self._held.append(message)
            if not self.hold:
                self.release()

    def release(self) -> None:
        """Run what was held."""
        self.hold = False
        while self._held:
            message = self._held.popleft()
            for digest, ref in message.functions:
                function = loads(resolve(ref, message.frames))
                each = type(function) is EachRow
                self._functions[digest] = caller(function, _described) if each else function
            if isinstance(message, Command):
                self._run_command(message)
            else:
                self._run_tasks(message)

    def _run_tasks(self, message: SubmitTasks) -> None:
        self.put(Stream.TASK, Accepted(to_ranges(row[0] for row in message.rows)))
        rows = []
        for place, (number, index, ref) in enumerate(message.rows):
            call = self._functions[message.templates[index][0]]
            args, kwargs = loads(resolve(ref, message.frames))
            rows.append(self._row(number, place % 2, lambda c=call, a=args, k=kwargs: c(*a, **k)))
        self.put(Stream.TASK, Completed(rows))

    def _run_command(self, message: Command) -> None:
        rows = []
        for place, target in enumerate(message.targets):
            ref = message.payloads[place if len(message.payloads) > 1 else 0]
            payload = resolve(ref, message.frames)
            action = Action(message.action)
            function = self._functions.get(message.function)
            names = self.namespaces[target]
            rows.append(
                self._row(
                    message.first + place,
                    target,
                    lambda a=action, p=payload, f=function, n=names: _do(a, p, f, n),
                )
            )
        self.put(Stream.MULTIENGINE, Completed(rows))

    def _row(self, number: int, engine: int, call: Callable[[], Any]) -> Any:
        try:
            return (number, int(Status.OK), dumps(call()), engine, 1000.0, 0.5, None)
        except SomeRaised as some:
            return (number, int(Status.PARTLY), some.payload, engine, 1000.0, 0.5, None)
        except Exception as error:
            failure = pack_failure(failure_from_exception(error, engine_id=engine))
            return (number, int(Status.ERROR), failure, engine, 1000.0, 0.5, None)

    def _answer(self, call: Call) -> Answer:
        if call.method in ("cancel", "abort"):
            return self._cancel(call)
        if call.method == "engines_now" and self.has_queries:
            engines = [{"id": number} for number in sorted(self.namespaces)]
            return Answer(call.id, {"engines": engines, "events": self._events})
        if call.method == "engine_events" and self.has_queries:
            return Answer(call.id, self._events)
        value = self.answers.get(f"{call.interface}.{call.method}")
        if value is None:
            return Answer(call.id, None, "unknown_interface", f"no {call.interface}.{call.method}")
        return Answer(call.id, value(**call.arguments) if callable(value) else value)

    def _cancel(self, call: Call) -> Answer:
        wanted = set(from_ranges(call.arguments["requests"]))
        if self.ignored_cancels:
            self.ignored_cancels -= 1
            wanted = set()
        cancelled: list[int] = []
        for message in list(self._held):
            numbers = _numbers(message)
            if wanted.issuperset(numbers):
                self._held.remove(message)
                cancelled += numbers
                stream = Stream.TASK if isinstance(message, SubmitTasks) else Stream.MULTIENGINE
                rows: Any = [(number, 2, b"", -1, 0.0, 0.0, None) for number in numbers]
                self.put(stream, Completed(rows))
        value = {"cancelled": to_ranges(cancelled), "interrupted": (), "finished": ()}
        return Answer(call.id, value)

    def engine_comes(self, number: int) -> None:
        """Register an engine, and tell."""
        self.namespaces[number] = {}
        self._events += 1
        self.put(Stream.IOPUB, EngineEvent(self._events, "registered", {"id": number}))

    def engine_goes(self, number: int, **more: Any) -> None:
        """Lose an engine, and tell."""
        del self.namespaces[number]
        self._events += 1
        self.put(Stream.IOPUB, EngineEvent(self._events, "unregistered", {"id": number, **more}))

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until something is true of what was sent."""
        with self._condition:
            assert self._condition.wait_for(condition, PATIENCE)


def _numbers(message: SubmitTasks | Command) -> list[int]:
    if isinstance(message, SubmitTasks):
        return [row[0] for row in message.rows]
    return [message.first + place for place in range(len(message.targets))]


def _described(error: BaseException) -> bytes:
    return pack_failure(failure_from_exception(error))


def _do(action: Action, payload: Any, function: Any, names: dict[str, Any]) -> Any:
    if action is Action.CLEAR:
        names.clear()
        return None
    value = loads(payload)
    if action is Action.EXECUTE:
        exec(value["code"], names)
        return None
    if action is Action.PUSH:
        names.update(value)
        return None
    if action is Action.PULL:
        return names[value] if isinstance(value, str) else [names[name] for name in value]
    args, kwargs = value
    return function(*args, **kwargs)
