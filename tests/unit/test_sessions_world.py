"""The real sessions of clients and engines, with the real hub, among failing links and processes."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ctrlhub.controller.config import HubConfig
from ctrlhub.wire.errors import EngineError, InvalidEngineID
from ctrlhub.wire.messages import Stream
from tests.support.peers import ScriptedNanny
from tests.support.sessions import SubmittingClient, WorkingEngine
from tests.support.world import UPWARDS, World

SETTLING = 600.0
"""Virtual seconds in which a world without faults must come to its end."""

ENGINES, CLIENTS = 2, 2


class Sessions(RuleBasedStateMachine):
    """Clients submit, engines work and die, links lose, delay and repeat, hubs die between two effects."""

    @initialize(seed=st.integers(0, 1000))
    def begin(self, seed: int) -> None:
        """Two engines and two clients have joined."""
        self.world = World(HubConfig(session_ttl=10_000, history_records=5), seed=seed)
        self.numbers = itertools.count(1)
        self.ran: list[tuple[int, int]] = []
        self.wanted: dict[int, tuple[SubmittingClient, int]] = {}
        self.commands: set[int] = set()
        self.nanny = self.world.joined(ScriptedNanny("nanny"))
        self.engines: list[WorkingEngine] = []
        for n in range(ENGINES):
            self.add_engine(f"engine {n}")
        self.clients = [self.world.joined(SubmittingClient(f"client {n}")) for n in range(CLIENTS)]
        self.world.run()

    def add_engine(self, key: str) -> None:
        """Let an engine come."""
        engine = self.world.add(WorkingEngine(key, self.ran))
        self.engines.append(engine)
        self.nanny.engines.append(engine)  # type: ignore[arg-type]

    def pick(self, index: int, peers: list[Any]) -> Any:
        """Choose a peer by a drawn number."""
        return peers[index % len(peers)]

    # ------------------------------------------------------------ work

    @rule(client=st.integers(0, 9), count=st.integers(1, 8))
    def submit(self, client: int, count: int) -> None:
        """A client submits tasks."""
        chosen = self.pick(client, self.clients)
        for _ in range(count):
            value = next(self.numbers)
            chosen.task(value)
            self.wanted[max(chosen.results)] = chosen, value
        self.world.tick(chosen)

    @rule(client=st.integers(0, 9), engine=st.integers(0, 2))
    def command(self, client: int, engine: int) -> None:
        """A client gives a command to an engine, which may not be there."""
        chosen, value = self.pick(client, self.clients), next(self.numbers)
        number = chosen.command(engine, value)
        self.commands.add(number)
        self.wanted[number] = chosen, value
        self.world.tick(chosen)

    @rule(engine=st.integers(0, 9), count=st.integers(1, 8))
    def work(self, engine: int, count: int) -> None:
        """An engine runs some of what it has."""
        chosen = self.pick(engine, self.engines)
        for _ in range(count):
            chosen.work(self.world.now)
        self.world.tick(chosen)

    @rule(data=st.data(), count=st.integers(1, 12))
    def deliver(self, data: st.DataObject, count: int) -> None:
        """Some messages arrive, in any order between the streams."""
        for _ in range(count):
            busy = [(p, *at) for p, wire in self.world.wires.items() for at in wire.busy()]
            if not busy:
                return
            self.world.deliver(*busy[data.draw(st.integers(0, len(busy) - 1))])

    @rule()
    def run(self) -> None:
        """Everything arrives that is on its way."""
        self.world.run()

    @rule(seconds=st.sampled_from([0.2, 1.0]))
    def advance(self, seconds: float) -> None:
        """Time passes, and nothing arrives."""
        self.world.advance(seconds)

    @rule(seconds=st.sampled_from([1.0, 4.0, 12.0]))
    def pass_time(self, seconds: float) -> None:
        """Time passes, and everything arrives that is sent."""
        self.world.pass_time(seconds)

    # ------------------------------------------------------------ faults

    @rule(peer=st.integers(0, 9), stream=st.sampled_from(UPWARDS), lost=st.integers(0, 3))
    def cut(self, peer: int, stream: Stream, lost: int) -> None:
        """A connection breaks, and what was on its way is lost."""
        self.world.cut(self.pick(peer, list(self.world.wires)), stream, lost)

    @rule(
        peer=st.integers(0, 9), stream=st.sampled_from(UPWARDS), way=st.sampled_from(["up", "down"])
    )
    def repeat(self, peer: int, stream: Stream, way: str) -> None:
        """A message arrives twice."""
        self.world.repeat(self.pick(peer, list(self.world.wires)), way, stream)

    @rule(engine=st.integers(0, 9), seen=st.booleans())
    def kill_engine(self, engine: int, seen: bool) -> None:
        """An engine dies, and another takes its place; perhaps the nanny says so."""
        chosen = self.pick(engine, self.engines)
        self.engines.remove(chosen)
        self.world.kill(chosen)
        if seen:
            self.nanny.report(chosen, restarting=True, running=chosen.running)
            self.world.tick(self.nanny)
        else:
            self.nanny.engines.remove(chosen)
        self.add_engine(chosen.registration.key)

    @rule()
    def store(self) -> None:
        """The store becomes slow, or finishes what it was given."""
        self.world.store.late = True
        self.world.commit()

    @precondition(lambda self: self.world.lives < 5)
    @rule(steps=st.integers(0, 12))
    def crash_hub(self, steps: int) -> None:
        """The hub will die in the midst of a turn."""
        self.world.crash_after(steps)

    # ------------------------------------------------------------ what must hold

    @invariant()
    def consistent(self) -> None:
        """Nothing is told twice, and no attempt runs twice without a hub's death."""
        if not hasattr(self, "world"):
            return
        self.world.check()
        for client in self.clients:
            assert max(client.ends.values(), default=1) == 1
        if self.world.lives == 1:
            assert max(Counter(self.ran).values(), default=1) == 1

    def teardown(self) -> None:
        """Without further faults, everything ends: once, at its client, with its own result."""
        if not hasattr(self, "world"):
            return
        until = self.world.now + SETTLING
        while self.world.now < until and not self.is_over():
            self.world.store.late = False
            self.world.commit()
            self.world.pass_time(1.0)
            for engine in self.engines:
                while engine.work(self.world.now):
                    pass
        assert self.is_over(), (self.world.tasks._tasks, self.world.commands._commands)
        for number, (client, value) in self.wanted.items():
            result = client.results[number]
            assert client.ends[number] == 1
            error = result.exception(0)
            if number in self.commands and error is not None:
                assert isinstance(error, EngineError | InvalidEngineID), error
            else:
                assert result.get(0) == 2 * value

    def is_over(self) -> bool:
        """Whether nobody owes anything to anyone."""
        return (
            all(result.done() for client in self.clients for result in client.results.values())
            and all(engine.is_idle for engine in self.engines)
            and not self.world.store.journal.unfetched()
        )


TestSessions = Sessions.TestCase
DEPTH = int(os.environ.get("CTRLHUB_WORLD_EXAMPLES", "20"))
"""As in the tests of the hub's world."""

TestSessions.settings = settings(
    max_examples=DEPTH, stateful_step_count=25 if DEPTH < 100 else 50, deadline=None
)
