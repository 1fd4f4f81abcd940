"""Engines on a real Slurm: work, wall time, and whatever is killed or does not answer meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ctrlhub import Client
from ctrlhub.cli.exits import Exit
from tests.support.processes import Command, until
from tests.support.slurm import Slurm, can_have_slurm
from tests.support.work import Work


@pytest.fixture(scope="module")
def slurm(
    tmp_path_factory: pytest.TempPathFactory, require_system_part: Callable[[str, bool], None]
) -> Iterator[Slurm]:
    """A Slurm of two nodes for the tests of this module, which leave its queue empty."""
    require_system_part("Slurm (Debian: slurm-wlm, munge; root)", can_have_slurm())
    patch = pytest.MonkeyPatch()
    with Slurm(tmp_path_factory.mktemp("slurm")) as slurm:
        for name, value in slurm.environment.items():
            patch.setenv(name, value)
        yield slurm
    patch.undo()


@pytest.fixture(autouse=True)
def _the_queue_is_empty(slurm: Slurm) -> Iterator[None]:
    yield
    try:
        until(lambda: not slurm.queue(), "nothing is queued", 20.0)
    finally:
        slurm.cancel_all()


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """Calls that begin and end when the test says so."""
    return Work(tmp_path)


START = ("start", "--listen", "127.0.0.1", "--daemonize", "--launcher", "slurm", "--poll", "0.3")
FOREGROUND = ("--listen", "127.0.0.1", "--launcher", "slurm", "-n", "1", "--queue", "idle")
HUB = ("start", "--listen", "127.0.0.1", "--daemonize", "-n", "0")


def ok(command: Command, *arguments: str) -> str:
    """Run the command; it must succeed."""
    result = command.run(*arguments)
    assert result.returncode == 0, f"{arguments}: {result.stdout}{result.stderr}"
    return result.stdout


def sets(command: Command) -> list[dict[str, Any]]:
    """List the sets."""
    found: list[dict[str, Any]] = json.loads(ok(command, "engines", "list", "--json"))
    return found


def set_files(command: Command) -> list[Path]:
    """Name what is recorded of sets."""
    return sorted((command.state / "profiles" / "default" / "sets").glob("*"))


def client_of(command: Command) -> Client:
    """Connect to the cluster."""
    return Client(command.state / "profiles" / "default" / "connection-client.json")


def pids(client: Client) -> set[int]:
    """Name the processes of the engines that the hub has."""
    return {engine["pid"] for engine in client.status()["engines"]}


def supervisor_of(command: Command) -> int:
    """Read the supervisor's pid."""
    record = command.state / "profiles" / "default" / "supervisor.json"
    pid: int = json.loads(record.read_text())["pid"]
    return pid


def where() -> tuple[str, str, int, int]:
    """Say which node an engine is on, by which job, and which processes it and its nanny are."""
    warm = psutil.Process(os.getppid())
    return os.environ["SLURMD_NODENAME"], os.environ["SLURM_JOB_ID"], os.getpid(), warm.ppid()


def test_one_job_with_a_nanny_on_each_node(command: Command, slurm: Slurm) -> None:
    """As many engines as each node has tasks; `stop` leaves no job, process or record."""
    said = ok(command, *START, "--nodes", "2", "-n", "4", "--engines-per-node", "2")

    assert said.endswith("4 engines\nready\n")
    (job,) = slurm.queue()
    with client_of(command) as client:
        places = client[:].apply_sync(where)
    assert sorted(node for node, *_ in places) == ["n1", "n1", "n2", "n2"]
    assert {number for _, number, _, _ in places} == {job.split()[0]}
    assert len({nanny for *_, nanny in places}) == 2
    ok(command, "stop")
    assert slurm.queue() == []
    assert set_files(command) == []
    assert command.left() == {}


def test_engines_are_shared_out_where_they_do_not_fit_evenly(command: Command, slurm: Slurm) -> None:
    """Three on two nodes; and with `auto` as many as a node was given cores."""
    ok(command, *HUB)
    ok(command, "engines", "start", "--launcher", "slurm", "-n", "3", "--engines-per-node", "2", "--name", "three")
    with client_of(command) as client:
        until(lambda: len(client.ids) == 3, "three engines")
        nodes = sorted(node for node, *_ in client[:].apply_sync(where))
    assert nodes in (["n1", "n1", "n2"], ["n1", "n2", "n2"])
    ok(command, "engines", "stop", "three")

    ok(
        command, "engines", "start", "--launcher", "slurm", "--nodes", "1", "--engines-per-node", "auto",
        "--extra", "--cpus-per-task=2",
    )  # fmt: skip
    with client_of(command) as client:
        until(lambda: len(client.ids) == 2, "two engines")
    ok(command, "stop")


def test_nobody_else_sees_the_token(command: Command, slurm: Slurm) -> None:
    """Neither in the job nor in its script, which Slurm shows, nor among the processes."""
    ok(command, *START, "-n", "1")
    (job,) = (line.split()[0] for line in slurm.queue())
    token = ok(command, "engines", "token", "--remote").strip()

    assert len(token) > 100
    shown = slurm.run("scontrol", "show", "job", "--details", job)
    script = slurm.run("scontrol", "write", "batch_script", job, "-")
    assert "--token-stdin" in script
    for text in (shown, script, *(" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"]))):
        assert token not in text
    ok(command, "stop")


def test_a_supervisor_that_was_killed_leaves_its_job_to_stop(command: Command, slurm: Slurm) -> None:
    """Or to the next start, which ends it before it begins."""
    ok(command, *START, "-n", "1")
    (before,) = slurm.queue()
    os.kill(supervisor_of(command), signal.SIGKILL)

    ok(command, *START, "-n", "2")
    (after,) = slurm.queue()
    assert after.split()[0] != before.split()[0]
    os.kill(supervisor_of(command), signal.SIGKILL)
    ok(command, "stop")

    assert slurm.queue() == []
    assert set_files(command) == []


def test_a_job_that_waits_is_cancelled_by_stop(command: Command, slurm: Slurm) -> None:
    """`start` says that it is queued, and why, and does not wait for it."""
    said = ok(command, *START, "-n", "2", "--extra=--begin=now+1hour")

    assert "0 engines, 2 to come: job" in said
    assert "is pending (BeginTime)" in said
    assert [line.split()[2] for line in slurm.queue()] == ["PENDING"]
    ok(command, "stop")
    assert slurm.queue() == []
    assert set_files(command) == []


def test_a_launcher_killed_between_submission_and_record_leaves_no_unknown_job(
    command: Command, slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is found by its name."""
    real = shutil.which("sbatch")
    deadly = tmp_path / "bin" / "sbatch"
    deadly.parent.mkdir()
    deadly.write_text(f'#!/bin/bash\n{real} "$@" > /dev/null\nkill -9 $PPID\n')
    deadly.chmod(0o755)
    ok(command, *HUB)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{deadly.parent}:{os.environ['PATH']}")
        killed = command.run("engines", "start", "--launcher", "slurm", "-n", "1")
    assert killed.returncode == -signal.SIGKILL

    (job,) = slurm.queue()
    (found,) = sets(command)
    assert found["handle"] == {"job": job.split()[0]}
    assert found["state"] in ("pending", "running")
    ok(command, "engines", "stop")
    assert slurm.queue() == []
    ok(command, "stop")


def test_a_hub_that_is_killed_finds_its_engines_again(command: Command, slurm: Slurm) -> None:
    """Those of a job have its token, not its file: it listens where it did."""
    ok(command, *START, "-n", "2")
    with client_of(command) as client:
        client[:].push({"kept": 6 * 7}, block=True)
        hub = client.status()["hub"]["pid"]
        os.kill(hub, signal.SIGKILL)
        until(lambda: client.status()["hub"]["pid"] != hub, "there is another hub")
        until(lambda: sorted(client.ids) == [0, 1], "its engines are back")
        assert client[:].pull("kept", block=True) == [42, 42]
    ok(command, "stop")


def test_a_nanny_that_is_killed_is_told_and_the_job_ends(command: Command, slurm: Slurm) -> None:
    """What Slurm says of it, and the hub knows that its engines are gone."""
    ok(command, *HUB)
    ok(command, "engines", "start", "--launcher", "slurm", "-n", "2")
    with client_of(command) as client:
        until(lambda: len(client.ids) == 2, "two engines")
        nannies = {nanny for *_, nanny in client[:].apply_sync(where)}
        for nanny in nannies:
            os.kill(nanny, signal.SIGKILL)
        until(lambda: not client.ids, "the hub knows that its engines are gone")

    (found,) = until(
        lambda: found if (found := sets(command))[0]["state"] == "failed" else [], "the job has failed"
    )
    assert "FAILED, exit code" in found["reason"]
    ok(command, "stop")
    assert set_files(command) == []


def test_failed_engines_are_started_again(command: Command, slurm: Slurm) -> None:
    """By the supervisor, as another job; until then the cluster is there."""
    ok(command, *START, "-n", "1")
    with client_of(command) as client:
        ((_, job, _, nanny),) = client[:].apply_sync(where)
        before = client.status()["engines"][0]["pid"]
        os.kill(nanny, signal.SIGKILL)
        # The hub may not know yet that the first one is gone: nobody was left to tell it.
        (number,) = until(
            lambda: [each["id"] for each in client.status()["engines"] if each["pid"] != before], "another engine"
        )
        _, other, _, _ = client[number].apply_sync(where)
    assert other != job
    ok(command, "stop")


def test_who_stops_or_restarts_engines_of_a_supervisor_is_heeded(
    command: Command, slurm: Slurm
) -> None:
    """It looks after what was put in their place, and does not bring back what was stopped."""
    ok(command, *START, "-n", "1", "--restart", "always")
    log = command.state / "profiles" / "default" / "logs" / "supervisor.log"
    ok(command, "engines", "restart", "slurm")
    with client_of(command) as client:
        until(lambda: len(client.ids) == 1, "an engine")
        ((_, job, _, nanny),) = client[:].apply_sync(where)
        assert [line.split()[0] for line in slurm.queue()] == [job]
        os.kill(nanny, signal.SIGKILL)
        until(lambda: "have been started again: job" in log.read_text(), "the supervisor starts others")

    ok(command, "engines", "stop", "slurm")
    until(lambda: "engines 'slurm' were stopped" in log.read_text(), "the supervisor knows")
    assert slurm.queue() == []
    ok(command, "stop")


def test_a_job_that_its_user_cancels_is_not_started_again(command: Command, slurm: Slurm) -> None:
    """Not even where engines that leave in good order are."""
    ok(command, *START, "-n", "1", "--restart", "always")
    log = command.state / "profiles" / "default" / "logs" / "supervisor.log"
    (line,) = slurm.queue()
    slurm.run("scancel", line.split()[0])

    until(lambda: "engines 'slurm' are not started again" in log.read_text(), "the supervisor knows")
    assert slurm.queue() == []
    ok(command, "stop")


def test_who_ends_a_supervisor_at_once_ends_its_job(command: Command, slurm: Slurm) -> None:
    """Also before it has asked once how the job is."""
    process = command.start(*FOREGROUND)
    process.send_signal(signal.SIGTERM)

    assert process.wait(60) == Exit.OK
    assert slurm.queue() == []
    assert set_files(command) == []


def test_a_supervisor_that_cannot_end_its_job_says_so(command: Command, slurm: Slurm) -> None:
    """By its exit code, too; the job stays known to `stop`."""
    process = command.start(*FOREGROUND)
    slurm.kill("slurmctld")
    try:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)

        assert process.returncode == Exit.STOP_FAILED
        assert "may still be queued or run" in said
    finally:
        slurm.start_controller()
    ok(command, "stop")
    assert slurm.queue() == []


def test_a_set_of_so_many_nodes_grows(command: Command, slurm: Slurm) -> None:
    """By a job of as many as it takes."""
    ok(command, *START, "-n", "4", "--nodes", "2")

    assert ok(command, "engines", "scale", "6", "slurm") == "engines slurm: 6 engines (0, 1, 2, 3, 4, 5)\n"
    assert len(slurm.queue()) == 2
    ok(command, "stop")


def test_what_was_scaled_is_looked_after_and_stays_so_when_restarted(command: Command, slurm: Slurm) -> None:
    """A part that fails is started again by the supervisor; `restart` starts one job of as many as are wanted."""
    ok(command, *START, "-n", "1")
    ok(command, "engines", "scale", "3", "slurm")
    with client_of(command) as client:
        placed = client[:].apply_sync(where)
        part = max((job for _, job, _, _ in placed), key=int)
        os.kill(next(nanny for _, job, _, nanny in placed if job == part), signal.SIGKILL)
        until(lambda: part not in [line.split()[0] for line in slurm.queue()] and len(slurm.queue()) == 2, "another job")
        # Who dies with its nanny is known to be gone after a silence; others may be there before.
        dead = {pid for _, job, pid, _ in placed if job == part}
        until(lambda: len(found := pids(client)) == 3 and not found & dead, "all engines, and none of the dead")

        ok(command, "engines", "scale", "2", "slurm")
        before = pids(client)
        ok(command, "engines", "restart", "slurm")
        (job,) = [line.split()[0] for line in slurm.queue()]
        until(lambda: len(found := pids(client)) == 2 and not found & before, "two other engines")
        assert {each for _, each, _, _ in client[:].apply_sync(where)} == {job}
    ok(command, "stop")
    assert slurm.queue() == []
    assert set_files(command) == []


def test_whoever_scales_heeds_what_waits_in_the_queue(command: Command, slurm: Slurm) -> None:
    """Each `engines scale` is another process: none orders again what another has, and any cancels it."""
    ok(command, *START, "-n", "2", "--queue", "idle")
    for _ in range(2):
        ok(command, "engines", "scale", "3", "slurm", "--no-wait")
        assert sorted(each["n"] for each in sets(command)) == [1, 2]

    ok(command, "engines", "scale", "0", "slurm", "--no-wait")
    assert slurm.queue() == []
    ok(command, "stop")


def test_engines_that_die_at_their_start_are_told(command: Command, slurm: Slurm) -> None:
    """With the end of the log, as soon as the job has ended; nothing is left of it."""
    failed = command.run(*START, "-n", "1", "--prologue", "echo there is no such module >&2; exit 7")

    assert failed.returncode == Exit.START_FAILED
    assert "FAILED, exit code 7" in failed.stderr
    assert "there is no such module" in failed.stderr
    assert slurm.queue() == []
    assert set_files(command) == []
    assert command.left() == {}


def test_engines_finish_before_the_wall_time_is_over(
    command: Command, slurm: Slurm, work: Work
) -> None:
    """What runs ends, what was not begun goes elsewhere, and the job has ended well."""
    ok(command, *HUB)
    soon = "export SLURM_JOB_END_TIME=$(($(date +%s) + 12))"
    ok(command, "engines", "start", "--launcher", "slurm", "-n", "1", "--grace", "6", "--prologue", soon)
    with client_of(command) as client:
        view = client.load_balanced_view()
        running = view.apply_async(work.held("running"))
        work.begun("running")
        until(lambda: [each["state"] for each in client.status()["engines"]] == ["draining"], "it drains")
        later = view.apply_async(os.getpid)
        work.release("running")

        assert running.get(timeout=60) == "running"
        until(lambda: not client.ids, "the engine has left")
        until(lambda: sets(command)[0]["state"] == "ended", f"it ended well, but {sets(command)}")
        assert not later.done()
        ok(command, "engines", "start", "--launcher", "slurm", "-n", "1")
        assert isinstance(later.get(timeout=60), int)
    ok(command, "stop")


def test_what_runs_when_a_job_is_cancelled_finishes(
    command: Command, slurm: Slurm, work: Work
) -> None:
    """Slurm sends SIGTERM to all processes of the job: engines leave it to their nanny, which drains."""
    ok(command, *HUB)
    ok(command, "engines", "start", "--launcher", "slurm", "-n", "1")
    with client_of(command) as client:
        until(lambda: len(client.ids) == 1, "an engine")
        running = client.load_balanced_view().apply_async(work.held("running"))
        work.begun("running")
        slurm.run("scancel", slurm.queue()[0].split()[0])
        until(lambda: [each["state"] for each in client.status()["engines"]] == ["draining"], "it drains")
        work.release("running")

        assert running.get(timeout=60) == "running"
    ok(command, "stop")


def test_without_a_controller_stop_says_what_to_do(command: Command, slurm: Slurm) -> None:
    """What is left stays known, and is ended when Slurm answers again."""
    ok(command, *START, "-n", "1", "--extra=--begin=now+1hour")
    slurm.kill("slurmctld")
    try:
        failed = command.run("stop")

        assert failed.returncode == Exit.STOP_FAILED
        assert "may still be queued or run" in failed.stderr
        assert "ctrl-hub engines stop slurm" in failed.stderr
        assert command.left() == {}
    finally:
        slurm.start_controller()
    assert len(slurm.queue()) == 1
    ok(command, "stop")
    assert slurm.queue() == []
    assert set_files(command) == []
