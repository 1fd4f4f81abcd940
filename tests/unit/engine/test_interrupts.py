"""Interrupts hit the request they are for, or nothing."""

from __future__ import annotations

import builtins
import ctypes
import gc
import importlib
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ctrlhub.engine.interrupts import NUDGE, Gate
from ctrlhub.engine.work import CommandWork, Row, TaskWork
from ctrlhub.engine.workqueue import WorkQueue
from ctrlhub.wire.errors import unpack_failure
from ctrlhub.wire.messages import Action, Status
from ctrlhub.wire.serialize import dumps
from tests.support.engine_bench import Bench, failure, function, value


@pytest.fixture
def bench() -> Iterator[Bench]:
    """An executor whose gate minds SIGINT."""
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, NUDGE)}
    hook = sys.unraisablehook
    made = Bench()
    made.gate.install()
    yield made
    sys.unraisablehook = hook
    for number, handler in former.items():
        signal.signal(number, handler)


def work(number: int, call: Any) -> TaskWork:
    """A task that calls something here, as it is."""
    made = function(lambda: None)
    made.call = call
    return TaskWork(number, 0, made, dumps(((), {})))


def insistently(
    bench: Bench, number: int, begun: threading.Event | None = None
) -> threading.Thread:
    """Cancel a request as soon as it runs, or has begun something; insist until it has ended."""

    def cancel() -> None:
        if begun is not None:
            begun.wait()
        while not bench.gate.cancel(number):
            time.sleep(0)
        while bench.gate.armed == number:
            bench.gate.insist(number)
            time.sleep(0.01)

    thread = threading.Thread(target=cancel)
    thread.start()
    return thread


def test_what_waits_in_the_system_is_interrupted(bench: Bench) -> None:
    """It ends as cancelled, and the next task runs as if nothing had been."""
    thread = insistently(bench, 1)
    first, second = bench.run([work(1, lambda: time.sleep(60)), work(2, lambda: 5)])
    thread.join()

    assert first[2] == Status.CANCELLED
    assert "time.sleep(60)" in (unpack_failure(first[3]).traceback or "")
    assert value(second) == 5


def test_a_signal_that_came_just_before_a_wait_in_c_is_not_lost(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python knows of it, and what waits in C does not: the wait has to be ended once more."""
    send, sleep = signal.pthread_kill, ctypes.CDLL(None).sleep

    def send_elsewhere(thread: int, number: int) -> None:
        """Deliver it to Python, and do not wake the thread that it is for."""
        send(threading.get_ident() if number == signal.SIGINT else thread, number)

    monkeypatch.setattr(signal, "pthread_kill", send_elsewhere)
    thread = insistently(bench, 1)
    first, second = bench.run([work(1, lambda: sleep(60)), work(2, lambda: 5)])
    thread.join()

    assert first[2] == Status.CANCELLED
    assert value(second) == 5


def test_an_interrupt_that_python_drops_is_sent_again(bench: Bench) -> None:
    """Nothing that is raised in a finalizer gets out of it."""
    dropped: list[bool] = []

    class Finalized:
        def __del__(self) -> None:
            try:
                while True:
                    pass
            finally:
                dropped.append(True)

    def finalize() -> None:
        made = Finalized()
        del made
        while True:
            pass

    thread = insistently(bench, 1)
    (row,) = bench.run([work(1, finalize)])
    thread.join()

    assert row[2] == Status.CANCELLED
    assert dropped == [True]


def test_who_sees_an_interrupt_may_take_his_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Insisting does not strike again what is cleaning up."""
    seen: list[int] = []
    insisted: list[int] = []
    insist = Gate.insist

    def counted(gate: Gate, number: int) -> None:
        insist(gate, number)
        insisted.append(number)

    monkeypatch.setattr(Gate, "insist", counted)

    def stubborn() -> str:
        try:
            while True:
                pass
        except KeyboardInterrupt:
            enough = len(insisted) + 5
            while len(insisted) < enough and thread.is_alive():
                time.sleep(0.001)
            seen.append(1)
        return "done"

    thread = insistently(bench, 1)
    (row,) = bench.run([work(1, stubborn)])
    thread.join()

    assert (value(row), seen) == ("done", [1])


def test_a_loop_in_python_is_interrupted(bench: Bench) -> None:
    """Also one that never waits."""

    def spin() -> None:
        while True:
            pass

    thread = insistently(bench, 1)
    (row,) = bench.run([work(1, spin)])
    thread.join()

    assert row[2] == Status.CANCELLED


def test_a_command_is_interrupted(bench: Bench) -> None:
    """As tasks are."""
    thread = insistently(bench, 1)
    row = bench.execute("import time\ntime.sleep(60)")
    thread.join()

    assert row[2] == Status.CANCELLED


def test_another_request_is_not_interrupted(bench: Bench) -> None:
    """An interrupt for a request that does not run is refused."""
    answers: list[bool] = []

    (row,) = bench.run([work(1, lambda: answers.append(bench.gate.interrupt(2)))])

    assert answers == [False]
    assert row[2] == Status.OK


def test_an_interrupt_that_arrives_late_hits_nothing(bench: Bench) -> None:
    """The signal is on its way, and the request ends before its handler has run."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    sent: list[bool] = []
    late = work(2, lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT}) and None)

    first, second = bench.run([work(1, lambda: sent.append(bench.gate.interrupt(1))), late])

    assert sent == [True]
    assert [first[2], second[2]] == [Status.OK, Status.OK]


def test_nothing_is_interrupted_while_nothing_runs(bench: Bench) -> None:
    """A SIGINT between two requests is nobody's."""
    signal.raise_signal(signal.SIGINT)

    assert value(bench.execute("x = 1")) is None


def test_sigint_from_outside_is_for_whatever_runs(bench: Bench) -> None:
    """So the nanny can interrupt without knowing what; nobody has cancelled it: it raised."""
    first, second = bench.run([work(1, lambda: signal.raise_signal(signal.SIGINT)), work(2, int)])

    assert failure(first).ename == "KeyboardInterrupt"
    assert second[2] == Status.OK


def test_what_is_interrupted_by_somebody_raises(bench: Bench) -> None:
    """It did not end as who made it wished; the next task runs as if nothing had been."""

    def interrupt() -> None:
        while not bench.gate.interrupt(1):
            time.sleep(0)
        while bench.gate.armed == 1:  # it may have come just before the wait in C
            bench.gate.insist(1)
            time.sleep(0.01)

    thread = threading.Thread(target=interrupt)
    thread.start()
    first, second = bench.run([work(1, lambda: time.sleep(60)), work(2, lambda: 5)])
    thread.join()

    assert failure(first).ename == "KeyboardInterrupt"
    assert value(second) == 5


def test_nothing_that_runs_is_nothing_to_interrupt(bench: Bench) -> None:
    """Between two requests."""
    assert bench.gate.interrupt(bench.gate.armed) is False


def test_user_code_may_clean_up(bench: Bench) -> None:
    """It sees an ordinary KeyboardInterrupt, and may even go on."""

    def stubborn() -> str:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            return "no"
        return "not interrupted"

    (row,) = bench.run([work(1, stubborn)])

    assert value(row) == "no"


def test_a_handler_of_user_code_does_not_stay(bench: Bench) -> None:
    """The next batch can be interrupted again."""
    bench.run([work(1, lambda: signal.signal(signal.SIGINT, signal.SIG_IGN) and None)])
    bench.executor.rest()

    (row,) = bench.run([work(2, lambda: signal.raise_signal(signal.SIGINT))])

    assert failure(row).ename == "KeyboardInterrupt"


def test_termination_stops_what_runs_without_a_row(bench: Bench) -> None:
    """Its request has not ended: somebody else will run it."""
    rows = bench.run([work(1, bench.gate.terminate), work(2, int)])

    assert rows == []


def test_termination_stops_a_command_without_a_row(bench: Bench) -> None:
    """As with tasks."""
    made = function(lambda: None)
    made.call = bench.gate.terminate

    row = bench.executor.run_command(CommandWork(1, Action.APPLY.value, made, dumps(((), {}))))

    assert row is None


def test_a_storm_of_interrupts_leaves_one_row_for_each_task(bench: Bench) -> None:
    """Whenever signals come: each task ends once, no KeyboardInterrupt escapes the loop."""
    over = threading.Event()
    struck: set[int] = set()

    def storm() -> None:
        while not over.is_set():
            number = bench.gate.armed
            if number and bench.gate.cancel(number):
                struck.add(number)

    def task() -> int:
        return sum(range(50))

    count = 3000
    usual = sys.getswitchinterval()
    thread = threading.Thread(target=storm)
    rows: list[Row] = []
    cancelled: set[int] = set()
    # An interrupt that strikes in a callback of the collector (test tools have some) ends there.
    gc.disable()
    sys.setswitchinterval(1e-6)  # so that the threads meet in as many places as possible
    try:
        thread.start()
        until = time.monotonic() + 60
        while len(cancelled) < 10 and time.monotonic() < until:  # a busy machine may miss them all
            numbers = range(len(rows) + 1, len(rows) + count + 1)
            rows += bench.run([work(n, task) for n in numbers])
            cancelled = {row[0] for row in rows if row[2] == Status.CANCELLED}
    finally:
        over.set()
        thread.join()
        sys.setswitchinterval(usual)
        gc.enable()

    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    assert len(cancelled) >= 10
    assert cancelled <= struck
    assert {row[2] for row in rows} <= {Status.OK, Status.CANCELLED}


def test_elsewhere_than_in_the_main_thread_nothing_is_interrupted() -> None:
    """An engine within a test or a program runs, and refuses."""
    made = Bench()
    answers: list[bool] = []

    def run() -> None:
        made.gate.install()
        made.run([work(1, lambda: answers.append(made.gate.interrupt(1)))])

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()

    assert answers == [False]


def test_the_queue_withdraws_what_has_not_begun(bench: Bench) -> None:
    """And says what was neither there nor running."""
    queue = WorkQueue(bench.gate)
    queue.put_tasks([work(1, int), work(2, int), work(3, int)])
    queue.put_command(CommandWork(4, Action.CLEAR.value, None, b""))

    withdrawn, elsewhere = queue.stop([1, 3, 4, 9])

    assert (sorted(withdrawn), elsewhere) == ([1, 3, 4], [9])
    assert [task.id for task in queue.tasks] == [2]
    assert not queue.urgent


def test_the_queue_interrupts_what_runs(bench: Bench) -> None:
    """A request that runs is not withdrawn."""
    queue = WorkQueue(bench.gate)
    answers: list[Any] = []
    done: deque[Row] = deque()
    queue.put_tasks([work(1, lambda: answers.append(queue.stop([1])))])

    bench.executor.run_tasks(queue.tasks, queue.urgent, done, bench.flush, bench.hand_over)

    # The interrupt strikes before the answer can be noted.
    assert answers in ([], [([], [])])
    assert done[0][2] == Status.CANCELLED


# ---------------------------------------------------------------- what must not be torn


def struck() -> None:
    """Have a signal come that nobody announced."""
    signal.raise_signal(signal.SIGINT)


def test_what_must_not_be_torn_is_interrupted_at_its_end(bench: Bench) -> None:
    """Neither in its midst nor never."""
    steps = []

    def run() -> None:
        with bench.gate.undisturbed():
            struck()
            steps.append("whole")
        steps.append("not reached")

    (row,) = bench.run([work(1, run)])

    assert failure(row).ename == "KeyboardInterrupt"
    assert steps == ["whole"]


def test_user_code_within_is_interrupted_at_once(bench: Bench) -> None:
    """Also if the interrupt came before it began; within it can be held back again."""
    steps = []

    def run() -> None:
        with bench.gate.undisturbed():
            struck()
            try:
                with bench.gate.exposed():
                    steps.append("not reached")
            except KeyboardInterrupt:
                steps.append("before")
            with bench.gate.exposed():
                try:
                    with bench.gate.undisturbed():
                        struck()
                        steps.append("whole")
                except KeyboardInterrupt:
                    steps.append("after")
                try:
                    struck()
                except KeyboardInterrupt:
                    steps.append("within")
        steps.append("goes on")

    (row,) = bench.run([work(1, run)])

    assert value(row) is None
    assert steps == ["before", "whole", "after", "within", "goes on"]


def test_user_code_that_is_exposed_already_stays_so(bench: Bench) -> None:
    """A cell that is run by a function, not as a cell."""

    def run() -> bool:
        with bench.gate.exposed():
            assert bench.gate.armed == 1
        return bench.gate.armed == bench.gate.running == 1

    (row,) = bench.run([work(1, run)])

    assert value(row) is True


def test_a_cancellation_waits_for_what_must_not_be_torn(bench: Bench) -> None:
    """The request ends as cancelled then."""
    held, free = threading.Event(), threading.Event()

    def run() -> None:
        with bench.gate.undisturbed():
            assert bench.gate.running == 1
            held.set()
            free.wait(20)
        time.sleep(60)

    def cancel() -> None:
        held.wait(20)
        assert not bench.gate.cancel(1)
        free.set()
        while not bench.gate.cancel(1):
            time.sleep(0)
        while bench.gate.armed == 1:
            bench.gate.insist(1)
            time.sleep(0.01)

    thread = threading.Thread(target=cancel)
    thread.start()
    (row,) = bench.run([work(1, run)])
    thread.join()

    assert row[2] == Status.CANCELLED


def test_what_has_ended_is_not_interrupted(bench: Bench) -> None:
    """What comes while it is looked at is forgotten; what comes after is not."""
    gate = bench.gate
    gate.armed = 7
    with gate.closed():
        assert gate.interrupt(7) is False
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    gate.armed = 0


# ---------------------------------------------------------------- imports


PARTS = {
    "__init__.py": "from .first import a\nfrom .second import b\nwhole = first, second\n",
    "first.py": "a = 1\n",
    # Long enough to be struck, and no wait that a signal would end.
    "second.py": "import builtins\nbuiltins.package_begins()\nb = 2\n",
}
"""A package of which half is loaded, and cannot be again, where its import is interrupted."""


@pytest.fixture
def package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, threading.Event, threading.Event]]:
    """A package whose import says that it has begun, and waits until it may end."""
    name = "half_a_package"
    (tmp_path / name).mkdir()
    for file, text in PARTS.items():
        (tmp_path / name / file).write_text(text)
    begun, may_end = threading.Event(), threading.Event()

    def begins() -> None:
        begun.set()
        while not may_end.is_set():
            time.sleep(0.01)

    monkeypatch.setattr(builtins, "package_begins", begins, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    yield name, begun, may_end
    for each in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[each]


def test_an_import_is_completed_before_the_interrupt(
    bench: Bench, package: tuple[str, threading.Event, threading.Event]
) -> None:
    """What was cancelled ends so, right behind it; the package is whole, for whoever is next."""
    name, begun, may_end = package
    looks: list[bool] = []

    def imports() -> None:
        importlib.import_module(name)
        time.sleep(60)

    def cancel() -> None:
        begun.wait()
        assert bench.gate.cancel(1)
        while bench.gate.armed == 1:
            bench.gate.insist(1)
            looks.append(True)
            if len(looks) > 10:
                may_end.set()
            time.sleep(0.01)
        may_end.set()

    thread = threading.Thread(target=cancel)
    thread.start()
    first, second = bench.run([work(1, imports), work(2, lambda: importlib.import_module(name).b)])
    thread.join()

    assert first[2] == Status.CANCELLED
    assert value(second) == 2


def test_an_import_without_an_end_is_interrupted_after_a_while(
    bench: Bench,
    package: tuple[str, threading.Event, threading.Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its time is for all imports of a request together."""
    name, begun, _ = package
    monkeypatch.setattr("ctrlhub.engine.interrupts.IMPORT", 0.1)

    thread = insistently(bench, 1, begun)
    first, second = bench.run([work(1, lambda: importlib.import_module(name)), work(2, lambda: 5)])
    thread.join()

    assert first[2] == Status.CANCELLED
    assert value(second) == 5
