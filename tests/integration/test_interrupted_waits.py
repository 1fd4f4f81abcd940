"""Ctrl-C while a program waits for results: it strikes at once, and costs nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import Command

pytestmark = pytest.mark.slow

STORM = """
import json, os, random, signal, sys, threading, time
from ctrlhub import Cluster

ROUNDS = 1500
random.seed(int(sys.argv[1]))


def add_one(x):
    return x + 1


class Storm:
    # Plain names, not events: Ctrl-C within an Event's own methods leaves its lock taken for ever.
    armed, over = False, False


def storm():
    while not Storm.over:
        time.sleep(random.random() * 0.002)
        if Storm.armed:
            os.kill(os.getpid(), signal.SIGINT)


def call(views, n, open_results):
    Storm.armed = True
    result = random.choice(views).apply_async(add_one, n)
    open_results[n] = result
    value = result.get()
    Storm.armed = False
    del open_results[n]
    assert value == n + 1


with Cluster(n=2) as client:
    views = [client[0], client[1], client.load_balanced_view()]
    thread = threading.Thread(target=storm)
    thread.start()
    struck, open_results = 0, {}
    for n in range(ROUNDS):
        try:
            try:
                call(views, n, open_results)
            except KeyboardInterrupt:
                Storm.armed = False
                struck += 1
        except KeyboardInterrupt:  # one more, on the way out
            Storm.armed = False
    try:
        Storm.over = True
        thread.join()
        time.sleep(0.01)
    except KeyboardInterrupt:
        thread.join()
    for n, result in open_results.items():
        assert result.get(timeout=60) == n + 1
    handler = signal.getsignal(signal.SIGINT)
    assert handler is signal.default_int_handler, handler
    print(json.dumps({"struck": struck, "sum": sum(views[2].map_sync(add_one, range(100)))}))
"""

ENDLESS = """
import os, signal, threading, time
from ctrlhub import Cluster

with Cluster(n=1) as client:
    result = client[0].apply_async(time.sleep, 600)
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        result.get()
    except KeyboardInterrupt:
        assert client.status()["engines"]
        print("struck")
    client.load_balanced_view()
    result.cancel()
"""

HANDLERS = """
import signal
from ctrlhub import Cluster


class Late(Exception):
    pass


def late(number, frame):
    raise Late


with Cluster(n=1) as client:
    signal.signal(signal.SIGALRM, late)
    struck = 0
    for n in range(300):
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0001 + 0.00001 * (n % 100))
                assert client[0].apply_sync(abs, -n) == n
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except Exception as error:  # raised while a value is unpickled, it is the cause of an error
            if Late not in (type(error), type(error.__cause__)):
                raise
            struck += 1
    assert client[0].apply_sync(abs, -1) == 1
    print(struck > 0)
"""

BLOCKED = """
import os, signal, sys, threading, time
from ctrlhub import Client, Cluster


def forever(*_):
    import time
    while True:
        time.sleep(0.01)


def waits():
    frame = sys._current_frames()[threading.main_thread().ident]
    while frame is not None and frame.f_code.co_name != "get":
        frame = frame.f_back
    return frame is not None


def strike(watcher):
    while not any(engine["running"] for engine in watcher.status()["engines"]) or not waits():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)
    while waits():  # a signal that comes just before a wait begins does not end it
        time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGUSR1)


signal.signal(signal.SIGUSR1, lambda *_: None)
cluster = Cluster(n=2)
with cluster as client:
    watcher = cluster.connect_client_sync()
    tasks = client.load_balanced_view()
    tasks.block = True
    calls = [
        lambda: client[0].apply_sync(forever),
        lambda: client[:].apply_sync(forever),
        lambda: tasks.apply(forever),
        lambda: tasks.map(forever, range(100)),
        lambda: client[:].map_sync(forever, range(4)),
        lambda: client[:].execute("while True: pass", block=True),
        lambda: client[0].remote(block=True)(forever)(),
    ]
    stopped = 0
    for call in calls:
        thread = threading.Thread(target=strike, args=(watcher,))
        thread.start()
        try:
            call()
        except KeyboardInterrupt:
            stopped += 1
        thread.join()
        deadline = time.monotonic() + 60
        while any(engine["running"] for engine in watcher.status()["engines"]):
            assert time.monotonic() < deadline, "it runs on"
            time.sleep(0.01)
    print(f"stopped {stopped} of {len(calls)}, then {client[:].apply_sync(int, '7')}")
"""


def run(state: Path, script: str, *arguments: str) -> str:
    """Run a program to its end, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=Command(state).environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("seed", ["1", "2"])
def test_a_storm_of_interrupts_loses_no_result(state: Path, seed: str) -> None:
    """Whenever it strikes, every request has its own result, and the program's handler is back."""
    found = json.loads(run(state, STORM, seed))
    assert found["struck"] > 50
    assert found["sum"] == sum(range(1, 101))


def test_a_wait_for_ever_is_interrupted(state: Path) -> None:
    """Nothing comes from the hub meanwhile but beats; the very next question is answered."""
    assert run(state, ENDLESS) == "struck\n"


def test_handlers_of_other_signals_may_raise(state: Path) -> None:
    """A program that times out its calls by SIGALRM goes on with the same client."""
    assert run(state, HANDLERS) == "True\n"

def test_a_call_that_blocks_is_stopped(state: Path) -> None:
    """Ctrl-C ends what nobody could stop afterwards, of every kind; the engines stay."""
    assert run(state, BLOCKED) == "stopped 7 of 7, then [7, 7]\n"
