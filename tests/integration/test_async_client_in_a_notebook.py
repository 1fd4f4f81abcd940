"""AsyncClient in the running event loop of a Jupyter kernel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.notebook import Kernel, new_kernel
from tests.support.state import own_state

START = """
import asyncio
from contextlib import aclosing
from ctrlhub import AsyncClient, Cluster
cluster = await Cluster(n=2, profile="notebook").start_cluster()
rc = await AsyncClient(profile="notebook")
view = rc.load_balanced_view()
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A notebook with a cluster, and a client of its loop."""
    with (
        own_state(tmp_path_factory.mktemp("state")),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        with new_kernel() as kernel:
            ran = kernel.run(START)
            assert ran.status == "ok", ran.evalue
            yield kernel
            ran = kernel.run("await rc.close()\nawait cluster.stop_cluster()")
            assert ran.status == "ok", ran.evalue


def value(kernel: Kernel, code: str) -> str:
    """Return what the last expression of a cell shows."""
    ran = kernel.run(code)
    assert ran.status == "ok", ran.evalue
    text: str = ran.data("text/plain")[-1]
    return text


def test_calls_are_awaited_in_cells(kernel: Kernel) -> None:
    """Tasks, commands and iterations, without a loop of their own."""
    assert value(kernel, "await view.apply(pow, 2, 10)") == "1024"
    assert value(kernel, "await rc[:].push({'a': 6})\nawait rc[:].pull('a')") == "[6, 6]"
    gather = "sum(await asyncio.gather(*(view.apply(abs, -n) for n in range(500))))"
    assert value(kernel, gather) == str(sum(range(500)))
    assert value(kernel, "[v async for v in view.imap(abs, range(-3, 0))]") == "[3, 2, 1]"


def test_the_loop_goes_on_meanwhile(kernel: Kernel) -> None:
    """Other tasks of the notebook's loop run while a result is awaited."""
    code = """
import time
ticks = 0
async def tick():
    global ticks
    while True:
        ticks += 1
        await asyncio.sleep(0.005)
ticking = asyncio.create_task(tick())
await view.apply(time.sleep, 0.3)
ticking.cancel()
ticks > 5
"""
    assert value(kernel, code) == "True"


def test_an_error_is_the_cells(kernel: Kernel) -> None:
    """What is raised on an engine ends the cell, and the next one works."""
    ran = kernel.run("await view.apply(int, 'x')")
    assert (ran.status, ran.ename) == ("error", "ValueError")
    assert value(kernel, "await view.apply(int, '7')") == "7"
