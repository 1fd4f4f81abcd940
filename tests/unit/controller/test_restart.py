"""A hub that follows another one and has its store: nothing of what was accepted is lost or repeated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from ctrlhub.controller.core.commands import CommandRecord
from ctrlhub.controller.interfaces.recorded_commands import in_order
from ctrlhub.wire.codec import decode
from ctrlhub.wire.errors import unpack_failure
from ctrlhub.wire.ids import to_ranges
from ctrlhub.wire.messages import Interrupt, Status, Stream
from ctrlhub.wire.options import Condition, TaskOptions
from tests.support.peers import ScriptedClient, ScriptedEngine, ScriptedNanny, Wanted
from tests.support.scene import Scene
from tests.support.stores import a_command


def test_queued_tasks_run_without_their_client(scene: Scene) -> None:
    """Those that were accepted are run, and their results wait for the client."""
    numbers = scene.client.tasks(*[b"task %d" % n for n in range(20)])
    scene.say()
    scene.world.kill(scene.client)
    scene.restart()
    scene.work_off()
    assert scene.runs() == dict.fromkeys(numbers, 1)
    assert len(scene.world.tasks._deliveries) == 20


def test_the_client_gets_what_it_was_waiting_for(scene: Scene) -> None:
    """It sends its requests again, which are known, and gets each result once."""
    numbers = scene.client.tasks(*[b"task %d" % n for n in range(20)])
    scene.say()
    scene.restart()
    scene.work_off()
    assert scene.client.results(numbers) == [b"result of task %d" % n for n in range(20)]
    assert scene.client.repeated == []
    assert scene.runs() == dict.fromkeys(numbers, 1)


def test_results_that_were_not_fetched_are_delivered(scene: Scene) -> None:
    """The hub had acknowledged them to their engine, which has them no more."""
    scene.client.reads = False
    tasks = scene.client.tasks(b"one", b"!two")
    [command] = scene.client.command([0], b"three")
    scene.say()
    scene.work_off()
    assert all(engine.idle for engine in scene.engines)
    ends = dict(scene.client.ends)
    scene.client.ends.clear()
    for stream, requests in scene.client.outstanding.items():
        for number in (tasks if stream is Stream.TASK else [command]):
            requests[number] = Wanted(b"", b"f", target=0)
    scene.restart()
    scene.client.reads = True
    scene.work_off()
    assert scene.client.ends == ends
    assert scene.runs() == dict.fromkeys([*tasks, command], 1)


def test_results_of_the_meantime_are_taken(scene: Scene) -> None:
    """What engines had is left with them, and is not run again."""
    numbers = scene.client.tasks(*[b"task %d" % n for n in range(4)])
    [command] = scene.client.command([1], b"command")
    scene.say()
    scene.restart()
    for engine in scene.engines:
        while engine.work():
            pass
    scene.work_off()
    assert scene.client.results([*numbers, command])
    assert scene.runs() == dict.fromkeys([*numbers, command], 1)


@pytest.mark.parametrize("first", ["engines", "client"])
def test_what_was_not_stored_is_found_with_engines(scene: Scene, first: str) -> None:
    """Its client gives it again, before or after the engine that has it has said so."""
    world = scene.world
    world.store.late = True
    numbers = scene.client.tasks(b"one", b"two")
    world.tick(scene.client)
    world.run()
    for engine in scene.engines:
        while engine.work():
            pass
    assert len(scene.ran) == 2
    late = [scene.client] if first == "engines" else scene.engines
    scene.restart()
    wires = {peer: world.wires.pop(peer) for peer in late}
    world.pass_time(4.0)
    world.wires.update(wires)
    scene.work_off()
    assert scene.client.results(numbers) == [b"result of one", b"result of two"]
    assert scene.runs() == dict.fromkeys(numbers, 1)


def test_commands_go_on_in_order(scene: Scene) -> None:
    """One that ran, and those behind it; none twice, and no task before them."""
    first = scene.client.command([0], b"first")
    more = [scene.client.command([0], b"%d" % n)[0] for n in range(5)]
    scene.say()
    assert scene.engines[0].work()
    scene.restart()
    scene.work_off()
    assert [number for number, _ in scene.ran] == [*first, *more]
    assert scene.client.results([*first, *more])


def test_commands_of_an_engine_that_was_replaced_fail(scene: Scene) -> None:
    """Nobody knows what the process that was there has run; what comes later is run."""
    commands = [scene.client.command([0], b"%d" % n)[0] for n in range(3)]
    scene.say()
    assert scene.engines[0].work()
    scene.restart()
    scene.world.kill(scene.engines[0])
    scene.engines[0] = scene.world.joined(ScriptedEngine("engine 0", scene.ran))
    scene.work_off()
    for number in commands:
        failure = unpack_failure(scene.client.ends[number][1])
        assert (failure.code, failure.engine_id) == ("engine_error", 0)
    assert scene.runs() == {commands[0]: 1}
    later = scene.client.command([0], b"later")
    scene.say()
    scene.work_off()
    assert scene.client.results(later)


def test_tasks_do_not_wait_for_an_engine_that_is_known_to_be_dead(scene: Scene) -> None:
    """Its nanny says so; what it had is run by another."""
    world = scene.world
    nanny = world.joined(ScriptedNanny("nanny", scene.engines))
    numbers = scene.client.tasks(*[b"task %d" % n for n in range(8)])
    scene.say()
    scene.restart()
    dead = scene.engines.pop()
    world.kill(dead)
    nanny.report(dead, restarting=False)
    for _ in range(8):
        world.pass_time(0.5)
        while scene.engines[0].work():
            pass
    assert world.now < 1000.0 + 6.0, "before anybody is late"
    world.pass_time(0.5)
    assert scene.client.results(numbers)


def test_tasks_do_not_wait_for_long_for_an_engine_that_does_not_come(scene: Scene) -> None:
    """What it may have is run by another once it is late."""
    numbers = scene.client.tasks(*[b"task %d" % n for n in range(8)])
    scene.say()
    scene.restart()
    scene.world.kill(scene.engines.pop())
    scene.work_off()
    assert scene.client.results(numbers)


def test_a_task_that_is_held_back_can_be_cancelled(scene: Scene) -> None:
    """While the hub waits for engines; it is counted among the queued ones."""
    for engine in scene.engines:
        scene.world.kill(engine)
    numbers = scene.client.tasks(b"one", b"two")
    scene.say()
    scene.restart()
    scene.world.pass_time(2.0)
    assert scene.world.tasks.summary()["queued"] == 2
    scene.client.call("tasks", "cancel", requests=[[numbers[0], numbers[0]]])
    scene.say()
    assert scene.client.ends[numbers[0]][0] == Status.CANCELLED
    scene.engines = [scene.world.joined(ScriptedEngine("another", scene.ran))]
    scene.work_off()
    assert scene.client.results(numbers[1:]) == [b"result of two"]


def test_what_was_cancelled_meanwhile_is_stopped(scene: Scene) -> None:
    """An engine that comes back later than the wish would run it for ever, and nothing behind it."""
    [endless] = scene.client.tasks(b"~endless")
    scene.say()
    [engine] = [engine for engine in scene.engines if engine.work()]
    wire = scene.world.wires.pop(engine)  # out of reach
    scene.restart()
    scene.world.run()
    scene.client.call("tasks", "cancel", requests=[[endless, endless]])
    scene.say()
    assert scene.client.ends[endless][0] == Status.CANCELLED
    scene.world.wires[engine] = wire
    scene.work_off()
    assert engine.interrupted == [endless]
    assert engine.idle


def test_a_command_that_was_cancelled_meanwhile_is_stopped(scene: Scene) -> None:
    """What comes after it is run."""
    [endless] = scene.client.command([0], b"~endless")
    scene.say()
    engine = scene.engines[0]
    assert engine.work()
    wire = scene.world.wires.pop(engine)  # out of reach
    scene.restart()
    scene.world.run()
    scene.client.call("multiengine", "abort", requests=[[endless, endless]])
    scene.say()
    assert scene.client.ends[endless][0] == Status.CANCELLED
    scene.world.wires[engine] = wire
    later = scene.client.command([0], b"later")
    scene.say()
    scene.work_off()
    assert engine.interrupted == [endless]
    assert scene.client.results(later) == [b"result of later"]


def test_what_was_given_to_another_engine_is_stopped_when_it_ends(scene: Scene) -> None:
    """Its first engine was away for too long."""
    [endless] = scene.client.tasks(b"~endless")
    scene.say()
    [engine] = [engine for engine in scene.engines if engine.work()]
    wire = scene.world.wires.pop(engine)
    scene.restart()
    scene.world.pass_time(9.0)
    [other] = [other for other in scene.engines if other is not engine]
    other.work()
    scene.world.wires[engine] = wire
    scene.world.pass_time(9.0)
    assert (engine.running, other.running) != (None, None)
    scene.client.call("tasks", "cancel", requests=[[endless, endless]])
    scene.say()
    scene.work_off()
    assert [engine.idle, other.idle] == [True, True]
    assert scene.client.ends[endless][0] == Status.CANCELLED


def test_what_nobody_asks_for_again_is_stopped(scene: Scene) -> None:
    """A hub that knows nothing waits for the client first; one that has gone does not come."""
    scene.client.tasks(b"~endless")
    scene.say()
    [engine] = [engine for engine in scene.engines if engine.work()]
    scene.world.kill(scene.client)
    scene.world.restart_hub()
    scene.world.pass_time(4.0)
    assert engine.running is not None
    scene.work_off()
    assert engine.idle


def test_what_is_given_again_as_it_is_stopped_is_run(scene: Scene) -> None:
    """Its client comes after all, before the engine has answered to the hub that knew nothing of it."""
    world = scene.world
    [endless] = scene.client.tasks(b"~endless")
    scene.say()
    [engine] = [engine for engine in scene.engines if engine.work()]
    for other in scene.engines:
        if other is not engine:
            world.kill(other)
    client = world.wires.pop(scene.client)
    world.restart_hub()
    to_engine = world.wires[engine].down[Stream.HUB]
    while not _is_interrupt(to_engine):
        world.run()
        world.advance(0.5)
    world.wires[scene.client] = client
    late = world.wires.pop(engine)
    world.pass_time(2.0)
    world.commit()
    world.wires[engine] = late
    scene.settle()
    while engine.work():
        pass
    scene.settle()
    assert engine.interrupted == [endless]
    assert endless not in scene.client.ends
    assert engine.running is not None
    scene.client.call("tasks", "cancel", requests=[[endless, endless]])
    scene.say()
    scene.work_off()
    assert scene.client.ends[endless][0] == Status.CANCELLED


def _is_interrupt(queue: Sequence[Sequence[bytes]]) -> bool:
    return any(isinstance(decode(frames[0], frames[1:]), Interrupt) for frames in queue)


@pytest.mark.parametrize("late", [False, True])
def test_time_limits_go_on(scene: Scene, late: bool) -> None:
    """For who runs when the hub is killed, also where that has just interrupted it for its limit."""
    options = TaskOptions(time_limit=1.0)
    numbers = scene.client.tasks(b"~one", b"~two", options=options)
    scene.say()
    for engine in scene.engines:
        assert engine.work()
    if late:
        scene.world.advance(1.5)
        for engine in scene.engines:
            scene.world.deliver(engine, "down", Stream.HUB)
    scene.restart()
    scene.work_off()
    codes = [unpack_failure(scene.client.ends[n][1]).code for n in numbers]
    assert codes == ["time_limit_exceeded"] * 2


@pytest.mark.parametrize("late", [False, True], ids=["stored", "not stored"])
def test_it_is_the_task_that_runs_whose_time_is_limited(scene: Scene, late: bool) -> None:
    """Though another client's, which waits behind it on the engine, has a lower id."""
    world, [engine] = scene.world, scene.engines[:1]
    world.kill(scene.engines.pop())
    world.pass_time(15.0)
    other = world.joined(ScriptedClient("other"))
    scene.client.tasks(b"this", b"one", b"is", b"quick")
    scene.say()
    scene.work_off()
    world.store.late = late
    [limited] = other.tasks(b"~endless", options=TaskOptions(time_limit=2.0))
    world.tick(other)
    world.run()
    assert engine.work()
    waiting = scene.client.tasks(b"behind it", options=TaskOptions(time_limit=2.0))
    world.tick(scene.client)
    world.run()
    assert engine.backlog == [limited, *waiting]
    assert waiting[0] < limited
    scene.restart()
    world.pass_time(1.9)
    assert engine.backlog == [limited, *waiting]
    scene.work_off()
    assert unpack_failure(other.ends[limited][1]).code == "time_limit_exceeded"
    assert engine.interrupted == [limited]
    assert scene.client.results(waiting) == [b"result of behind it"]


def test_who_is_not_back_is_no_reason_to_warn(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """What a client pickles with that has not come back yet is not known."""
    scene.client.tasks(b"one")
    scene.say()
    scene.world.kill(scene.client)
    scene.restart()
    engine = ScriptedEngine("another")
    versions = {**engine.registration.versions, "cloudpickle": "3.1.3"}
    engine.registration = replace(engine.registration, versions=versions)
    scene.world.joined(engine)
    assert "same versions on both" not in caplog.text


def test_engines_keep_their_ids(scene: Scene) -> None:
    """One that comes first gets none that another one had."""
    scene.settle()
    scene.restart()
    for engine in scene.engines:
        scene.world.kill(engine)
    another = scene.world.joined(ScriptedEngine("another"))
    scene.world.run()
    assert another.engine_id == 2
    again = scene.world.joined(ScriptedEngine("engine 1"))
    scene.world.run()
    assert again.engine_id == 1


def test_after_a_stop_on_purpose_ids_are_free(scene: Scene) -> None:
    """Engines end with a hub that is told to end; what was accepted runs on others."""
    numbers = scene.client.tasks(b"one")
    scene.say()
    scene.world._carry_out(scene.world.switchboard.shut_down("enough"))
    scene.world.commit()
    for engine in scene.engines:
        scene.world.kill(engine)
    scene.world.kill(scene.client)
    scene.restart()
    another = scene.world.joined(ScriptedEngine("another", scene.ran))
    scene.engines = [another]
    scene.work_off()
    assert another.engine_id == 0
    assert scene.runs() == dict.fromkeys(numbers, 1)


def test_history_is_remembered(scene: Scene) -> None:
    """What was fetched, by anybody who asks, also of clients that are gone."""
    numbers = scene.client.tasks(b"one", b"!two")
    scene.say()
    scene.work_off()
    scene.client.goodbye(scene.world.now, "enough")
    scene.say()
    scene.world.kill(scene.client)
    scene.restart()
    other = scene.world.joined(ScriptedClient("other"))
    asked = other.call("history", "records", requests=to_ranges(numbers))
    scene.world.tick(other)
    scene.world.run()
    records = other.answers[asked].value["records"]
    assert [record["status"] for record in records] == ["ok", "error"]
    assert [record["client"] for record in records] == [numbers[0] >> 40] * 2
    assert other.session != numbers[0] >> 40


def test_what_is_resubmitted_is_acknowledged_once_stored(scene: Scene) -> None:
    """A hub that is killed before has not said so, and the next one does it."""
    world = scene.world
    numbers = scene.client.tasks(b"one", b"two")
    scene.say()
    scene.work_off()
    world.store.late = True
    fresh = [max(numbers) + 10, max(numbers) + 11]
    scene.client.following.update(fresh)
    asked = scene.client.call("history", "resubmit", requests=numbers, first=fresh[0])
    world.tick(scene.client)
    world.run()
    assert asked not in scene.client.answers
    scene.restart()
    scene.work_off()
    assert scene.client.answers[asked].code == ""
    assert scene.runs() == dict.fromkeys([*numbers, *fresh], 1)


def test_history_of_what_the_hub_has_ended_itself(scene: Scene) -> None:
    """It has no time of its own at which it has run; it is remembered all the same."""
    numbers = scene.client.tasks(b"one", options=TaskOptions(timeout=1.0, targets=(7,)))
    scene.say()
    scene.work_off()
    assert scene.client.ends[numbers[0]][0] == Status.ERROR
    scene.restart()
    scene.work_off()
    assert scene.world.tasks.find(numbers[0]) is not None


def test_a_task_that_raises_is_not_run_more_often(scene: Scene) -> None:
    """How often it has raised before the hub was restarted counts."""
    world = scene.world
    [number] = scene.client.tasks(b"!raises", retries=2)
    scene.say()
    for life in range(2):
        [engine] = [each for each in scene.engines if each.backlog]
        assert engine.work()
        scene.settle()
        assert scene.runs() == {number: life + 1}
        assert number not in scene.client.ends
        scene.restart()
        world.pass_time(7.0)
    scene.work_off()
    assert scene.runs() == {number: 3}
    assert scene.client.ends[number][0] == Status.ERROR
    world.commit()
    assert not any(name.startswith("raised/") for name in world.store.disk.kept)


def test_hooks_are_kept(scene: Scene) -> None:
    """Engines that come run them, in their order; those that have run them do not."""
    first, second = scene.client.hook("one", b"1"), scene.client.hook("two", b"2")
    scene.say()
    scene.work_off()
    replaced = scene.client.hook("one", b"3")
    scene.say()
    scene.work_off()
    scene.world.kill(scene.client)
    scene.ran.clear()
    scene.restart()
    scene.work_off()
    assert scene.ran == [], "engines that lived on have run them"
    scene.engines = [scene.world.joined(ScriptedEngine("another", scene.ran))]
    scene.work_off()
    assert [number for number, _ in scene.ran] == [second, replaced]
    assert first not in scene.runs()


def test_a_hook_that_an_engine_has_is_not_stopped(scene: Scene) -> None:
    """It has ended for its maker, and is run under its id by who comes: also by who was about to."""
    hook = scene.client.hook("one", b"1")
    scene.say()
    scene.work_off()
    assert scene.client.ends[hook][0] == Status.OK
    scene.ran.clear()
    fresh = scene.world.joined(ScriptedEngine("fresh", scene.ran))
    scene.settle()
    assert hook in fresh.lanes[Stream.MULTIENGINE].held
    wire = scene.world.wires.pop(fresh)  # out of reach for so long that it is given up
    scene.world.pass_time(12.0)
    scene.world.wires[fresh] = wire
    scene.world.pass_time(5.0)
    scene.engines.append(fresh)
    scene.work_off()
    assert scene.runs() == {hook: 1}


def test_the_maker_of_a_hook_gives_it_again(scene: Scene) -> None:
    """It is told that the hub has it, and nothing is run twice."""
    number = scene.client.hook("one", b"1")
    scene.say()
    scene.work_off()
    assert scene.client.ends[number][0] == Status.OK
    scene.client._commands()[number] = Wanted(b"1", b"", hook="one")
    del scene.client.ends[number]
    scene.ran.clear()
    scene.restart()
    scene.work_off()
    assert scene.client.ends[number][0] == Status.OK
    assert scene.ran == []
    removed = scene.client.call("start_hooks", "remove", name="one")
    scene.say()
    assert scene.client.answers[removed].value is True
    scene.restart()
    assert scene.world.switchboard.interfaces["start_hooks"].described() == []  # type: ignore[attr-defined]


def test_dependencies_go_on(scene: Scene) -> None:
    """Tasks that wait for others, some of which have ended and were fetched."""
    [first] = scene.client.tasks(b"first")
    scene.say()
    scene.work_off()
    [second] = scene.client.tasks(b"second")
    waits = TaskOptions(after=(Condition(to_ranges([first, second])),), arguments=((first, first),))
    [third] = scene.client.tasks(b"third", options=waits)
    [fourth] = scene.client.tasks(b"fourth", options=TaskOptions(arguments=((third, third),)))
    scene.say()
    scene.restart()
    scene.work_off()
    assert scene.client.results([first, second, third, fourth])
    assert [number for number, _ in scene.ran] == [first, second, third, fourth]


def test_a_client_that_does_not_come_back_is_given_up(scene: Scene) -> None:
    """What it left is kept for as long as that of any client that has vanished, then cancelled."""
    scene.client.tasks(b"one", function=b"f")
    for engine in scene.engines:
        scene.world.kill(engine)
    scene.say()
    scene.world.kill(scene.client)
    scene.restart()
    scene.world.pass_time(90.0)
    assert len(scene.world.tasks._tasks) == 1
    scene.world.pass_time(20.0)
    scene.world.commit()
    assert scene.world.tasks._tasks == {}
    scene.restart()
    assert scene.world.tasks._tasks == {}


def test_a_store_in_trouble(scene: Scene) -> None:
    """New requests are refused with the reason, those that were accepted run; then all is well."""
    accepted = scene.client.tasks(b"one")
    scene.say()
    scene.world.store.trouble = "no space left on the disk"
    [task], [command] = scene.client.tasks(b"two"), scene.client.command([0], b"three")
    scene.say()
    for number in (task, command):
        failure = unpack_failure(scene.client.ends[number][1])
        assert failure.code == "store"
        assert "no space left on the disk" in failure.evalue
    scene.world.store.trouble = ""
    later = scene.client.tasks(b"four")
    scene.say()
    scene.work_off()
    assert scene.client.results([*accepted, *later])


def test_a_store_that_is_behind(scene: Scene) -> None:
    """No task is begun until it has caught up; what is submitted is accepted."""
    scene.world.store.is_behind = True
    numbers = scene.client.tasks(b"one", b"two")
    scene.say()
    scene.work_off()
    assert not scene.ran
    scene.world.store.is_behind = False
    scene.world.turn()
    scene.work_off()
    assert scene.runs() == dict.fromkeys(numbers, 1)


def test_a_clock_that_was_set_back(scene: Scene) -> None:
    """A task that may wait for 20 s does not wait for an hour more, when the next hub's clock is behind."""
    for engine in scene.engines:
        scene.world.kill(engine)
    [number] = scene.client.tasks(b"one", options=TaskOptions(timeout=20.0))
    scene.say()
    scene.world.unix_offset = -3600.0
    scene.restart()
    scene.settle()
    for _ in range(30):
        scene.world.pass_time(1.0)
    assert scene.client.ends[number][0] != Status.OK


def test_commands_that_came_while_the_clock_was_set_back(scene: Scene) -> None:
    """Those of a client have the order in which it gave them, those of others that of the clock."""
    _, one = a_command(1 << 40 | 1)
    sessions = {1: one.session, 2: a_command(2 << 40)[1].session}
    came = [(1 << 40 | 1, 50.0), (1 << 40 | 2, 60.0), (1 << 40 | 3, 10.0), (2 << 40 | 1, 55.0), (2 << 40 | 2, 70.0)]
    commands = [
        CommandRecord(n, sessions[n >> 40], "push", b"", None, 0, "", when, True) for n, when in came
    ]  # fmt: skip
    ordered = [command.id for command in in_order(reversed(commands))]
    assert ordered == [1 << 40 | 1, 2 << 40 | 1, 1 << 40 | 2, 1 << 40 | 3, 2 << 40 | 2]


def test_a_command_that_nobody_had_stored_is_not_run_by_another_process(scene: Scene) -> None:
    """It ran, hub and engine died before anything of it was stored, and another engine came first."""
    scene.settle()
    scene.world.store.late = True
    [command] = scene.client.command([0], b"command")
    scene.world.tick(scene.client)
    scene.world.run()
    assert scene.engines[0].work()
    scene.world.kill(scene.engines[0])
    client = scene.world.wires.pop(scene.client)
    scene.restart()
    scene.engines[0] = scene.world.joined(ScriptedEngine("engine 0", scene.ran))
    scene.world.wires[scene.client] = client
    [fresh] = scene.client.command([0], b"given to nobody yet")
    scene.work_off()
    status, failure, _ = scene.client.ends[command]
    assert status == Status.ERROR
    assert unpack_failure(failure).code == "engine_error"
    assert scene.runs()[command] == 1
    assert fresh in scene.client.ends


def test_a_command_given_to_a_new_process_is_run(scene: Scene) -> None:
    """Nobody else can have run it."""
    scene.settle()
    scene.world.kill(scene.engines[0])
    scene.restart()
    scene.engines[0] = scene.world.joined(ScriptedEngine("engine 0", scene.ran))
    scene.work_off()
    numbers = scene.client.command([0], b"command")
    scene.work_off()
    assert scene.client.results(numbers) == [b"result of command"]
