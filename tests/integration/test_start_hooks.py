"""Engines that come later are equal to the others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctrlhub import Client, Cluster, EngineError
from tests.support.processes import Command, until

WAIT = 60.0


@pytest.fixture
def own(state: Path) -> Iterator[Client]:
    """A client of two engines of this test alone."""
    with Cluster(n=2) as client:
        yield client


def test_restarted_engines_are_prepared(own: Client) -> None:
    """By each kind of hook, in order, before anything else."""

    def double() -> None:
        global y
        y = 2 * x  # type: ignore[name-defined]  # noqa: F821

    own[:].push({"x": 5}, persistent=True, block=True)
    own.on_engine_start(double)
    own.on_engine_start("z = y + 1")

    own.restart()

    assert own[:].pull("z", block=True) == [11, 11]


def test_what_was_made_anew_is_what_restarted_engines_have(own: Client) -> None:
    """Names that were pushed, or set by code, several times are as on the engines that were there."""
    view = own[:]
    for names in ({"a": 1, "b": 2}, {"a": 3}, {"a": 5, "b": 6}):
        view.push(names, persistent=True, block=True)
    for code in ("x = 1", "x = 2", "x = 1"):
        own.on_engine_start(code)
    before = view.pull(["a", "b", "x"], block=True)

    own.restart()

    assert before == view.pull(["a", "b", "x"], block=True) == [[5, 6, 1]] * 2


def test_an_engine_that_takes_a_dead_ones_place_is_prepared(own: Client) -> None:
    """Its nanny has restarted it; tasks that were waiting find it so."""
    own[:].push({"x": 5}, persistent=True, block=True)
    with pytest.raises(EngineError):
        own[0].apply_sync(os._exit, 1)

    assert own.load_balanced_view().map_sync(lambda n: x, range(20)) == [5] * 20  # type: ignore[name-defined]  # noqa: F821
    own.wait_for_engines(2, timeout=WAIT)
    assert own[:].pull("x", block=True) == [5, 5]


def test_a_hook_that_fails_on_an_engine_that_comes(
    own: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The client is warned; the engine takes commands but no tasks, until it is mended."""
    file = tmp_path / "data"
    file.touch()
    name = own.on_engine_start(f"open({str(file)!r})")
    file.unlink()

    own.restart(0)

    until(lambda: "engine 0" in caplog.text, "the warning")
    assert "gets no tasks" in caplog.text
    assert "FileNotFoundError" in caplog.text
    (hook,) = own.start_hooks()
    assert list(hook.failed) == [0]
    pids = own[:].apply_sync(os.getpid)
    view = own.load_balanced_view()
    assert set(view.map_sync(lambda n: __import__("os").getpid(), range(20))) == {pids[1]}

    own.remove_start_hook(name)
    until(
        lambda: set(view.map_sync(lambda n: __import__("os").getpid(), range(20))) == set(pids),
        "tasks on both engines",
    )


def test_a_hook_that_kills_engines_does_not_do_so_for_ever(own: Client, tmp_path: Path) -> None:
    """After three in a row the process that comes is not given it, and gets no tasks."""
    file = tmp_path / "deadly"
    own.on_engine_start(f"import os\nif os.path.exists({str(file)!r}): os._exit(3)", name="deadly")
    file.touch()

    own.restart(0)

    until(lambda: 0 in own.start_hooks()[0].failed, "the engine that did not run it")
    assert "exit code 3" in own.start_hooks()[0].failed[0]
    assert own[0].apply_sync(int, "7") == 7
    file.unlink()
    own.restart(0)
    assert dict(own.start_hooks()[0].failed) == {}


def test_hooks_are_given_to_a_hub_that_follows(command: Command) -> None:
    """By the client that made them; engines that live on do not run them a second time."""
    command.start("-n", "2")
    with Client() as client:
        client.on_engine_start("count = globals().get('count', 0) + 1", name="count")
        hub = client.status()["hub"]["pid"]
        os.kill(hub, 9)
        until(lambda: client.status()["hub"]["pid"] != hub, "another hub")
        client.wait_for_engines(2, timeout=WAIT)
        until(
            lambda: [h.state for h in client.start_hooks()] == ["kept"], "the hook at the other hub"
        )

        client.restart(1)

        assert client[:].pull("count", block=True) == [1, 1]
        assert "count" in command.run("status").stdout
    command.run("stop")
