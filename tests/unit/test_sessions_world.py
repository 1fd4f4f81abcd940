"""The real sessions of clients and engines, with the real hub, among failing links and processes."""

from __future__ import annotations

import itertools
import os
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from ctrlhub.controller.config import HubConfig
from ctrlhub.engine.lease import Ending
from ctrlhub.link.states import State
from ctrlhub.wire.errors import EngineError, InvalidEngineID
from ctrlhub.wire.messages import Drain, Stream
from tests.support.failing import Failing
from tests.support.peers import ScriptedNanny
from tests.support.sessions import SubmittingClient, WorkingEngine
from tests.support.world import World

SETTLING = 600.0
"""Virtual seconds in which a world without faults must come to its end."""

ENGINES, CLIENTS = 2, 2


class Sessions(Failing):
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

    # ------------------------------------------------------------ work

    @rule(client=st.integers(0, 9), count=st.integers(1, 8))
    def submit(self, client: int, count: int) -> None:
        """A client submits tasks."""
        chosen = self.pick(client, self.clients)
        for _ in range(count):
            value = next(self.numbers)
            self.wanted[chosen.task(value)] = chosen, value
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
        self.bury()
        chosen = self.pick(engine, self.engines)
        for _ in range(count):
            chosen.work(self.world.now)
        self.world.tick(chosen)

    # ------------------------------------------------------------ faults

    @rule(engine=st.integers(0, 9), seen=st.booleans())
    def kill_engine(self, engine: int, seen: bool) -> None:
        """An engine dies, and another takes its place; perhaps the nanny says so."""
        self.bury()
        chosen = self.pick(engine, self.engines)
        self.engines.remove(chosen)
        self.world.kill(chosen)
        if seen:
            self.nanny.report(chosen, restarting=True, running=chosen.running)
            self.world.tick(self.nanny)
        else:
            self.nanny.engines.remove(chosen)
        self.add_engine(chosen.registration.key)

    @rule(engine=st.integers(0, 9), within=st.sampled_from([0.0, 2.0, 1000.0]))
    def drain_engine(self, engine: int, within: float) -> None:
        """A nanny has an engine finish, and starts another that is none of its successors."""
        chosen = self.pick(engine, self.engines)
        if chosen.drains or sum(not each.drains for each in self.engines) < 2:
            return
        if self.nanny.state is State.JOINED:
            keys = (chosen.registration.key,)
            self.nanny.send(Stream.HUB, Drain(keys, "its time is nearly over", within))
            self.world.tick(self.nanny)
            self.add_engine(f"engine {next(self.numbers)}")

    def bury(self) -> None:
        """Let the processes end of engines that have left."""
        for engine in [each for each in self.engines if each.state is State.GONE]:
            assert engine.drains
            self.engines.remove(engine)
            self.world.kill(engine)
            if engine in self.nanny.engines:  # type: ignore[comparison-overlap]
                self.nanny.engines.remove(engine)  # type: ignore[arg-type]

    # ------------------------------------------------------------ what must hold

    @invariant()
    def consistent(self) -> None:
        """Nothing is told twice, and no attempt runs twice without a hub's death."""
        if not hasattr(self, "world"):
            return
        self.world.check()
        assert all(each.ending is Ending.LEFT for each in self.engines if each.state is State.GONE)
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
            self.bury()
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
