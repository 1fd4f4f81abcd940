"""Programs as people write them for ipyparallel, run as scripts with only the import changed.

Each is made of what is usual in programs of that kind: blocking views, names that only the engines
have, numpy imported on all of them, results that are asked for in every way there is.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctrlhub import Cluster
from tests.support.processes import Command
from tests.support.state import own_state

ENGINES = 3

PI = """
import ipyparallel as ipp
import numpy as np

rc = ipp.Client()
dview = rc[:]
with dview.sync_imports():
    import numpy
dview.execute("import numpy as np")
lview = rc.load_balanced_view()
lview.block = True

def local_mean(seed):
    rng = np.random.default_rng(seed=seed)
    x = rng.uniform(size=20000).reshape(-1, 2)
    return np.mean(x[:, 0] ** 2 + x[:, 1] ** 2 < 1)

pi4 = lview.map(local_mean, range(20))
print(len(pi4), abs(np.mean(pi4) * 4 - np.pi) < 0.05)
"""

IDENTITIES = """
import ipyparallel as ipp

rc = ipp.Client()
dv = rc[:]
dv.scatter("id", rc.ids, flatten=True)

def sleep_here(t):
    import time
    time.sleep(t)
    return id, t

lv = rc.load_balanced_view()
done = list(lv.map(sleep_here, [0.01 * t for t in range(10)]))
print(dv["id"], [t for _, t in done] == [0.01 * t for t in range(10)])
print(all(engine in rc.ids for engine, _ in done))
ar = dv.apply_async(lambda: id)
print(ar.get_dict(), ar.engine_id, len(ar.msg_ids))
"""

TRAPEZOID = """
from ipyparallel import Client
import numpy as np

def integrate(f, a, b, n=200):
    client = Client()
    dview = client[:]
    dview.block = True
    points = np.linspace(a, b, n)
    dview.scatter("x", points)
    dview.push({"width": points[1] - points[0]})

    def trapezoid(f_):
        y = f_(x)
        return width * (y[1:-1].sum() + (y[0] + y[-1]) / 2)

    parts = dview.apply_sync(trapezoid, f)
    ends = dview["x[0]"], dview["x[-1]"]
    joints = sum(width * (f(left) + f(right)) / 2
                 for width, left, right in zip(dview["width"], ends[1], ends[0][1:]))
    return sum(parts) + joints

print(round(integrate(lambda x: x ** 2, 0, 3), 3))
"""

SYSTEMS = """
import ipyparallel as ipp
from functools import reduce
import operator

rc = ipp.Client()
dview = rc[:]
dview.block = True

class System:
    def __init__(self, scale):
        self.scale = scale

    def forward(self, source):
        return self.scale * source

dview["systems"] = {}
dview["forward"] = lambda tag, source: systems[tag].forward(source)

@dview.remote(block=True)
def setup(tags):
    for tag in tags:
        systems[tag] = System(tag)

setup(range(6))
answers = dview.map(ipp.Reference("forward"), range(6), [10] * 6)
print(reduce(operator.add, answers))

@dview.parallel(block=True)
def twice(values):
    return [2 * value for value in values]

print(sum(list(twice(range(9)))))
"""

ERRORS = """
import ipyparallel as ipp

rc = ipp.Client()
view = rc[:]
try:
    view.apply_sync(lambda: 1 / 0)
except ipp.CompositeError as e:
    print(len(e.elist), e.elist[0][0])
try:
    view.execute("raise KeyError('k')", block=True)
except ipp.error.CompositeError as e:
    try:
        e.raise_exception()
    except ipp.RemoteError as one:
        print(one.ename, one.evalue)
lview = rc.load_balanced_view()
tasks = [lview.apply_async(int, text) for text in ("1", "x", "3")]
rc.wait(tasks)
print([task.successful() for task in tasks])
try:
    tasks[1].get(timeout=1)
except ipp.RemoteError as e:
    print(e.ename)
try:
    lview.apply_async(__import__("time").sleep, 2).get(timeout=0.01)
except ipp.TimeoutError:
    print("later")
print(lview.map(int, ["7", "y"], block=False).get(return_exceptions=True)[0])
"""

OUTPUT = """
import ipyparallel as ipp

rc = ipp.Client()
view = rc[:2]
ar = view.execute("print('first', flush=True); print('second')")
ar.get()
ar.display_outputs()
print([text.split() for text in ar.stdout])
ar = rc[0].apply_async(lambda: print("from a function"))
ar.wait()
print(repr(ar.stdout), ar.metadata["status"], ar.metadata.engine_id)
with view.execute("print('live')").stream_output() as _:
    pass
print(sorted(set(rc.queue_status()) - {"unassigned"}) == rc.ids)
"""

PROGRAMS = {
    "pi": (PI, "importing numpy on engine(s)\n20 True\n"),
    "identities": (IDENTITIES, "[0, 1, 2] True\nTrue\n{0: 0, 1: 1, 2: 2} [0, 1, 2] 3\n"),
    "trapezoid": (TRAPEZOID, "9.0\n"),
    "systems": (SYSTEMS, "150\n72\n"),
    "errors": (
        ERRORS,
        "3 ZeroDivisionError\nKeyError 'k'\n[True, False, True]\nValueError\nlater\n7\n",
    ),
}


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state directory of a cluster of the default profile."""
    with (
        own_state(tmp_path_factory.mktemp("state")) as directory,
        Cluster(ENGINES, profile="default"),
    ):
        yield directory


def run(state: Path, program: str) -> str:
    """Run a program that was written for ipyparallel; return what it prints."""
    changed = program.replace("import ipyparallel as ipp", "import ctrlhub as ipp")
    changed = changed.replace("from ipyparallel import", "from ctrlhub import")
    done = subprocess.run(
        [sys.executable, "-c", changed],
        env=Command(state).environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_does_what_it_did(state: Path, name: str) -> None:
    """With only the import changed it prints what it is to print."""
    program, expected = PROGRAMS[name]
    assert run(state, program) == expected


def test_what_engines_print_is_shown(state: Path) -> None:
    """Output is labelled with its engine, kept in the result, and shown as it comes."""
    printed = run(state, OUTPUT)
    assert "[stdout:0]" in printed
    assert "[['first', 'second'], ['first', 'second']]" in printed
    assert "'from a function\\n' ok 0" in printed
    assert printed.endswith("True\n")
