"""Output of child processes and C code: with the request that ran, live, and in the engine's log."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ctrlhub import Client, Cluster, EngineError
from ctrlhub.engine.logs import KEPT_BYTES, LOOK_BYTES, MOST_BYTES
from tests.support.processes import until

WAIT = 60.0

MORE_THAN_A_PIPE = 10_000_000


@pytest.fixture
def own(state: Path) -> Iterator[Client]:
    """A client of one engine of this test alone."""
    with Cluster(n=1) as client:
        yield client


def talk_past_python() -> None:
    """Write in every way there is."""
    import ctypes
    import multiprocessing
    import os
    import subprocess
    import sys

    os.system("echo a")
    print("b")
    subprocess.run(["sh", "-c", "echo c; echo d >&2"], check=True)
    print("e", file=sys.stderr)
    ctypes.CDLL(None).printf(b"f\n")
    sys.stdout.buffer.write(b"g\n")
    subprocess.run(["echo", "h"], stdout=sys.stdout, check=True)
    os.system("echo i > /dev/stdout; echo j > /dev/stderr")
    child = multiprocessing.get_context("fork").Process(target=print, args=("k",))
    child.start()
    child.join()


def test_all_of_it_is_in_the_reply_in_order(client: Client) -> None:
    """Of commands, tasks and cells."""
    command = client[0].apply_async(talk_past_python)
    task = client.load_balanced_view().apply_async(talk_past_python)
    cell = client[0].execute("import os; os.system('echo 1'); print(2)\n!echo 3", silent=False)
    for result in (command, task, cell):
        result.get(WAIT)

    assert command.stdout == task.stdout == "a\nb\nc\nf\ng\nh\ni\nk\n"
    assert command.stderr == task.stderr == "d\ne\nj\n"
    assert cell.stdout == "1\n2\n3\n"


def test_each_of_many_short_tasks_has_its_own(client: Client) -> None:
    """However short they are."""

    def write(number: int) -> None:
        import os

        os.write(1, b"%d\n" % number)

    result = client.load_balanced_view().map_async(write, range(300))
    result.get(WAIT)

    assert result.stdout == [f"{number}\n" for number in range(300)]


def test_it_is_shown_while_it_runs(client: Client, tmp_path: Path) -> None:
    """A child that goes on is heard."""
    released = tmp_path / "released"
    result = client[0].apply_async(
        os.system, f"echo before; until [ -e {released} ]; do sleep 0.01; done; echo after"
    )
    until(lambda: result.stdout == "before\n", "the child is heard")
    assert not result.done()
    released.touch()

    assert result.get(WAIT) == 0
    assert result.stdout == "before\nafter\n"


def test_an_interrupt_leaves_what_was_written(client: Client) -> None:
    """And the engine."""
    result = client[0].execute("import os, time; os.system('echo begun'); time.sleep(600)")
    until(lambda: result.stdout == "begun\n", "it has begun")
    result.cancel()
    assert result.wait(WAIT)

    assert (result.status, result.stdout) == ("aborted", "begun\n")
    assert client[0].apply_sync(os.getpid)


def test_c_code_that_lets_nobody_read_does_not_wait_for_ever(own: Client) -> None:
    """It holds the interpreter's lock, and writes more than a pipe takes; what is missing is said.

    To the byte, by the first thing that an engine does and by later ones, of each stream.
    """

    def write(descriptor: int, size: int) -> Any:
        import ctypes

        return ctypes.PyDLL(None).write(descriptor, b"x" * size, size)

    for descriptor in (1, 2, 1, 1):
        result = own[0].apply_async(write, descriptor, MORE_THAN_A_PIPE)
        assert result.get(WAIT) == MORE_THAN_A_PIPE
        texts = [result.stdout, result.stderr]
        text = texts.pop(descriptor - 1)
        assert texts == [""]
        found = re.search(r"\n\[(\d+) more bytes were written by code that let nobody .* log\]\n$", text)
        assert found is not None, text[-200:]
        assert text.count("x") + int(found[1]) == MORE_THAN_A_PIPE
        again = own[0].apply_async(print, "again")
        again.get(WAIT)
        assert (again.stdout, again.stderr) == ("again\n", "")


def test_a_flood_does_not_fill_the_disk(own: Client, state: Path) -> None:
    """However fast and however it comes: printed, by a child, or by C code that lets nobody read."""

    def print_much() -> None:
        for _ in range(100):
            print("p" * 1_000_000)

    def have_printed_much() -> None:
        import subprocess

        subprocess.run("head -c 100000000 /dev/zero", shell=True, check=True)

    def write_much() -> None:
        import ctypes

        line = b"x" * 10_000_000
        for _ in range(10):
            ctypes.PyDLL(None).write(2, line, len(line))

    (log,) = state.glob("**/engine-0.log")
    for flood in (print_much, have_printed_much, write_much):
        own[0].apply_sync(flood)
        assert log.stat().st_size <= MOST_BYTES + 4 * LOOK_BYTES
        assert log.with_suffix(".old.log").stat().st_size == KEPT_BYTES
        log.with_suffix(".old.log").unlink()


def test_children_that_go_on_harm_nobody(own: Client) -> None:
    """What they write later is no request's once nothing runs, and requests end."""

    def leave(code: str) -> int:
        import subprocess

        return subprocess.Popen(code, shell=True).pid

    pid = own[0].apply_sync(leave, "exec yes")
    for number in range(10):
        assert own[0].apply_async(abs, number).get(WAIT) == number
    own[0].apply_sync(os.kill, pid, 9)


def test_user_code_may_redirect_the_descriptors(client: Client, tmp_path: Path) -> None:
    """And put them back."""

    def redirect(path: str) -> None:
        import os

        kept = os.dup(1)
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, 1)
        os.system("echo away")
        os.dup2(kept, 1)
        os.close(file)
        os.close(kept)
        os.system("echo back")

    result = client[0].apply_async(redirect, str(tmp_path / "file"))
    result.get(WAIT)

    assert result.stdout == "back\n"
    assert (tmp_path / "file").read_text() == "away\n"


def test_the_last_words_of_c_code_are_told(own: Client) -> None:
    """Nobody in the engine could read them any more."""

    def die() -> None:
        import ctypes

        words = b"these were my last words\n"
        ctypes.PyDLL(None).write(2, words, len(words))
        ctypes.PyDLL(None).abort()

    with pytest.raises(EngineError, match="these were my last words") as caught:
        own[0].apply_sync(die)
    assert "Fatal Python error: Aborted" in str(caught.value)

    own.wait_for_engines(1, timeout=WAIT)
    until(lambda: 0 in own.ids, "another one is there")
    again = own[0].execute("import os; os.system('echo again')")
    again.get(WAIT)
    assert again.stdout == "again\n"
