"""An engine as a real process: what user code can do to it, and what the hub can."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ctrlhub.wire.errors import Failure, unpack_failure
from ctrlhub.wire.messages import (
    Action,
    Beat,
    Goodbye,
    Interrupt,
    Results,
    Role,
    Shutdown,
    Status,
    Stored,
    Stream,
)
from tests.support.fake_hub import FakeHub, Nanny, Peer
from tests.support.processes import until

HOLD_THE_GIL = """
import ctypes, os
gate = os.open({!r}, os.O_RDWR)
ctypes.PyDLL(None).read(gate, ctypes.create_string_buffer(1), 1)
os.close(gate)
"""
"""Holds it until somebody writes to the pipe of this name."""


class Place:
    """A hub, a nanny and an engine."""

    def __init__(self, **options: Any) -> None:
        self.hub = FakeHub()
        self.nanny = Nanny(self.hub, 1, **options)
        (self.engine,) = self.hub.engines(1)
        self.pid = self.engine.registration.pid
        self.count = 0

    def run(self, code: str) -> int:
        """Begin to execute code; return the request."""
        self.count += 1
        self.hub.execute(self.engine, self.count, code)
        return self.count

    def running(self, code: str) -> int:
        """Begin to execute code, and wait until it says that it runs."""
        mark = self.hub.directory / "mark"
        mark.unlink(missing_ok=True)
        number = self.run(f"open({str(mark)!r}, 'w').close()\n{code}")
        self.hub.until(mark.exists, "code that runs")
        return number

    def pull(self, what: str) -> Any:
        """Return the value of an expression."""
        self.count += 1
        self.hub.begin(self.engine, self.count, Action.PULL, what)
        status, value = self.hub.result(self.count)
        assert status == Status.OK
        return value

    def failure(self, number: int) -> Failure:
        """Return the failure of a request."""
        status, payload = self.hub.result(number)
        assert status == Status.ERROR
        return unpack_failure(payload)

    def beats(self, peer: Peer | None = None) -> int:
        """Count the beats of a peer, the engine by default."""
        return len(self.hub.said(Beat, peer or self.engine))

    def close(self) -> None:
        """End everything; nothing may be left."""
        if self.nanny.process.poll() is None:
            self.nanny.end()
        self.hub.close()
        assert not Path(f"/proc/{self.pid}").exists()


@pytest.fixture
def place() -> Iterator[Place]:
    """A hub, a nanny and an engine, gone afterwards."""
    made = Place()
    yield made
    made.close()


def test_an_engine_is_light(place: Place) -> None:
    """It imports nothing heavy, and limits the threads of those that user code imports."""
    place.run("import os, sys")
    loaded = place.pull("sorted(sys.modules)")

    assert not {"numpy", "IPython", "tornado", "asyncio", "sqlite3"} & set(loaded)
    assert int(place.pull("os.environ['OMP_NUM_THREADS']")) >= 1
    assert place.pull("__name__") == "__main__"
    assert place.pull("sys.modules['__main__'].__dict__ is globals()") is True


def test_user_code_runs_in_the_main_thread_of_a_group_of_its_own(place: Place) -> None:
    """With no terminal, and a closed standard input."""
    place.run("import os, sys, threading")

    assert place.pull("threading.current_thread() is threading.main_thread()") is True
    assert place.pull("os.getpgid(0)") == place.pid
    assert place.pull("sys.stdin.read()") == ""


def test_the_log_is_private_and_has_everything(place: Place) -> None:
    """What Python prints, and what goes past it."""
    place.run("import os\nprint('from python')\nos.write(1, b'past it\\n')")
    assert place.pull("1") == 1

    log = place.nanny.logs / "engine-0.log"
    assert log.stat().st_mode & 0o777 == 0o600
    assert "from python\npast it\n" in log.read_text()
    assert place.hub.results[1][6] == {"stdout": "from python\npast it\n"}


def test_sys_exit_does_not_end_an_engine(place: Place) -> None:
    """It fails its request."""
    assert place.failure(place.run("import sys; sys.exit(3)")).ename == "SystemExit"
    assert place.pull("1 + 1") == 2


def test_a_task_that_waits_is_interrupted_and_the_next_one_is_not(place: Place) -> None:
    """Although signals take their time."""
    number = place.running("import time; time.sleep(60)")
    following = place.run("x = 5")

    place.hub.send(place.engine, Stream.HUB, Interrupt(((number, number),)))

    assert place.hub.result(number)[0] == Status.CANCELLED
    assert place.hub.result(following)[0] == Status.OK


def test_tasks_that_have_not_begun_are_cancelled(place: Place) -> None:
    """While another one runs."""
    number = place.running("import time; time.sleep(60)")
    place.hub.map(place.engine, 1000, abs, -1, -2, -3)
    place.hub.send(place.engine, Stream.HUB, Interrupt(((1001, 1002),)))
    assert [place.hub.result(n)[0] for n in (1001, 1002)] == [Status.CANCELLED] * 2

    place.hub.send(place.engine, Stream.HUB, Interrupt(((number, number),)))

    assert place.hub.result(1000) == (Status.OK, 1)


def test_an_engine_beats_while_python_code_runs(place: Place) -> None:
    """The I/O thread has a life of its own."""
    place.running("while True: pass")
    before = place.beats()

    place.hub.until(lambda: place.beats() > before + 3, "beats")


def test_an_engine_that_holds_the_gil_is_vouched_for(place: Place) -> None:
    """It cannot beat, and its nanny says that it lives; afterwards all is as before."""
    gate = place.hub.directory / "gate"
    os.mkfifo(gate)
    number = place.running(HOLD_THE_GIL.format(str(gate)))
    nanny = place.hub.nanny()
    begin = len(place.hub.heard)

    def vouches() -> list[list[str]]:
        """What the nanny has vouched for since the engine's last beat."""
        found: list[list[str]] = []
        for peer, message in place.hub.heard[begin:]:
            if isinstance(message, Beat):
                found = [*found, list(message.vouches)] if peer is nanny else []
        return found

    place.hub.until(lambda: len(vouches()) > 6, "beats of the nanny, and none of the engine")
    assert all(place.engine.registration.key in keys for keys in vouches())
    beats = place.beats()
    gate.write_bytes(b"x")
    assert place.hub.result(number)[0] == Status.OK
    place.hub.until(lambda: place.beats() > beats, "beats of the engine")


def test_a_stopped_engine_is_not_vouched_for_and_comes_back(place: Place) -> None:
    """With its namespace."""
    place.run("x = 5")
    nanny = place.hub.nanny()
    key = place.engine.registration.key

    os.kill(place.pid, signal.SIGSTOP)
    place.hub.until(lambda: key not in place.hub.said(Beat, nanny)[-1].vouches, "no vouching")
    os.kill(place.pid, signal.SIGCONT)

    place.hub.until(lambda: key in place.hub.said(Beat, nanny)[-1].vouches, "vouching again")
    assert place.pull("x") == 5


def test_a_hub_that_returns_finds_namespace_and_results(place: Place) -> None:
    """What was not acknowledged is named in the hello, and sent again."""
    place.run("x = 5")
    place.pull("x")
    place.hub.acknowledges = False
    number = place.running("import time; time.sleep(0.5)\ny = 6")
    place.hub.vanish()
    place.hub.results.clear()

    place.hub.open()
    place.engine = place.hub.engines(1)[0]

    assert number in place.engine.held[Stream.MULTIENGINE]
    assert place.hub.result(number)[0] == Status.OK
    assert place.engine.registration.pid == place.pid
    for stream in (Stream.MULTIENGINE, Stream.TASK):
        place.hub.send(place.engine, stream, Stored(((0, number),)))
    assert place.pull("x + y") == 11


def test_shutdown_by_the_hub_is_final(place: Place) -> None:
    """The engine says goodbye, and its nanny starts no other; having none left, it ends too."""
    place.hub.send(place.engine, Stream.HUB, Shutdown("enough"))
    place.hub.until(lambda: place.hub.said(Goodbye, place.engine), "a goodbye")

    place.hub.until(lambda: place.nanny.process.poll() is not None, "the nanny's end")

    assert place.nanny.process.returncode == 0
    assert len(place.hub.of_role(Role.ENGINE)) == 0


def test_a_fork_that_returns_into_the_engine_ends_there(place: Place) -> None:
    """The copy gives no results, and the engine goes on."""
    place.run("import os\nchild = os.fork()")
    child = place.pull("child")

    assert child > 0
    place.run("os.waitpid(child, 0)")
    assert place.pull("1 + 1") == 2
    values = {row[:4] for message in place.hub.said(Results) for row in message.rows}
    assert len(values) == 4


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("pass", 0),
        ("raise SystemExit", 0),
        ("import sys; sys.exit(3)", 3),
        ("import sys; sys.exit('no')", 1),
        ("raise ValueError('in the copy')", 1),
        ("raise KeyboardInterrupt", -signal.SIGINT),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    ],
)
def test_a_fork_ends_as_any_process_of_python(place: Place, end: str, code: int) -> None:
    """With the exit code that its code asks for, and the traceback of what nobody caught."""
    place.run(
        "import os, signal\n"
        "reading, writing = os.pipe()\n"
        "child = os.fork()\n"
        f"if not child:\n    os.dup2(writing, 2)\n    {end}"
    )
    status = "os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])"

    assert place.pull(status) == code
    written = place.pull("(os.close(writing), os.read(reading, 65536))[1]")
    assert (b"in the copy" in written) is ("ValueError" in end)
    assert place.pull("1 + 1") == 2


def test_who_closes_our_descriptors_is_to_blame(place: Place) -> None:
    """Though the engine only dies of it when it sends the result."""
    number = place.run("import os; os.closerange(3, 4096)")

    assert place.hub.death().running == number


def test_100_megabytes_of_output_do_not_travel(place: Place) -> None:
    """The result has the beginning, and a note about the rest."""
    number = place.run("for _ in range(100): print('x' * 1_000_000)")
    assert place.hub.result(number)[0] == Status.OK

    printed = place.hub.results[number][6]["stdout"]
    assert len(printed) < 2_200_000
    assert "more characters were printed" in printed


def test_an_engine_without_a_hub_ends_when_its_lease_does() -> None:
    """And the nanny with it, with an exit code that says so."""
    place = Place()
    place.hub.lease = 1.5
    place.hub.vanish()
    place.hub.open()
    place.hub.engines(1)
    place.hub.nanny()

    place.hub.vanish()

    until(lambda: place.nanny.process.poll() is not None, "the nanny's end")
    assert place.nanny.process.returncode == 75
    assert not Path(f"/proc/{place.pid}").exists()
    place.hub.close()
