"""A cluster's engines in sets: several side by side, larger and smaller, by hand and by the queue."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ctrlhub import Client, Cluster, ClusterManager, CompositeError
from ctrlhub.cli.exits import Exit
from ctrlhub.cluster.errors import ClusterError, StartFailed, StopFailed
from tests.support.processes import Command, is_alive, until


@pytest.fixture
def running(state: Path) -> Iterator[Cluster]:
    """A running cluster of two engines."""
    cluster = Cluster(n=2)
    cluster.start()
    yield cluster
    cluster.stop()


def pids(client: Client) -> list[int]:
    """The processes of all engines."""
    found: list[int] = client[:].apply_sync(os.getpid)
    return found


def test_sets_are_started_and_ended_each_by_itself(running: Cluster) -> None:
    """What happens to one leaves the other as it is."""
    client = running.client
    (first,) = running.engines
    before = pids(client)

    other = running.start_engines_sync(2)
    client.wait_for_engines(4, timeout=60)

    assert other != first
    assert (running.engines[first].ids, running.engines[other].ids) == ([0, 1], [2, 3])
    assert len(running.pids["nannies"]) == 2
    assert f"{first}: 2 of 2, {other}: 2 of 2" in repr(running)
    assert other in running._repr_html_()
    running.restart_engines_sync(other)
    assert pids(client)[:2] == before
    running.signal_engines_sync("SIGCONT", other)
    with pytest.raises(ClusterError, match=rf"no set of engines 'nobody'; there are: '{first}'"):
        running.signal_engines_sync("SIGCONT", "nobody")
    with pytest.raises(ClusterError, match="already"):
        running.start_engines_sync(1, other)
    running.stop_engines_sync(other)
    assert list(running.engines) == [first]
    assert pids(client) == before
    assert len(running.pids["nannies"]) == 1


def test_scale_starts_others_and_lets_the_least_busy_go(running: Cluster) -> None:
    """Who stays goes on with what it runs; who goes hands its tasks on."""
    client = running.client
    view = client.load_balanced_view()
    assert running.scale(5) == [0, 1, 2, 3, 4]
    busy = client[[1, 3]].apply_async(time.sleep, 3600)
    until(lambda: [n for n, each in client.queue_status().items() if n != "unassigned" and each["queue"]] == [1, 3], "both run")

    assert running.scale(2) == [1, 3]
    assert not busy.ready()
    assert running.n == 2
    busy.cancel()
    assert running.scale(4) == [0, 1, 2, 3]
    results = view.map_async(lambda n: n * n, range(200))
    running.scale(1)
    assert list(results) == [n * n for n in range(200)]
    assert running.scale(0) == []
    assert client.ids == []
    assert running.scale(2) == [0, 1]
    assert len(running.pids["nannies"]) == 1


def test_who_has_come_and_gone_is_not_waited_for(running: Cluster) -> None:
    """One that was stopped by itself is followed by another, and a smaller number takes no other's place."""
    running.scale(4)
    running.stop_engine_sync(3)
    assert running.scale(2) == [0, 1]
    running.scale(3)
    running.stop_engine_sync(2)
    assert len(running.scale(3, timeout=60)) == 3


def test_engines_that_came_later_live_as_long_as_the_others(running: Cluster) -> None:
    """A nanny that is killed is followed by one with all of them, and they end with the cluster."""
    client = running.client
    running.scale(3)
    engines = pids(client)
    (nanny,) = running.pids["nannies"]

    os.kill(nanny, signal.SIGKILL)
    until(lambda: are_others(client, engines), "others are there")

    again = pids(client)
    running.stop()
    assert not [pid for pid in [nanny, *engines, *again] if is_alive(pid)]


def are_others(client: Client, engines: list[int]) -> bool:
    """Whether as many engines are there, in other processes."""
    found = client[:].apply_async(os.getpid)
    try:
        now = list(found.get(timeout=10))
    except (CompositeError, TimeoutError):  # some have died, and it is not known yet
        return False
    return len(now) == len(engines) and set(now).isdisjoint(engines)


def test_engines_follow_the_queue(running: Cluster) -> None:
    """They come for what waits, go when nothing does, and then the number is what somebody says."""
    client = running.client
    running.scale(1)
    adapter = running.adapt(1, 4, idle=0.5, interval=0.05, target_duration=0.2)
    assert adapter is not None

    work = client.load_balanced_view().map_async(time.sleep, [0.2] * 60, chunksize=1)
    until(lambda: len(client.ids) == 4, "four engines")
    work.get(timeout=60)
    until(lambda: len(client.ids) == 1, "one engine")

    assert adapter.running
    assert len(running.scale(2)) == 2
    assert not adapter.running
    second = running.adapt(1, 3)
    assert running.adapt(None) is None
    assert second is not None
    assert not second.running
    third = running.adapt(1, 3)
    assert third is not None
    with pytest.raises(ValueError, match="minimum"):
        running.adapt(4, 2)
    with pytest.raises(ValueError, match="interval"):
        running.adapt(1, 2, interval=0)
    with pytest.raises(ClusterError, match="no set of engines 'nobody'"):
        running.adapt(1, 2, engine_set_id="nobody")
    assert third.running


def test_nothing_follows_the_queue_of_a_hub_that_has_died(running: Cluster) -> None:
    """It says why, and ends."""
    adapter = running.adapt(1, 3, interval=0.05)
    assert adapter is not None

    os.kill(running.pids["hub"], signal.SIGKILL)
    until(lambda: not adapter.running, "it has ended")

    assert "SIGKILL" in adapter.trouble
    assert "SIGKILL" in repr(running)
    until(lambda: running.pids["nannies"] == [], "its nanny ends")


def test_a_set_grows_at_once_after_its_start(running: Cluster) -> None:
    """Its nanny, which is not with the hub yet, is waited for; and all sets may end and come again."""
    name = running.start_engines_sync(1, "crew")
    assert len(running.scale(2, name)) == 2
    running.stop_engines_sync()
    assert running.engines == {}
    assert running.scale(1) == [0]


def test_another_process_attaches_to_a_cluster(running: Cluster, state: Path) -> None:
    """By its file it finds the same engines, and leaves them there."""
    attached = Cluster.from_file(running.cluster_file)
    with attached as client:
        assert client.ids == [0, 1]
        assert client.cluster is attached
        assert attached.scale(3) == [0, 1, 2]
        assert attached.engines[attached.default_set].ids == [0, 1, 2]
        assert "running" in repr(attached)
    assert running.client.ids == [0, 1, 2]
    assert Cluster.from_dict(running.to_dict()).client.ids == [0, 1, 2]
    with pytest.raises(StopFailed, match="belongs to process"):
        attached.stop()


def test_a_cluster_of_the_command_is_attached_to(command: Command, state: Path) -> None:
    """It is found by its profile, grows, and keeps its engines when its nanny is killed; then it is ended."""
    assert command.run("start", "-n", "1", "--daemonize", "--profile", "mine").returncode == 0
    manager = ClusterManager()
    assert [each.profile for each in manager.list_clusters()] == ["mine"]
    cluster = manager.load_clusters()["mine"]
    with cluster as client:
        assert (cluster.n, cluster.launcher) == (1, "local")
        assert [(each.launcher, each.n) for each in cluster.engines.values()] == [("local", 1)]
        assert cluster.scale(3) == [0, 1, 2]
        engines = pids(client)
        record = command.state / "profiles" / "mine" / "supervisor.json"
        nanny = json.loads(record.read_text())["processes"]["nanny"]["pid"]
        os.kill(nanny, signal.SIGKILL)
        until(lambda: are_others(client, engines), "others are there")
        assert cluster.scale(1) == client.ids == [0]

    cluster.stop()
    assert left_of(command, "mine") == []
    assert manager.load_clusters() == {}
    with pytest.raises(ClusterError, match="no cluster of profile 'mine' is running"):
        Cluster.from_file(profile="mine")


def left_of(command: Command, profile: str) -> list[str]:
    """Name the files of a cluster that has ended, without what stays."""
    stays = ("supervisor.log", "nanny.log", "hub.log")
    prefix = f"profiles/{profile}/"
    return [
        name for name in command.files()
        if name.startswith(prefix) and "/store/" not in name and not name.endswith((*stays, "engine-keys.json"))
    ]  # fmt: skip


def test_a_cluster_with_a_name_leaves_no_file_behind(command: Command, state: Path) -> None:
    """Although it has grown, and said so; and another one may follow."""
    for _ in range(2):
        with Cluster(n=1, profile="mine") as client:
            client.cluster.scale(2)
            assert Path(client.cluster.cluster_file).exists()
            assert Cluster.from_file(profile="mine").n == 2
    assert left_of(command, "mine") == []


def test_a_hub_without_engines_gets_some(command: Command, state: Path) -> None:
    """They are a set of their own, which ends with the cluster."""
    assert command.run("start", "-n", "0", "--daemonize").returncode == 0
    cluster = Cluster.from_file()
    with cluster as client:
        assert cluster.scale(2) == [0, 1]
        engines = pids(client)
        assert cluster.scale(3) == [0, 1, 2]
    cluster.stop()
    until(lambda: not any(map(is_alive, engines)), "the engines end")


def test_the_command_scales(command: Command) -> None:
    """It waits, prints the ids, and says what there is where it cannot."""
    assert command.run("engines", "scale", "2").returncode == Exit.NOT_RUNNING
    assert command.run("start", "-n", "1", "--daemonize").returncode == 0
    grown = command.run("engines", "scale", "3", "--json")
    assert json.loads(grown.stdout) == {"set": "local", "engines": [0, 1, 2]}
    assert command.run("engines", "scale", "1").stdout == "engines local: 1 engine (0)\n"
    assert [each["id"] for each in command.status()["engines"]] == [0]
    wrong = command.run("engines", "scale", "1", "nobody")
    assert wrong.returncode != 0
    assert "'local'" in wrong.stderr
    assert command.run("stop").returncode == 0


def test_scaling_that_takes_too_long_is_an_error_of_its_own(command: Command, state: Path) -> None:
    """In words and by its exit code; what was asked for still comes."""
    assert command.run("start", "-n", "1", "--daemonize").returncode == 0
    record = state / "profiles" / "default" / "supervisor.json"
    nanny = json.loads(record.read_text())["processes"]["nanny"]["pid"]
    os.kill(nanny, signal.SIGSTOP)  # nobody starts engines meanwhile
    try:
        late = command.run("engines", "scale", "2", "--timeout", "0.01")
    finally:
        os.kill(nanny, signal.SIGCONT)
    assert late.returncode == Exit.NOT_IN_TIME
    assert late.stderr.startswith("ctrl-hub: 1 of 2 engines of set 'local' are there after 0.01 s")
    until(lambda: len(command.status()["engines"]) == 2, "the second engine comes")
    assert command.run("stop").returncode == 0


def test_names_of_ipyparallel_start_hub_and_engines_apart(state: Path) -> None:
    """First one, then the other; `start` gives a hub its first engines."""
    cluster = Cluster(n=2)
    cluster.start_controller_sync()
    assert cluster.engines == {}
    name = cluster.start_engines_sync(n=1, engine_set_id="crew")
    client = cluster.connect_client_sync()
    client.wait_for_engines(1, timeout=60)
    assert (name, cluster.engines["crew"].ids) == ("crew", [0])
    cluster.stop_controller_sync()
    assert cluster.engines == {}

    cluster.start_controller_sync()
    assert cluster.start().ids == [0, 1]
    cluster.stop_cluster_sync()


def test_coroutines(state: Path) -> None:
    """The same in an event loop, under the same names."""

    async def use() -> list[Any]:
        seen: list[Any] = []
        cluster = Cluster(n=1)
        async with cluster as client:
            name = await cluster.start_engines(1, "crew")
            await asyncio.to_thread(client.wait_for_engines, 2, timeout=60)
            seen.append(name)
            seen.append(await cluster.scale_async(2))
            await cluster.signal_engine("SIGCONT", 0)
            await cluster.signal_engines("SIGCONT", "crew")
            await cluster.restart_engine(0)
            await cluster.stop_engine(1)
            seen.append(client.ids)
            await cluster.stop_engines()
            seen.append(cluster.engines)
        await cluster.start_controller()
        seen.append(cluster.pids["hub"] is not None)
        await cluster.stop_controller()
        seen.append(cluster.pids["hub"])
        return seen

    assert asyncio.run(use()) == ["crew", [0, 2], [0, 2], {}, True, None]


def test_work_begins_with_whoever_has_come(state: Path) -> None:
    """With `wait_for` the start does not wait for all of them."""
    with Cluster(n=4, wait_for=1) as client:
        assert client.ids
        client.wait_for_engines(4, timeout=60)
    with Cluster(n=2, wait_for=0) as client:
        assert client.load_balanced_view().apply_sync(abs, -1) == 1


def test_progress_is_shown(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the output is no terminal, its end."""
    with Cluster(n=2, progress=True):
        assert "engines: 2 of 2" in capsys.readouterr().err


def test_sets_of_other_launchers_beside_the_first(state: Path) -> None:
    """They are started and ended like the others, and nothing of them outlives the cluster."""
    options = {"environment": ["COLOUR=red"]}
    with Cluster(n=1, launcher="local", launcher_options=options) as client:
        cluster = client.cluster
        assert client[0].apply_sync(os.getenv, "COLOUR") == "red"
        name = cluster.start_engines_sync(1, "plain", launcher_options={})
        client.wait_for_engines(2, timeout=60)
        assert client[cluster.engines[name].ids].apply_sync(os.getenv, "COLOUR") == [None]
        (first,) = set(cluster.engines) - {name}
        assert cluster.engines[first].jobs
        assert len(cluster.scale(3)) == 3
        processes = pids(client)
        assert cluster.scale(1) == [0]
        cluster.stop_engines_sync(first)
        assert list(cluster.engines) == [name]
    until(lambda: not any(map(is_alive, processes)), "the engines end")


def test_engines_that_die_at_their_start_end_the_wait(state: Path) -> None:
    """In seconds, with what they said, and not when the time is over."""
    options = {"python": "/bin/false"}
    with pytest.raises(StartFailed, match="are over"):
        Cluster(n=1, launcher_options=options, timeout=600).start()


def test_jobs_that_fail_end_every_wait_for_engines(state: Path) -> None:
    """Who waits for engines of a cluster hears of its jobs that have failed, unless others may bring as many."""
    with Cluster(n=1) as client:
        cluster = client.cluster
        failing = cluster.start_engines_sync(1, launcher_options={"python": "/bin/false"})
        with pytest.raises(StartFailed, match=r"there will not be 2 engines: .* has failed"):
            client.wait_for_engines(2, timeout=600)
        with pytest.raises(StartFailed, match="there will not be 2 engines"):
            client.wait_for_engines(2, timeout=600, block=False).result()
        client.wait_for_engines(1, timeout=60)
        cluster.start_engines_sync(1, "plain", launcher_options={})
        client.wait_for_engines(2, timeout=60)
        assert failing in cluster.engines


def test_further_engines_that_die_at_their_start_end_the_wait(state: Path) -> None:
    """Those that are there stay, and go on."""
    with Cluster(n=1, profile="mine") as client:
        logs = state / "profiles" / "mine" / "logs"
        (logs / "engine-1.log").mkdir()  # which its engine cannot write to
        with pytest.raises(StartFailed, match="1 of 2 engines of set 'local'; 1 died"):
            client.cluster.scale(2, timeout=600)
        assert client.ids == [0]
        assert client[0].apply_sync(abs, -1) == 1
        assert len(client.cluster.scale(2)) == 2  # in another place
