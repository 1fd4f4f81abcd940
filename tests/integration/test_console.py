"""A Jupyter console on an engine, by `bind_kernel`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import ctrlhub
from ctrlhub import Client, Cluster
from tests.support.notebook import PATIENCE, Kernel
from tests.support.state import own_state


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a cluster of three engines, the last of which has no console."""
    with own_state(tmp_path_factory.mktemp("state")), pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path_factory.mktemp("jupyter")))
        with Cluster(n=3) as client:
            yield client


@pytest.fixture
def console(client: Client) -> Iterator[Kernel]:
    """A console on engine 0."""
    console = Kernel.at(client[0].apply_sync(ctrlhub.bind_kernel))
    try:
        yield console
    finally:
        console.close()


def test_a_console_shares_the_namespace(client: Client, console: Kernel) -> None:
    """What was pushed is there, what the console assigns can be pulled, and values are shown."""
    client[0].push({"x": 5}, block=True)
    ran = console.run("print('hello'); y = x * 2; y")
    assert ran.status == "ok"
    assert ran.text() == "hello\n"
    assert ran.data("text/plain") == ["10"]
    assert client[0].pull("y", block=True) == 10


def test_outputs_go_to_whom_they_belong(client: Client, console: Kernel) -> None:
    """A command's output is its result's, a console's the console's, also by `display`."""
    console.run("pass")
    assert client[0].execute("print('mine')", block=True).stdout == "mine\n"
    ran = console.run("from IPython.display import HTML, display\ndisplay(HTML('<i>k</i>'))")
    assert ran.data("text/html") == ["<i>k</i>"]
    assert client[0].execute("print('again')", block=True).stdout == "again\n"


def test_the_engines_own_shell_stays_its_own(client: Client) -> None:
    """A cell of the client is run by the engine's shell, before and after there is a console; its
    `%connect_info` says how to connect one.
    """
    shell = "get_ipython().__class__.__name__"
    engine = client[1]
    assert engine.execute(shell, silent=False).get().data["text/plain"] == "'EngineShell'"
    path = engine.apply_sync(ctrlhub.bind_kernel)
    console = Kernel.at(path)
    assert console.run(shell).data("text/plain") == ["'_Shell'"]
    assert engine.execute(shell, silent=False).get().data["text/plain"] == "'EngineShell'"
    assert console.run("'mine'").data("text/plain") == ["'mine'"]
    engine.execute("'theirs'", silent=False).get()
    assert console.run("Out[2]").data("text/plain") == ["'mine'"]
    assert engine.execute("Out[3]", silent=False).get().data["text/plain"] == "'theirs'"
    told = engine.execute("%connect_info", silent=False)
    told.get()
    assert f"jupyter console --existing {path}" in told.stdout
    console.close()


def test_commands_and_cells_take_turns(client: Client, console: Kernel) -> None:
    """A command waits for the cell that runs, and runs after it; both in the main thread."""
    code = "import threading\nwhere = [threading.current_thread() is threading.main_thread()]"
    code = f"print('begun', flush=True)\n{code}\nimport time\ntime.sleep(0.5)\nended = True"
    request = console.begin(code)
    assert client[0].apply_sync(lambda: (where, ended)) == ([True], True)  # type: ignore[name-defined]  # noqa: F821
    assert console.finish(request).status == "ok"


@pytest.mark.parametrize(
    "code", ["import time\ntime.sleep(600)", "import asyncio\nawait asyncio.sleep(600)"]
)
def test_a_cell_can_be_interrupted(client: Client, console: Kernel, code: str) -> None:
    """The console's interrupt ends its cell, be it one that waits for something; all goes on."""
    request = console.begin(f"print('begun', flush=True)\n{code}")
    assert console.interrupted(request).status == "error"
    assert client[0].apply_sync(abs, -3) == 3
    assert console.run("1 + 1").status == "ok"


def test_cancelling_a_command_is_as_ever(client: Client, console: Kernel) -> None:
    """A command that runs on an engine with a console can be cancelled, and only that ends."""
    result = client[0].apply_async(time.sleep, 600)
    result.cancel()
    assert result.wait(PATIENCE)
    assert console.run("'well'").data("text/plain") == ["'well'"]


def test_the_engine_outlives_the_console(client: Client, console: Kernel) -> None:
    """A console that asks for a shutdown is let go; the next one finds the same kernel."""
    path = client[0].apply_sync(ctrlhub.bind_kernel)
    console.client.shutdown()
    assert console.client.get_control_msg(timeout=PATIENCE)["content"]["status"] == "ok"
    assert client[0].apply_sync(ctrlhub.bind_kernel) == path
    again = Kernel.at(path)
    assert again.run("x = 1").status == "ok"
    again.close()
    assert client.ids == [0, 1, 2]


def test_the_connection_file_goes_with_the_engine(tmp_path: Path) -> None:
    """It is readable by its owner only, in Jupyter's runtime directory, and gone afterwards."""
    with own_state(tmp_path / "state"), pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
        with Cluster(n=1) as client:
            path = Path(client[0].apply_sync(ctrlhub.bind_kernel))
            assert path.parent == tmp_path
            assert path.stat().st_mode & 0o077 == 0
        assert not path.exists()


def test_bind_kernel_is_for_engines() -> None:
    """Called in the client's process it says where to call it."""
    with pytest.raises(RuntimeError, match=r"client\[0\]\.apply_sync"):
        ctrlhub.bind_kernel()


def test_a_wrong_transport(client: Client) -> None:
    """What is neither ipc nor tcp is refused."""
    with pytest.raises(ValueError, match="transport must be one of"):
        client[2].apply_sync(ctrlhub.bind_kernel, "pigeon")


def test_without_ipykernel(client: Client) -> None:
    """An engine without ipykernel says what to install, and an engine without consoles has not
    loaded it.
    """

    def hide() -> bool:
        loaded = "ipykernel" in sys.modules
        sys.modules["ipykernel"] = None  # type: ignore[assignment]
        return loaded

    assert not client[2].apply_sync(hide)
    try:
        with pytest.raises(ImportError, match=r"ctrl-hub\[jupyter\]"):
            client[2].apply_sync(ctrlhub.bind_kernel)
    finally:
        client[2].apply_sync(lambda: sys.modules.pop("ipykernel", None))
