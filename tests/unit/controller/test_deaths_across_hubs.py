"""Engines that die around the death of a hub: what ran is charged with it, whichever hub hears of it."""

from __future__ import annotations

import pytest

from ctrlhub.wire.errors import unpack_failure
from tests.support.peers import ScriptedEngine, ScriptedNanny
from tests.support.scene import Scene


def test_a_task_that_kills_its_engines_kills_no_more_of_them(scene: Scene) -> None:
    """Those that it has killed before the hub was restarted count, and each is told."""
    world = scene.world
    world.kill(scene.engines.pop())
    world.pass_time(15.0)
    numbers = scene.client.tasks(b"deadly", engine_retries=2)
    scene.say()
    for life in range(3):
        [engine] = scene.engines
        assert engine.backlog == numbers
        nanny = world.joined(ScriptedNanny(f"nanny {life}", [engine]))
        world.pass_time(2.0)
        world.kill(engine)
        nanny.report(engine, cause=f"death {life}\nlast words {life}", running=numbers[0])
        world.pass_time(1.0)
        world.commit()
        scene.restart()
        scene.engines = [world.joined(ScriptedEngine(f"another {life}", scene.ran))]
        world.pass_time(7.0)
        world.commit()
    scene.work_off()
    failure = unpack_failure(scene.client.ends[numbers[0]][1])
    assert failure.code == "engine_error"
    assert failure.evalue.split("\n", 1)[0].endswith("the 3rd to be: death 2")
    assert "last words 2" in failure.evalue
    earlier = failure.evalue.splitlines()[-2:]
    assert [line.partition(":")[2] for line in earlier] == [" death 0", " death 1"]
    assert all(line.startswith("before that, engine ") for line in earlier)
    world.commit()
    assert not any(name.startswith("deaths/") for name in world.store.disk.kept)


@pytest.mark.parametrize("remembers", [True, False], ids=["stored", "in memory"])
@pytest.mark.parametrize("replaced", [True, False], ids=["replaced before", "replaced after"])
def test_deaths_that_no_hub_has_seen_count(scene: Scene, *, replaced: bool, remembers: bool) -> None:
    """An engine that dies while there is no hub: its nanny tells the next one, once and for all."""
    world = scene.world
    world.kill(scene.engines.pop())
    world.pass_time(15.0)
    [number] = scene.client.tasks(b"deadly", engine_retries=1)
    scene.say()
    engine = scene.engines[0]
    nanny = world.joined(ScriptedNanny("nanny", [engine]))
    for life in range(2):
        assert engine.backlog == [number]
        scene.ran.append((number, life))
        world.kill(engine)
        nanny.report(engine, cause=f"death {life}", running=number, restarting=True)
        another = ScriptedEngine(engine.registration.key, scene.ran, incarnation=b"%d" % life)
        world.restart_hub(remembers=remembers)
        if not replaced:
            world.pass_time(1.0)
        scene.engines = [world.joined(another)]
        nanny.engines.append(another)
        world.pass_time(8.0)
        world.commit()
        world.pass_time(1.0)
        assert len(set(nanny.noted)) == (life + 1 if remembers else 0)  # who does not know it has to hear again
        engine = another
    scene.work_off()
    assert scene.runs() == {number: 2}
    failure = unpack_failure(scene.client.ends[number][1])
    assert failure.code == "engine_error"
    assert failure.evalue.split("\n", 1)[0].endswith("the 2nd to be: death 1")
    if remembers:
        assert not any(name.startswith("deaths/") for name in world.store.disk.kept)


def alone(scene: Scene) -> tuple[ScriptedEngine, ScriptedNanny]:
    """Leave one engine, which has a nanny."""
    world = scene.world
    world.kill(scene.engines.pop())
    world.pass_time(15.0)
    [engine] = scene.engines
    return engine, world.joined(ScriptedNanny("nanny", [engine]))


def another(scene: Scene, engine: ScriptedEngine, nanny: ScriptedNanny) -> ScriptedEngine:
    """Let another process take the place of an engine's."""
    again = scene.world.joined(ScriptedEngine(engine.registration.key, scene.ran))
    scene.engines = [again]
    nanny.engines.append(again)
    return again


def test_the_death_waits_for_a_task_that_no_hub_has_stored(scene: Scene) -> None:
    """Hubs are told until its client has given it again: then it is charged, and does not run."""
    world = scene.world
    engine, nanny = alone(scene)
    world.store.late = True
    [number] = scene.client.tasks(b"deadly", engine_retries=0)
    world.tick(scene.client)
    world.run()
    assert engine.work()
    world.kill(engine)
    away = world.wires.pop(scene.client)
    for _ in range(2):
        scene.restart()
        if not nanny.noted and engine in nanny.engines:
            nanny.report(engine, cause="signal 9", running=number, restarting=True)
            another(scene, engine, nanny)
        world.pass_time(2.0)
        world.commit()
        world.pass_time(1.0)
        assert nanny.noted == []
    world.wires[scene.client] = away
    scene.work_off()
    assert scene.runs() == {number: 1}
    failure = unpack_failure(scene.client.ends[number][1])
    assert failure.code == "engine_error"
    assert failure.evalue.endswith("the 1st to be: signal 9")


def test_a_death_that_is_told_late_counts(scene: Scene) -> None:
    """Another engine has the task by then: it may end there, but kills no third one."""
    world = scene.world
    engine, nanny = alone(scene)
    [number] = scene.client.tasks(b"deadly", engine_retries=1)
    scene.say()
    scene.ran.append((number, 1))
    world.kill(engine)
    scene.restart()
    away = world.wires.pop(nanny)
    scene.engines = [world.joined(ScriptedEngine("another", scene.ran))]
    world.pass_time(10.0)
    [second] = scene.engines
    assert second.backlog == [number]
    world.wires[nanny] = away
    nanny.report(engine, cause="death 0", running=number)
    world.pass_time(10.0)
    assert second.backlog == [number]
    scene.ran.append((number, 2))
    nanny.engines.append(second)
    world.kill(second)
    nanny.report(second, cause="death 1", running=number)
    scene.engines = [world.joined(ScriptedEngine("a third", scene.ran))]
    scene.work_off()
    assert scene.runs() == {number: 2}
    lines = unpack_failure(scene.client.ends[number][1]).evalue.splitlines()
    assert lines[0].endswith("the 2nd to be: death 1")
    assert lines[1].startswith("before that, ")
    assert lines[1].endswith(": death 0")


@pytest.mark.parametrize("replaced", [True, False], ids=["replaced before", "replaced after"])
def test_a_command_whose_engine_died_while_there_was_no_hub(scene: Scene, *, replaced: bool) -> None:
    """It is not run again, and fails: with the death, if that is told before another process comes."""
    world = scene.world
    engine, nanny = alone(scene)
    first, second = (scene.client.command([engine.engine_id], each)[0] for each in (b"deadly", b"next"))
    scene.say()
    scene.ran.append((first, 0))
    world.kill(engine)
    nanny.report(engine, cause="signal 11", running=first, restarting=True)
    scene.restart()
    if not replaced:
        world.pass_time(3.0)
    another(scene, engine, nanny)
    scene.work_off()
    assert scene.runs() == {first: 1}
    failures = [unpack_failure(scene.client.ends[number][1]) for number in (first, second)]
    assert {failure.code for failure in failures} == {"engine_error"}
    assert ("signal 11" in failures[0].evalue) is not replaced
