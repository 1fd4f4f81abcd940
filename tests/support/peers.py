"""Scripted peers: engines and clients that keep the protocol and do nothing else."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ctrlhub.engine.early import EarlyInterrupts
from ctrlhub.link.membership import Membership, Patience
from ctrlhub.link.states import State
from ctrlhub.wire import messages as m
from ctrlhub.wire.codec import FrameList, resolve
from ctrlhub.wire.ids import Ranges, from_ranges, request_id, to_ranges
from ctrlhub.wire.options import PLAIN, TaskOptions

PYTHON = {"ctrlhub": "0", "python": "3.11.0", "protocol": "1"}

LOST = b"it was run before, and its result is lost"
"""The failure of a command that an engine is given again, after its acknowledgement."""

_numbers = itertools.count(1)


def registration(role: m.Role, key: str, **fields: Any) -> m.Register:
    """Return what a peer says of itself."""
    incarnation = fields.pop("incarnation", b"incarnation %d" % next(_numbers))
    host = fields.pop("host", "here")
    return m.Register(role.value, key, incarnation, 4711, host, PYTHON, **fields)


@dataclass
class Lane:
    """What an engine has of one stream."""

    waiting: deque[tuple[int, int, bytes, bytes]] = field(default_factory=deque)
    """(id, attempt, digest, payload)."""
    held: dict[int, int] = field(default_factory=dict)
    results: dict[int, m.ResultRow] = field(default_factory=dict)
    unsent: dict[int, m.ResultRow] = field(default_factory=dict)


class ScriptedEngine(Membership):
    """Runs a request when it is told to (`work`): its result is the payload, marked.

    A payload that begins with ``!`` raises, one that begins with ``~`` runs until it is interrupted.
    `ran` remembers (id, attempt) of everything run.
    """

    def __init__(self, key: str, ran: list[tuple[int, int]] | None = None, **fields: Any) -> None:
        super().__init__(registration(m.Role.ENGINE, key, **fields), patience=Patience(), seed=1)
        self.ran = [] if ran is None else ran
        self.known: set[bytes] = set()
        self.interrupted: list[int] = []
        self.shutdown = False
        self.taken: set[int] = set()
        self.running: tuple[int, int, bytes, bytes] | None = None
        """What runs until it is interrupted."""
        self.began = 0.0
        self.now = 0.0
        self.early = EarlyInterrupts()
        self.attempts: dict[int, int] = {}
        """The last attempt at each task that has come."""
        self.lanes = {m.Stream.MULTIENGINE: Lane(), m.Stream.TASK: Lane()}
        self.lacking: dict[m.Stream, set[bytes]] = {stream: set() for stream in self.lanes}

    @property
    def idle(self) -> bool:
        """Whether it has nothing to run and nothing to hand over."""
        return not any(lane.held or lane.results for lane in self.lanes.values())

    @property
    def backlog(self) -> list[int]:
        """The ids of the tasks it holds, in order."""
        first = [] if self.running is None else [self.running[0]]
        return first + [row[0] for row in self.lanes[m.Stream.TASK].waiting]

    def tick(self, now: float) -> None:
        """Do what is due."""
        self.now = now
        super().tick(now)

    def receive(self, stream: m.Stream, message: m.Message, now: float) -> None:
        """Take a message."""
        self.now = now
        super().receive(stream, message, now)

    def held(self, stream: m.Stream) -> Ranges:
        """Name what it has."""
        lane = self.lanes[stream]
        return to_ranges((*sorted(lane.results), *lane.held))

    def on_joined(self, registered: m.Registered, now: float) -> None:
        """Send results again, and ask for functions again."""
        if not self.same_epoch:
            self.early.clear()
        for stream in self.lanes:
            self.on_welcome(stream, now)

    def on_welcome(self, stream: m.Stream, now: float) -> None:
        """Send results again, and ask for functions again."""
        self.lanes[stream].unsent = dict(self.lanes[stream].results)
        if self.lacking[stream]:
            self.send(stream, m.NeedFunctions(tuple(sorted(self.lacking[stream]))))

    def drain(self) -> list[tuple[m.Stream, m.Message]]:
        """Send what membership has to say, then results."""
        out = super().drain()
        for stream, lane in self.lanes.items():
            if lane.unsent and self.state is State.JOINED:
                out.append((stream, m.Results(tuple(lane.unsent.values()))))
                lane.unsent = {}
        return out

    def on_message(self, stream: m.Stream, message: m.Message, now: float) -> None:
        """Take work, acknowledgements and control."""
        if isinstance(message, m.RunTasks):
            self._learn(message.functions)
            for number, attempt, index, ref in message.rows:
                payload = b"".join(map(bytes, as_frames(resolve(ref, message.frames))))
                self._take(stream, number, attempt, message.templates[index][0], payload)
        elif isinstance(message, m.RunCommand):
            self._learn(message.functions)
            payload = b"".join(map(bytes, as_frames(resolve(message.payload, message.frames))))
            self._take_command(stream, message, payload)
        elif isinstance(message, m.Functions):
            self._learn(message.functions)
        elif isinstance(message, m.Stored):
            for number in from_ranges(message.requests):
                self.lanes[stream].results.pop(number, None)
                self.lanes[stream].unsent.pop(number, None)
        elif isinstance(message, m.Interrupt):
            self._stop(set(from_ranges(message.requests)))
        elif isinstance(message, m.Shutdown):
            self.shutdown = True
        elif isinstance(message, m.GiveBack):
            self._give_back(message.most)

    def _give_back(self, most: int) -> None:
        lane, given = self.lanes[m.Stream.TASK], []
        while lane.waiting and len(given) < most:
            given.append(lane.waiting.pop()[0])
            del lane.held[given[-1]]
        self.send(m.Stream.TASK, m.GaveBack(to_ranges(sorted(given))))

    def _learn(self, functions: Iterable[m.FunctionRow]) -> None:
        self.known.update(digest for digest, _ in functions)
        for lacking in self.lacking.values():
            lacking -= self.known

    def _take_command(self, stream: m.Stream, message: m.RunCommand, payload: bytes) -> None:
        lane = self.lanes[stream]
        is_new = message.id not in lane.held and message.id not in lane.results
        if is_new and message.id in self.taken:
            lost = (message.id, 0, int(m.Status.ERROR), LOST, 0.0, 0.0, None)
            lane.results[message.id] = lane.unsent[message.id] = lost
            return
        self.taken.add(message.id)
        self._take(stream, message.id, 0, message.function, payload)

    def _take(
        self, stream: m.Stream, number: int, attempt: int, digest: bytes, payload: bytes
    ) -> None:
        lane = self.lanes[stream]
        if digest and digest not in self.known:
            self.lacking[stream].add(digest)
            self.send(stream, m.NeedFunctions((digest,)))
        row = lane.results.get(number)
        if row is not None and row[1] == attempt:
            lane.unsent[number] = row
        elif lane.held.get(number) != attempt:
            lane.results.pop(number, None)
            lane.unsent.pop(number, None)
            lane.held.pop(number, None)
            lane.held[number] = self.attempts[number] = attempt
            lane.waiting = deque(each for each in lane.waiting if each[0] != number)
            work = (number, attempt, digest, payload)
            if stream is m.Stream.TASK and self.early.strikes(number, attempt):
                self._finish(lane, work, m.Status.CANCELLED, b"")
            else:
                lane.waiting.append(work)

    def _stop(self, numbers: set[int]) -> None:
        for number in numbers:
            self.early.keep(number, self.attempts.get(number, -1) + 1)
        if self.running is not None and self.running[0] in numbers:
            row, self.running = self.running, None
            self.interrupted.append(row[0])
            lane = next(lane for lane in self.lanes.values() if row[0] in lane.held)
            self._finish(lane, row, m.Status.CANCELLED, b"")
        for lane in self.lanes.values():
            for row in tuple(lane.waiting):
                if row[0] in numbers:
                    lane.waiting.remove(row)
                    self.interrupted.append(row[0])
                    self._finish(lane, row, m.Status.CANCELLED, b"")

    def work(self) -> bool:
        """Run the next request: commands first. False when there is none that can run."""
        if self.running is not None:
            return False
        for lane in self.lanes.values():
            if lane.waiting and (not lane.waiting[0][2] or lane.waiting[0][2] in self.known):
                row = lane.waiting.popleft()
                self.ran.append(row[:2])
                if row[3].startswith(b"~"):
                    self.running, self.began = row, self.now
                    return True
                raised = row[3].startswith(b"!")
                status = m.Status.ERROR if raised else m.Status.OK
                self._finish(lane, row, status, b"result of " + row[3])
                return True
        return False

    def _finish(
        self, lane: Lane, row: tuple[int, int, bytes, bytes], status: m.Status, payload: bytes
    ) -> None:
        if lane.held.get(row[0]) != row[1]:
            return  # it was given anew
        del lane.held[row[0]]
        took = self.now - self.began if row[3].startswith(b"~") else 0.001
        result = (row[0], row[1], int(status), payload, 0.0, took, None)
        lane.results[row[0]] = lane.unsent[row[0]] = result


class ScriptedNanny(Membership):
    """Vouches for engines, and tells of their deaths."""

    def __init__(self, key: str, engines: Sequence[ScriptedEngine] = ()) -> None:
        super().__init__(registration(m.Role.NANNY, key), patience=Patience(), seed=1)
        self.engines = list(engines)
        self.signals: list[m.Signal] = []
        self.restarts: list[m.Restart] = []
        self._deaths: list[m.EngineDied] = []
        self.noted: list[bytes] = []

    def beat(self) -> m.Beat:
        """Name the engines."""
        return m.Beat(tuple(engine.registration.key for engine in self.engines))

    def report(self, engine: ScriptedEngine, **fields: Any) -> None:
        """Tell that an engine's process has ended."""
        said = engine.registration
        death = m.EngineDied(said.key, said.incarnation, fields.pop("cause", "killed"), **fields)
        self._deaths.append(death)
        if engine in self.engines:
            self.engines.remove(engine)
        if self.state is State.JOINED:
            self.send(m.Stream.HUB, death)

    def on_joined(self, registered: m.Registered, now: float) -> None:
        """Tell again of all deaths that no hub has noted, or in whose place no engine is."""
        for death in self._deaths:
            self.send(m.Stream.HUB, death)

    def on_message(self, stream: m.Stream, message: m.Message, now: float) -> None:
        """Take signals and orders."""
        if isinstance(message, m.Signal):
            self.signals.append(message)
        elif isinstance(message, m.Restart):
            self.restarts.append(message)
        elif isinstance(message, m.DeathNoted):
            self.noted.append(message.incarnation)
            lives = {engine.registration.key for engine in self.engines}
            self._deaths = [
                each for each in self._deaths
                if each.incarnation != message.incarnation or each.key not in lives
            ]  # fmt: skip


@dataclass
class Wanted:
    """A request that has not ended, as the client would send it again."""

    payload: bytes
    function: bytes
    retries: int = 0
    engine_retries: int = 3
    after: int = 0
    options: TaskOptions = PLAIN
    target: int = -1
    hook: str = ""
    accepted: bool = False
    resent: bool = False


class ScriptedClient(Membership):
    """Submits tasks and commands, and keeps what it was told of each."""

    def __init__(self, key: str, **fields: Any) -> None:
        super().__init__(registration(m.Role.ADMIN, key, **fields), patience=Patience(), seed=1)
        self.outstanding: dict[m.Stream, dict[int, Wanted]] = {
            m.Stream.TASK: {},
            m.Stream.MULTIENGINE: {},
        }
        self.ends: dict[int, tuple[int, bytes, int]] = {}
        """(status, payload, engine) of every request that has ended."""
        self.repeated: list[int] = []
        self.refusals: list[m.Refused] = []
        self.events: list[m.EngineEvent] = []
        self.answers: dict[int, m.Answer] = {}
        self.following: set[int] = set()
        """Requests of others whose results it waits for."""
        self.stopped: set[int] = set()
        """Tasks that it wants no more."""
        self.reads = True
        self.sends_functions = True
        self.said_goodbye = ""
        self._counter = itertools.count(1)
        self._calls: dict[int, m.Call] = {}
        self._call_numbers = itertools.count(1)
        self._sent_functions: set[tuple[m.Stream, bytes]] = set()
        self._received: dict[m.Stream, list[int]] = {stream: [] for stream in self.outstanding}
        self._last_command = 0

    def tasks(self, *payloads: bytes, function: bytes = b"f", **options: Any) -> list[int]:
        """Submit tasks; return their ids."""
        wanted = {}
        for payload in payloads:
            number = request_id(self.session, next(self._counter))
            after = self._last_command if self._last_command in self._commands() else 0
            wanted[number] = Wanted(payload, function, after=after, **options)
        self.outstanding[m.Stream.TASK].update(wanted)
        if self.state is State.JOINED:
            self._send_tasks(wanted)
        return list(wanted)

    def command(
        self, targets: Sequence[int], payload: bytes = b"x", function: bytes = b"", action: str = ""
    ) -> list[int]:
        """Give a command; return the ids."""
        numbers = [request_id(self.session, next(self._counter)) for _ in targets]
        for number, target in zip(numbers, targets, strict=True):
            self._commands()[number] = Wanted(payload, function, target=target)
        self._last_command = numbers[0]
        if self.state is State.JOINED:
            self._send_command(numbers[0], targets, payload, function, action or "push")
        return numbers

    def hook(self, name: str, payload: bytes) -> int:
        """Make a start hook; return its id."""
        number = request_id(self.session, next(self._counter))
        self._commands()[number] = Wanted(payload, b"", hook=name)
        self._last_command = number
        if self.state is State.JOINED:
            self._send_hook(number)
        return number

    def _send_hook(self, number: int) -> None:
        wanted = self._commands()[number]
        self.send(m.Stream.MULTIENGINE, m.StartHook(number, wanted.hook, "push", wanted.payload))

    def call(self, interface: str, method: str, **arguments: Any) -> int:
        """Call a method; its answer will be in `answers` under the number returned."""
        if (interface, method) == ("tasks", "cancel"):
            self.stopped.update(from_ranges(arguments["requests"]))
        number = next(self._call_numbers)
        self._calls[number] = m.Call(number, interface, method, arguments)
        if self.state is State.JOINED:
            self.send(m.Stream.HUB, self._calls[number])
        return number

    def follow(self, numbers: Iterable[int]) -> None:
        """Wait for results of others."""
        self.following.update(numbers)
        if self.following:
            self.call("history", "follow", requests=to_ranges(sorted(self.following)))

    def _commands(self) -> dict[int, Wanted]:
        return self.outstanding[m.Stream.MULTIENGINE]

    def _send_tasks(self, wanted: Mapping[int, Wanted]) -> None:
        """Send tasks, consecutive ones that wait for the same command together."""
        for after, group in itertools.groupby(wanted.items(), lambda item: item[1].after):
            chosen = dict(group)
            templates: dict[tuple[bytes, int, int, TaskOptions], int] = {}
            rows = []
            frames = FrameList()
            for number, each in chosen.items():
                template = (each.function, each.retries, each.engine_retries, each.options)
                index = templates.setdefault(template, len(templates))
                rows.append((number, index, frames.add(each.payload)))
            functions = self._functions(m.Stream.TASK, [template[0] for template in templates])
            made = [(*t[:3], "", t[3].to_wire())[: 4 + (t[3] is not PLAIN)] for t in templates]
            message = m.SubmitTasks(made, rows, functions, after, frames.frames)  # type: ignore[arg-type]
            self.send(m.Stream.TASK, message)

    def _send_command(
        self,
        first: int,
        targets: Sequence[int],
        payload: bytes,
        function: bytes,
        action: str,
        *,
        resent: bool = False,
    ) -> None:
        functions = self._functions(m.Stream.MULTIENGINE, [function] if function else [])
        frames = FrameList()
        payloads = (frames.add(payload),)
        self.send(
            m.Stream.MULTIENGINE,
            m.Command(
                first, targets, action, payloads, function, functions, resent=resent, frames=frames.frames
            ),
        )

    def _functions(self, stream: m.Stream, digests: Iterable[bytes]) -> tuple[m.FunctionRow, ...]:
        fresh = [d for d in dict.fromkeys(digests) if (stream, d) not in self._sent_functions]
        self._sent_functions.update((stream, digest) for digest in fresh)
        return tuple((d, b"code of " + d) for d in fresh) if self.sends_functions else ()

    def on_joined(self, registered: m.Registered, now: float) -> None:
        """Send again what the hub may not have."""
        if not (registered.resumed and self.same_epoch):
            self._sent_functions.clear()
            for requests in self.outstanding.values():
                for wanted in requests.values():
                    wanted.accepted = False
                    wanted.resent = True
        if self.stopped and not self.same_epoch:  # the hub before may not have stored their ends
            requests = to_ranges(sorted(self.stopped))
            number = next(self._call_numbers)
            self._calls[number] = m.Call(number, "tasks", "cancel", {"requests": requests})
        for call in self._calls.values():
            self.send(m.Stream.HUB, call)
        for stream in self.outstanding:
            self.on_welcome(stream, now)
        self.follow(())  # the question may be lost, and another hub has not heard it

    def on_welcome(self, stream: m.Stream, now: float) -> None:
        """Send again what was not accepted."""
        if stream not in self.outstanding:
            return
        again = {n: w for n, w in sorted(self.outstanding[stream].items()) if not w.accepted}
        if stream is m.Stream.TASK:
            for number, each in again.items():
                # A command that has ended meanwhile may be unknown to this hub: not to wait for.
                each.after = max((n for n in self._commands() if n < number), default=0)
            self._send_tasks(again)
            return
        for number, each in again.items():
            if each.hook:
                self._send_hook(number)
                continue
            self._send_command(
                number, [each.target], each.payload, each.function, "push", resent=each.resent
            )

    def drain(self) -> list[tuple[m.Stream, m.Message]]:
        """Send what membership has to say, and acknowledge results."""
        out = super().drain()
        for stream, numbers in self._received.items():
            if numbers and self.reads and self.state is State.JOINED:
                out.append((stream, m.Received(to_ranges(numbers))))
                self._received[stream] = []
        return out

    def on_message(self, stream: m.Stream, message: m.Message, now: float) -> None:
        """Take results, acknowledgements, answers and events."""
        if isinstance(message, m.Completed):
            for row in message.rows:
                payload = b"".join(map(bytes, as_frames(resolve(row[2], message.frames))))
                self._ended(stream, row[0], (row[1], payload, row[3]))
        elif isinstance(message, m.Accepted):
            for number in from_ranges(message.requests):
                if number in self.outstanding[stream]:
                    self.outstanding[stream][number].accepted = True
        elif isinstance(message, m.NeedFunctions) and self.sends_functions:
            rows = tuple((digest, b"code of " + digest) for digest in message.digests)
            self.send(stream, m.Functions(rows))
        elif isinstance(message, m.Answer):
            self.answers[message.id] = message
            self._calls.pop(message.id, None)
        elif isinstance(message, m.EngineEvent):
            self.events.append(message)
        elif isinstance(message, m.Refused):
            self.refusals.append(message)
        elif isinstance(message, m.Goodbye):
            self.said_goodbye = message.reason

    def _ended(self, stream: m.Stream, number: int, end: tuple[int, bytes, int]) -> None:
        self._received[stream].append(number)
        if number in self.ends:
            self.repeated.append(number)
        else:
            self.ends[number] = end
            if number in self.following:
                self.following.remove(number)
            else:
                del self.outstanding[stream][number]

    def results(self, numbers: Iterable[int]) -> list[bytes]:
        """Return the results of requests that all went well."""
        assert [self.ends[number][0] for number in numbers] == [0] * len(list(numbers))
        return [self.ends[number][1] for number in numbers]


def as_frames(payload: m.Payload) -> Sequence[m.Buffer]:
    """Return a payload as buffers."""
    return (payload,) if isinstance(payload, bytes) else payload
