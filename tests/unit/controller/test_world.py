"""The hub among failing peers and links: nothing accepted is lost, nothing ends twice."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from ctrlhub.controller.config import HubConfig
from ctrlhub.link.states import State
from ctrlhub.wire.errors import unpack_failure
from ctrlhub.wire.ids import to_ranges
from ctrlhub.wire.messages import Status, Stream
from ctrlhub.wire.options import Condition, TaskOptions
from tests.support.failing import MOST_LIVES, Failing
from tests.support.peers import LOST, ScriptedClient, ScriptedEngine, ScriptedNanny
from tests.support.world import World

SETTLING = 600.0
"""Virtual seconds in which a world without faults must come to its end."""


class Faults(Failing):
    """Clients submit and cancel, engines work and die, connections break, the hub restarts."""

    @initialize(
        seed=st.integers(0, 1000),
        engines=st.integers(1, 3),
        clients=st.integers(1, 2),
        remembered=st.sampled_from([0, 5, 4096]),
    )
    def begin(self, seed: int, engines: int, clients: int, remembered: int) -> None:
        """Some engines and clients have joined."""
        config = HubConfig(session_ttl=10_000, history_records=remembered)
        self.world = World(config, seed=seed)
        self.numbers = itertools.count(1)
        self.ran: list[tuple[int, int]] = []
        self.submitted: dict[int, tuple[ScriptedClient, bytes]] = {}
        self.cancelled: set[int] = set()
        self.endless: dict[int, ScriptedClient] = {}
        """Tasks that run until they are interrupted."""
        self.limited: set[int] = set()
        """Those of them that have a time limit."""
        self.hooks: dict[int, ScriptedClient] = {}
        self.orphans: set[int] = set()
        """Requests of killed clients, which others follow."""
        self.restarts = self.deaths = 0
        self.dropped: set[int] = set()
        """Requests of killed clients, which nobody acknowledges for them."""
        self.dependent = self.killed = False
        self.engines: list[ScriptedEngine] = []
        self.nanny = self.world.joined(ScriptedNanny("nanny"))
        for _ in range(engines):
            self.new_engine()
        self.clients = [self.world.joined(ScriptedClient(f"client {n}")) for n in range(clients)]
        self.world.run()

    # ------------------------------------------------------------ work

    @rule(
        client=st.integers(0, 9),
        count=st.integers(1, 6),
        raises=st.booleans(),
        function=st.sampled_from([b"f", b"g"]),
        retries=st.integers(0, 2),
        engine_retries=st.integers(0, 3),
        behind=st.integers(0, 3),
        follows=st.booleans(),
        priority=st.integers(-1, 1),
    )
    def submit(
        self,
        client: int,
        count: int,
        raises: bool,
        function: bytes,
        behind: int,
        follows: bool,
        priority: int,
        **retries: int,
    ) -> None:
        """A client submits tasks, some of which raise, or wait for others of its own."""
        chosen = self.pick(client, self.clients)
        own = [n for n, (whose, p) in self.submitted.items() if whose is chosen and b"task" in p]
        waits = (Condition(to_ranges(own[-behind:])),) if behind and own else ()
        after, follow = ((), waits) if follows else (waits, ())
        options = TaskOptions(priority=priority, after=after, follow=follow)
        self.dependent |= bool(waits)
        payloads = [
            b"!" * (raises and k == 0) + b"task %d" % next(self.numbers) for k in range(count)
        ]
        for number, payload in zip(
            chosen.tasks(*payloads, function=function, options=options, **retries),
            payloads,
            strict=True,
        ):
            self.submitted[number] = chosen, payload
        self.world.tick(chosen)

    @rule(client=st.integers(0, 9), limit=st.sampled_from([None, 0.5, 3.0]))
    def submit_endless(self, client: int, limit: float | None) -> None:
        """A client submits a task that runs until it is interrupted, or for longer than it may."""
        chosen = self.pick(client, self.clients)
        payload = b"~task %d" % next(self.numbers)
        [number] = chosen.tasks(payload, options=TaskOptions(time_limit=limit))
        self.submitted[number], self.endless[number] = (chosen, payload), chosen
        if limit is not None:
            self.limited.add(number)
        self.world.tick(chosen)

    @precondition(lambda self: self.world.lives < MOST_LIVES)
    @rule(
        limit=st.sampled_from([None, 3.0]),
        remembers=st.booleans(),
        seconds=st.sampled_from([0.0, 8.0]),
    )
    def restart_hub_and_cancel(self, limit: float | None, remembers: bool, seconds: float) -> None:
        """The hub is killed while tasks run, which are cancelled before engines are back."""
        if not remembers and (self.restarts or self.orphans):
            return
        self.restarts += not remembers
        for k in range(len(self.engines)):
            self.submit_endless(k, limit)
        self.world.run()
        for engine in self.engines:
            while engine.work():
                pass
        self.world.restart_hub(remembers=remembers)
        away = {each: self.world.wires.pop(each) for each in (*self.engines, self.nanny)}
        for _ in range(8):
            self.world.advance(0.5)
            self.world.run()
        self.stop_endless()
        self.world.run()
        self.world.advance(seconds)
        self.world.run()
        self.world.wires.update(away)

    def stop_endless(self) -> None:
        """Let clients cancel what would never end."""
        for client in self.clients:
            mine = [n for n in client.outstanding[Stream.TASK] if n in self.endless]
            mine = [n for n in mine if n not in self.limited]
            self.cancelled.update(mine)
            if mine:
                client.call("tasks", "cancel", requests=to_ranges(sorted(mine)))
                self.world.tick(client)

    @rule(
        client=st.integers(0, 9),
        chosen_engines=st.lists(st.integers(0, 3), min_size=1, max_size=3),
        function=st.sampled_from([b"", b"f"]),
    )
    def command(self, client: int, chosen_engines: list[int], function: bytes) -> None:
        """A client gives a command to engines, of which not all need to be there."""
        chosen = self.pick(client, self.clients)
        payload = b"command %d" % next(self.numbers)
        for number in chosen.command(chosen_engines, payload, function):
            self.submitted[number] = chosen, payload
        self.world.tick(chosen)

    @rule(client=st.integers(0, 9), name=st.sampled_from(["one", "two"]), raises=st.booleans())
    def make_hook(self, client: int, name: str, raises: bool) -> None:
        """A client makes a start hook, perhaps in place of another, perhaps one that raises."""
        chosen = self.pick(client, self.clients)
        payload = b"!" * raises + b"hook %d" % next(self.numbers)
        self.hooks[chosen.hook(name, payload)] = chosen
        self.world.tick(chosen)

    @rule(client=st.integers(0, 9), name=st.sampled_from(["one", "two"]))
    def remove_hook(self, client: int, name: str) -> None:
        """Somebody removes a hook."""
        chosen = self.pick(client, self.clients)
        chosen.call("start_hooks", "remove", name=name)
        self.world.tick(chosen)

    @rule(client=st.integers(0, 9), method=st.sampled_from(["cancel", "abort"]))
    def cancel(self, client: int, method: str) -> None:
        """A client cancels everything that it has on one of the streams."""
        chosen = self.pick(client, self.clients)
        stream = Stream.TASK if method == "cancel" else Stream.MULTIENGINE
        numbers = list(chosen.outstanding[stream])
        self.cancelled.update(numbers)
        interface = "tasks" if method == "cancel" else "multiengine"
        chosen.call(interface, method, requests=[[n, n] for n in numbers])
        self.world.tick(chosen)

    @rule(engine=st.integers(0, 9), count=st.integers(1, 8))
    def work(self, engine: int, count: int) -> None:
        """An engine runs some of what it has."""
        if self.engines:
            chosen = self.pick(engine, self.engines)
            for _ in range(count):
                chosen.work()
            self.world.tick(chosen)

    # ------------------------------------------------------------ faults

    @precondition(lambda self: len(self.engines) < 4)
    @rule()
    def new_engine(self) -> None:
        """Another engine is started."""
        engine = ScriptedEngine(f"engine {next(self.numbers)}", self.ran)
        self.world.add(engine)
        self.engines.append(engine)
        self.nanny.engines.append(engine)

    @precondition(lambda self: len(self.engines) > 0)
    @rule(engine=st.integers(0, 9), how=st.sampled_from(["seen", "restarting", "alone", "leaves"]))
    def end_engine(self, engine: int, how: str) -> None:
        """An engine dies, or leaves."""
        chosen = self.pick(engine, self.engines)
        self.engines.remove(chosen)
        if how == "leaves":
            chosen.goodbye(self.world.now, "enough")
            self.world.tick(chosen)
            self.world.run()
            self.nanny.engines.remove(chosen)
            self.world.kill(chosen)
            return
        self.deaths += 1
        self.world.kill(chosen)
        if how == "alone":
            self.nanny.engines.remove(chosen)
            return
        running = chosen.backlog[0] if chosen.backlog else -1
        self.nanny.report(chosen, restarting=how == "restarting", running=running)
        self.world.tick(self.nanny)
        if how == "restarting":
            again = ScriptedEngine(chosen.registration.key, self.ran)
            self.world.add(again)
            self.engines.append(again)
            self.nanny.engines.append(again)

    @precondition(lambda self: len(self.engines) > 0)
    @rule(client=st.integers(0, 9), engine=st.integers(0, 9))
    def restart_engine(self, client: int, engine: int) -> None:
        """A client has an engine restarted."""
        chosen = self.pick(client, self.clients)
        chosen.call("control", "restart", targets=[self.pick(engine, self.engines).engine_id])
        self.world.tick(chosen)

    @rule(leaves=st.booleans())
    def obey(self, leaves: bool) -> None:
        """The nanny does what it was told: engines leave, or are killed, and others are started."""
        orders, self.nanny.restarts = self.nanny.restarts, []
        for order in orders:
            for engine in tuple(self.engines):
                said = engine.registration
                if (said.key, said.incarnation) == (order.key, order.incarnation):
                    self.put_another_in_place_of(engine, leaves)

    def put_another_in_place_of(self, engine: ScriptedEngine, leaves: bool) -> None:
        """End an engine's process, and start another with its key."""
        self.engines.remove(engine)
        if leaves:
            engine.goodbye(self.world.now, "it was told to")
            self.world.tick(engine)
            self.world.run()
            self.nanny.engines.remove(engine)
            self.world.kill(engine)
        else:
            self.world.kill(engine)
            self.nanny.report(engine, restarting=True)
            self.world.tick(self.nanny)
        again = ScriptedEngine(engine.registration.key, self.ran)
        self.world.add(again)
        self.engines.append(again)
        self.nanny.engines.append(again)

    @rule(client=st.integers(0, 9))
    def read_or_not(self, client: int) -> None:
        """A client stops to acknowledge results, or begins again."""
        chosen = self.pick(client, self.clients)
        chosen.reads = not chosen.reads
        self.world.tick(chosen)

    @precondition(lambda self: self.restarts < 1 and not self.orphans)
    @rule()
    def restart_hub(self) -> None:
        """The hub is killed, and another takes its place, which knows nothing."""
        self.restarts += 1
        self.world.restart_hub()

    @precondition(lambda self: self.world.lives < MOST_LIVES)
    @rule(forgotten=st.booleans())
    def restart_hub_with_its_store(self, forgotten: bool) -> None:
        """The hub is killed, with what it was about to store, and another takes its place."""
        if not forgotten:
            self.world.commit()
        self.world.restart_hub(remembers=True)

    @precondition(lambda self: not self.restarts)
    @rule(client=st.integers(0, 9))
    def kill_client(self, client: int) -> None:
        """A client's process dies; another one takes over what was acknowledged."""
        killed = self.pick(client, self.clients)
        if self.endless.keys() & killed.outstanding[Stream.TASK].keys():
            return  # nobody else can cancel them
        self.world.kill(killed)
        self.clients.remove(killed)
        heir = ScriptedClient(f"client {next(self.numbers)}")
        self.admit(self.world.add(heir))
        self.clients.append(heir)
        accepted = {
            number
            for requests in killed.outstanding.values()
            for number, wanted in requests.items()
            if wanted.accepted and not wanted.hook
        } | killed.following
        self.dropped |= {n for n, (whose, _) in self.submitted.items() if whose is killed}
        for number, (whose, payload) in list(self.submitted.items()):
            if whose is killed and number in accepted:
                self.submitted[number] = heir, payload
            elif whose is killed and number not in killed.ends:
                del self.submitted[number]  # never acknowledged: nobody can ask for it
        self.orphans |= accepted
        self.dropped |= {number for number, whose in self.hooks.items() if whose is killed}
        self.hooks = {number: whose for number, whose in self.hooks.items() if whose is not killed}
        self.killed = True
        heir.follow(accepted)
        self.world.tick(heir)

    def admit(self, client: ScriptedClient) -> None:
        """Let a client join, with as little of the others as possible: before that it can ask nothing."""
        for _ in range(100):
            if client.state is State.JOINED:
                return
            busy = list(self.world.wires[client].busy())
            for way, stream in busy:
                self.world.deliver(client, way, stream)
            if not busy:
                self.world.advance(0.5)
        raise AssertionError("a client is not let in")

    @rule(same_keys=st.booleans())
    def kill_nanny(self, same_keys: bool) -> None:
        """A nanny's process dies, and its engines with it; others take their places."""
        self.world.kill(self.nanny)
        killed = self.nanny.engines
        self.nanny = self.world.add(ScriptedNanny(f"nanny {next(self.numbers)}"))
        for engine in killed:
            self.deaths += 1
            self.engines.remove(engine)
            self.world.kill(engine)
            key = engine.registration.key if same_keys else f"engine {next(self.numbers)}"
            again = self.world.add(ScriptedEngine(key, self.ran))
            self.engines.append(again)
            self.nanny.engines.append(again)

    # ------------------------------------------------------------ what must hold

    @invariant()
    def consistent(self) -> None:
        """Indexes agree with records, and no attempt runs twice."""
        if not hasattr(self, "world"):
            return
        self.world.check()
        if self.world.lives == 1:
            ran = (each for each in self.ran if each[0] not in self.hooks)
            assert max(Counter(ran).values(), default=1) == 1

    def teardown(self) -> None:
        """Without further faults, everything ends: once, at its client, with its own result."""
        if not hasattr(self, "world"):
            return
        world = self.world
        for client in self.clients:
            client.reads = True
        if not self.engines:
            self.new_engine()
        until = world.now + SETTLING
        while world.now < until and not self.is_over():
            world.store.late = False
            world.commit()
            for name in ("one", "two"):  # an engine on which one has failed gets no tasks
                self.remove_hook(0, name)
            self.obey(leaves=True)
            self.stop_endless()
            world.pass_time(1.0)
            for engine in self.engines:
                while engine.work():
                    pass
        assert self.is_over(), self.story()
        for number, (client, payload) in self.submitted.items():
            self.check_end(number, client, payload)
        for number, client in self.hooks.items():
            self.check_hook(number, client)
        assert not any(client.refusals for client in self.clients)
        summary = world.tasks.summary()
        assert (summary["queued"], summary["running"]) == (0, 0)
        ran = Counter(number for number, _ in self.ran)
        commands = [n for n, (_, payload) in self.submitted.items() if b"command" in payload]
        if not self.restarts:
            assert all(ran[number] <= 1 for number in commands), "a command ran twice"
        bound = world.config.history_records + len(self.orphans | self.dropped)
        for interface in (world.tasks, world.commands):
            assert len(interface._records) <= bound + len(self.hooks), "records are kept for ever"
        if world.lives == 1 and not self.killed:
            tasks = [n for n, (_, payload) in self.submitted.items() if b"task" in payload]
            ended = summary["done"] + summary["failed"] + world.tasks.cancelled
            assert ended == len(tasks), "a task ended twice"

    def is_over(self) -> bool:
        """Whether nobody owes anything to anyone."""
        summary = self.world.tasks.summary()
        return (
            summary["queued"] + summary["running"] == 0
            and not any(requests for c in self.clients for requests in c.outstanding.values())
            and all(engine.idle for engine in self.engines)
            and not any(client.following for client in self.clients)
            and not self.world.store.journal.unfetched() - self.orphans - self.dropped
        )

    def story(self) -> dict[str, Any]:
        """Tell what is left, for the report of a failure."""
        return {
            "clients": [client.outstanding for client in self.clients],
            "engines": [engine.lanes for engine in self.engines],
            "tasks": self.world.tasks._tasks,
            "commands": self.world.commands._commands,
            "stored": self.world.store.journal.unfetched(),
        }

    def check_end(self, number: int, client: ScriptedClient, payload: bytes) -> None:
        """Check how a request has ended."""
        status, result, _ = client.ends[number]
        if status == Status.OK:
            assert result == b"result of " + payload
        elif status == Status.CANCELLED:
            assert number in self.cancelled
        elif number in self.limited and unpack_failure(result).code == "time_limit_exceeded":
            return
        elif result == LOST:
            assert self.restarts
        elif not (result == b"result of " + payload and payload.startswith(b"!")):
            code = unpack_failure(result).code
            if self.dependent and code in ("impossible_dependency", "invalid_dependency"):
                return
            assert code in ("engine_error", "invalid_engine_id")
            if code == "engine_error":
                assert self.deaths or b"command" in payload or self.world.now > 1010

    def check_hook(self, number: int, client: ScriptedClient) -> None:
        """Check how a start hook has ended."""
        status, result, _ = client.ends[number]
        if status == Status.OK:
            assert result == b"N."
        elif status == Status.ERROR and not result.startswith(b"result of !"):
            failure = unpack_failure(result)
            assert failure.code == "engine_error" or self.restarts, failure


TestFaults = Faults.TestCase
DEPTH = int(os.environ.get("CTRLHUB_WORLD_EXAMPLES", "25"))
"""How many worlds are tried: a few each time, thousands when the hub's logic was changed."""

TestFaults.settings = settings(
    max_examples=DEPTH, stateful_step_count=30 if DEPTH < 100 else 50, deadline=None
)


class DeadlyTasks(Faults):
    """A world of which one task takes the hub with it, and the engine that runs it."""

    def kill_hub_and_engine(self, client: int, engine_retries: int, replaced: bool) -> None:
        """A task takes the hub and its engine with it, again and again; their nanny tells each next hub."""
        chosen = self.pick(client, self.clients)
        payload = b"~task %d" % next(self.numbers)
        [number] = chosen.tasks(payload, engine_retries=engine_retries)
        self.submitted[number], self.endless[number] = (chosen, payload), chosen
        self.world.tick(chosen)
        for killed in range(1, engine_retries + 2):
            runs_it = self.engine_that_runs(number)
            assert runs_it is not None
            self.deaths += 1
            self.engines.remove(runs_it)
            self.world.kill(runs_it)
            self.world.restart_hub(remembers=True)
            self.nanny.report(runs_it, restarting=replaced, running=number)
            if replaced or not self.engines:
                key = runs_it.registration.key
                again = self.world.add(ScriptedEngine(key, self.ran, supervised=True))
                self.engines.append(again)
                self.nanny.engines.append(again)
            self.world.pass_time(8.0)
            assert Counter(each for each, _ in self.ran)[number] == killed
        assert all(number not in engine.backlog for engine in self.engines), "it is given to another"

    def engine_that_runs(self, number: int) -> ScriptedEngine | None:
        """Let engines work until one runs a task that does not end, if any gets to it."""
        for _ in range(20):
            self.world.pass_time(0.5)
            self.world.commit()
            for engine in self.engines:
                while engine.work():
                    pass
                if engine.running is not None and engine.running[0] == number:
                    return engine
        return None


@given(
    seed=st.integers(0, 1000),
    engines=st.integers(1, 3),
    before=st.integers(0, 8),
    late=st.booleans(),
    engine_retries=st.integers(0, 2),
    replaced=st.booleans(),
)
@settings(max_examples=max(10, DEPTH // 2))
def test_deadly_tasks(
    seed: int, engines: int, before: int, late: bool, engine_retries: int, replaced: bool
) -> None:
    """They run as often as they may, whenever the hub dies; all others end as they should."""
    world = DeadlyTasks()
    world.begin(seed, engines, 2, 4096)
    for client in range(before):
        world.submit(client, 2, False, b"f", 0, False, 0, retries=0, engine_retries=3)
    if late:
        world.store()
    world.kill_hub_and_engine(0, engine_retries, replaced)
    world.teardown()
