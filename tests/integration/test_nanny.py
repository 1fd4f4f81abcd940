"""A nanny and its engines as real processes: deaths, restarts, and the end of everything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ctrlhub.engine.config import RestartPolicy
from ctrlhub.wire.messages import (
    EngineDied,
    Goodbye,
    Restart,
    Role,
    Shutdown,
    Signal,
    StartEngines,
    Stream,
)
from tests.support.fake_hub import PATIENCE, FakeHub, Nanny, Peer
from tests.support.processes import until

NEVER = RestartPolicy(attempts=0)


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    """A hub."""
    made = FakeHub()
    yield made
    made.close()


@pytest.fixture
def another() -> Iterator[FakeHub]:
    """A second one."""
    made = FakeHub()
    yield made
    made.close()


class Family:
    """A nanny with its engines."""

    def __init__(self, hub: FakeHub, engines: int = 2, **options: Any) -> None:
        self.hub = hub
        self.nanny = Nanny(hub, engines, **options)
        self.engines = hub.engines(engines)
        hub.nanny()
        self.pids = {engine.registration.pid for engine in self.engines}

    def close(self) -> None:
        """End it, by force if need be; no engine may be left."""
        if self.nanny.process.poll() is None:
            self.nanny.end()
        until(lambda: not any(map(exists, self.pids)), f"the end of {self.pids}")


@pytest.fixture
def family(hub: FakeHub) -> Iterator[Family]:
    """A nanny with two engines, gone afterwards."""
    made = Family(hub, grace=20.0)  # a busy machine is no reason to be killed
    yield made
    made.close()


def exists(pid: int) -> bool:
    """Tell whether a process is there, and more than a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def parent_of(pid: int) -> int:
    """The parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def dies(family: Family, engine: Peer, code: str, number: int = 1) -> EngineDied:
    """Execute something deadly, and return the report."""
    family.hub.execute(engine, number, code)
    return family.hub.death()


def test_a_killed_engine_is_reported_with_its_cause_and_replaced(family: Family) -> None:
    """At once; the one in its place has its key, and another life."""
    first = family.engines[0]
    os.kill(first.registration.pid, signal.SIGKILL)

    death = family.hub.death()

    assert death.key == first.registration.key
    assert death.incarnation == first.registration.incarnation
    assert death.cause.startswith("killed by signal 9 (SIGKILL)")
    assert death.log == ""  # nothing ran
    assert (death.restarting, death.running) == (True, -1)
    again = family.hub.engines(3)[-1].registration
    assert again.key == first.registration.key
    assert again.incarnation != first.registration.incarnation
    family.pids.add(again.pid)


@pytest.mark.parametrize(
    ("code", "cause", "words"),
    [
        ("import os; os._exit(3)", "exit code 3", ""),
        ("import os; os._exit(0)", "exit code 0", ""),
        ("import ctypes; ctypes.string_at(0)", "killed by signal 11 (SIGSEGV)", "Segmentation"),
        ("import os; os.abort()", "killed by signal 6 (SIGABRT)", "Aborted"),
    ],
)
def test_a_deadly_request_is_named(family: Family, code: str, cause: str, words: str) -> None:
    """With its number, so that it alone is to blame, and the last words of the engine."""
    death = dies(family, family.engines[0], f"print('last words', flush=True)\n{code}", number=42)

    assert death.cause == cause
    assert death.running == 42
    assert "last words" in death.log
    assert words in death.log


def test_what_an_engine_started_dies_with_it(family: Family) -> None:
    """Its process group is its own, and does not outlive it."""
    mark = family.hub.directory / "child"
    code = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(mark)!r}, 'w').write(str(child.pid))\n"
        "os._exit(1)"
    )

    dies(family, family.engines[0], code)

    child = int(mark.read_text())
    until(lambda: not exists(child), "the end of the child")


def test_an_engine_that_cannot_live_is_given_up(hub: FakeHub) -> None:
    """After as many early deaths, with nothing to blame, as the policy allows; the others go on."""
    family = Family(hub, restart=RestartPolicy(first=0.01, attempts=2, early=600.0))
    key = family.engines[0].registration.key
    os.kill(family.engines[0].registration.pid, signal.SIGKILL)
    first = hub.death()
    again = hub.engines(3)[-1]
    os.kill(again.registration.pid, signal.SIGKILL)
    second = hub.death()

    assert (first.restarting, second.restarting) == (True, False)
    assert again.registration.key == key
    hub.execute(family.engines[1], 3, "x = 5")
    assert hub.result(3)[0] == 0
    assert family.nanny.end() == 0
    family.close()


def test_a_nanny_whose_engines_all_died_says_so(hub: FakeHub) -> None:
    """By its exit code, after it has reported the deaths."""
    family = Family(hub, engines=1, restart=NEVER)
    death = dies(family, family.engines[0], "import os; os._exit(1)")

    assert death.restarting is False
    hub.until(lambda: family.nanny.process.poll() is not None, "the nanny's end")
    assert family.nanny.process.returncode == 1
    assert hub.said(Goodbye)
    family.close()


def test_the_nanny_delivers_signals(family: Family) -> None:
    """To the process of a key; SIGINT interrupts what runs, SIGKILL ends it."""
    first, nanny = family.engines[0], family.hub.nanny()
    mark = family.hub.directory / "mark"
    family.hub.execute(first, 1, f"open({str(mark)!r}, 'w')\nimport time; time.sleep(60)")
    family.hub.until(mark.exists, "code that runs")

    family.hub.send(nanny, Stream.HUB, Signal(first.registration.key, "SIGINT"))
    assert family.hub.result(1)[0] == 1

    family.hub.send(nanny, Stream.HUB, Signal(first.registration.key, "NONSENSE"))
    family.hub.send(nanny, Stream.HUB, Signal("nobody", "SIGKILL"))
    family.hub.send(nanny, Stream.HUB, Signal(first.registration.key, "SIGKILL"))
    assert family.hub.death().key == first.registration.key
    assert len(family.hub.said(EngineDied)) == 1


def test_an_engine_is_restarted_whatever_the_policy(hub: FakeHub) -> None:
    """It is told to go, and another has its key; an order for a process that has ended is void."""
    family = Family(hub, engines=1, restart=NEVER)
    said = family.engines[0].registration
    nanny = hub.nanny()
    hub.send(nanny, Stream.HUB, Restart(said.key, b"another process", "void"))
    hub.send(nanny, Stream.HUB, Restart("nobody", said.incarnation, "void"))
    hub.execute(family.engines[0], 1, "x = 5")
    assert hub.result(1)[0] == 0

    hub.send(nanny, Stream.HUB, Restart(said.key, said.incarnation, "enough"))
    hub.until(lambda: hub.said(Goodbye), "a goodbye")
    (again,) = hub.engines(1)

    assert again.registration.key == said.key
    assert again.registration.incarnation != said.incarnation
    hub.send(nanny, Stream.HUB, Restart(said.key, said.incarnation, "said again"))
    hub.execute(again, 2, "x = 5")
    assert hub.result(2)[0] == 0
    assert hub.said(EngineDied) == []
    family.pids.add(again.registration.pid)
    family.close()


def test_an_engine_that_does_not_go_is_killed_for_its_restart(hub: FakeHub) -> None:
    """After the time of grace: it is stopped, and hears nothing."""
    family = Family(hub, engines=1, grace=0.2)
    said = family.engines[0].registration
    os.kill(said.pid, signal.SIGSTOP)

    hub.send(hub.nanny(), Stream.HUB, Restart(said.key, said.incarnation, "enough"))

    death = hub.death()
    assert (death.incarnation, death.restarting) == (said.incarnation, True)
    again = hub.engines(2)[-1].registration
    assert again.key == said.key
    family.pids.add(again.pid)
    family.close()


def test_who_was_asked_in_vain_is_killed_at_once(hub: FakeHub) -> None:
    """Without the nanny's own time of grace, which never ends here."""
    family = Family(hub, engines=1, grace=3600.0)
    said = family.engines[0].registration
    os.kill(said.pid, signal.SIGSTOP)

    hub.send(hub.nanny(), Stream.HUB, Restart(said.key, said.incarnation, "deaf", at_once=True))

    death = hub.death()
    assert (death.incarnation, death.restarting) == (said.incarnation, True)
    again = hub.engines(2)[-1].registration
    family.pids.add(again.pid)
    family.close()


def test_the_end_of_the_lifeline_is_the_end_of_all(family: Family) -> None:
    """Whoever started them is gone: engines say goodbye, nothing is left, and that is no error."""
    family.nanny.lifeline.close()
    family.hub.until(lambda: len(family.hub.said(Goodbye)) == 3, "three goodbyes")

    assert family.nanny.process.wait(PATIENCE) == 0
    assert not any(map(exists, family.pids))
    assert family.hub.said(EngineDied) == []


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGINT, 0)]
)
def test_a_nanny_ends_on_signals(family: Family, number: signal.Signals, code: int) -> None:
    """What runs is interrupted, and given up without an answer: somebody else will run it.

    At SIGTERM its exit code says that it was not to end, so that a supervisor starts another.
    """
    mark = family.hub.directory / "mark"
    family.hub.execute(family.engines[0], 1, f"open({str(mark)!r}, 'w')\nwhile True: pass")
    family.hub.until(mark.exists, "code that runs")

    family.nanny.process.send_signal(number)
    family.hub.until(lambda: len(family.hub.said(Goodbye)) == 3, "three goodbyes")

    assert family.nanny.process.wait(PATIENCE) == code
    assert family.hub.results == {}


def test_an_engine_that_somebody_ends_is_replaced(family: Family) -> None:
    """SIGTERM of an administrator's is a death like others: what ran is interrupted, and to blame."""
    hub, engine = family.hub, family.engines[0]
    mark, last = hub.directory / "mark", hub.directory / "last"
    code = f"try:\n    open({str(mark)!r}, 'w')\n    while True: pass\nfinally:\n    open({str(last)!r}, 'w')"
    hub.execute(engine, 1, code)
    hub.until(mark.exists, "code that runs")

    os.kill(engine.registration.pid, signal.SIGTERM)

    death = hub.death()
    assert (death.key, death.restarting, death.running) == (engine.registration.key, True, 1)
    assert "SIGTERM" in death.cause
    assert last.exists()
    again = hub.engines(3)[-1].registration
    assert again.key == engine.registration.key
    assert hub.said(Goodbye) == []
    family.pids.add(again.pid)


def test_a_nanny_ends_when_the_hub_says_so(family: Family) -> None:
    """As at the end of the hub."""
    family.hub.send(family.hub.nanny(), Stream.HUB, Shutdown("the hub was stopped"))

    family.hub.until(lambda: family.nanny.process.poll() is not None, "the nanny's end")
    assert family.nanny.process.returncode == 0


def test_an_engine_that_does_not_listen_is_killed(hub: FakeHub) -> None:
    """After the time of grace: one that holds the GIL, and one that is stopped."""
    family = Family(hub, grace=0.2)
    mark = hub.directory / "mark"
    code = f"open({str(mark)!r}, 'w')\nimport ctypes; ctypes.PyDLL(None).sleep(600)"
    hub.execute(family.engines[0], 1, code)
    hub.until(mark.exists, "code that runs")
    os.kill(family.engines[1].registration.pid, signal.SIGSTOP)

    assert family.nanny.end() == 0
    family.close()


def test_no_engine_outlives_a_killed_nanny(family: Family) -> None:
    """The system sees to it."""
    warm = {parent_of(pid) for pid in family.pids}

    family.nanny.process.kill()
    family.nanny.process.wait(PATIENCE)

    until(lambda: not any(map(exists, family.pids | warm)), "the end of the family")


def test_a_nanny_whose_warm_process_dies_ends_too(family: Family) -> None:
    """It can make no engines any more; it reports those that died, and says so."""
    (warm,) = {parent_of(pid) for pid in family.pids}

    os.kill(warm, signal.SIGKILL)
    family.hub.until(lambda: len(family.hub.said(EngineDied)) == 2, "two deaths")

    assert family.nanny.process.wait(PATIENCE) == 1
    until(lambda: not any(map(exists, family.pids)), "the end of the engines")


def test_a_nanny_without_a_hub_waits_and_says_how_to_get_one(hub: FakeHub) -> None:
    """For as long as it was told; then it ends, engines and all."""
    hub.connection.unlink()

    nanny = Nanny(hub, 1, wait=0.2)

    assert nanny.process.wait(PATIENCE) == 78
    assert not hub.of_role(Role.ENGINE)


def test_a_file_that_is_no_connection_file_is_refused(hub: FakeHub) -> None:
    """With what is wrong with it."""
    hub.connection.chmod(0o644)
    nanny = Nanny(hub, 1)

    assert nanny.process.wait(PATIENCE) == 78


def test_engines_may_be_there_before_the_hub(hub: FakeHub, another: FakeHub) -> None:
    """They wait for its connection file; one left behind by a dead hub does not count."""
    text, former = hub.connection.read_text(), another.connection.read_text()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    pid = f'"hub_pid": {os.getpid()}'
    assert pid in former
    hub.connection.write_text(former.replace(pid, f'"hub_pid": {dead.pid}'))
    nanny = Nanny(hub, 1)
    # The nanny looks for the hub before it starts engines. Who follows the file goes to another hub.
    hub.until((nanny.logs / "engine-0.log").exists, "an engine")

    # As a hub writes it: never seen half-written.
    complete = hub.connection.with_name("complete")
    complete.touch(mode=0o600)
    complete.write_text(text)
    complete.replace(hub.connection)

    hub.engines(1)
    hub.nanny()
    assert nanny.end() == 0


@pytest.mark.parametrize("text", ["", "nonsense\n", '{"engines": 1}\n'])
def test_a_bad_configuration_is_an_error_of_usage(text: str) -> None:
    """It says what is wrong, and where."""
    nanny = subprocess.run(
        [sys.executable, "-m", "ctrlhub.engine"],
        input=text,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert nanny.returncode == 64
    assert "the first line of standard input" in nanny.stderr


def test_a_nanny_starts_further_engines_when_it_is_told_to(hub: FakeHub) -> None:
    """They are of its set, and have places of their own; one without engines waits for orders."""
    family = Family(hub, 1, elastic=True, engine_set="crew", grace=20.0)
    try:
        nanny = hub.nanny()
        assert nanny.registration.elastic
        hub.send(nanny, Stream.HUB, StartEngines(2))
        engines = hub.engines(3)
        family.pids |= {each.registration.pid for each in engines}
        assert {each.registration.engine_set for each in engines} == {"crew"}
        assert len({each.registration.key for each in engines}) == 3

        for engine in engines:
            hub.send(engine, Stream.HUB, Shutdown("enough"))
        hub.until(lambda: not hub.of_role(Role.ENGINE), "the engines leave")
        pids = [engine.registration.pid for engine in engines]
        hub.until(lambda: not any(map(psutil.pid_exists, pids)), "their processes have been reaped")
        hub.send(nanny, Stream.HUB, StartEngines(1))
        (again,) = hub.engines(1)
        family.pids.add(again.registration.pid)

        assert again.registration.key in {each.registration.key for each in engines}
        assert family.nanny.process.poll() is None
    finally:
        family.close()
