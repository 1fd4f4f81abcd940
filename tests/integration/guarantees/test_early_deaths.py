"""Engines that die as they start: who waits for them is told why, in seconds and not after a time-out."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ctrlhub import Client, Cluster, EngineError
from ctrlhub.cli.exits import Exit
from ctrlhub.cluster.errors import StartFailed
from tests.support.processes import Command, until

LONG = 600.0
"""Seconds that nobody has to wait: a test that did would not end."""

LIBRARY = "a_library_that_is_not_there"

HOOK = f"""
import importlib.util, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name != "ctrlhub.engine.process":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            run = module.run_engine

            def run_engine(config, *others):
                if config.slot in BROKEN:
                    import {LIBRARY}
                return run(config, *others)

            module.run_engine = run_engine

        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Finder())
"""
"""Has the engines of some slots import, as they start, what is not installed on their node."""

Break = Callable[..., None]


@pytest.fixture
def break_slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Break:
    """Let the engines in these slots die of what is not installed."""

    def broken(*slots: int) -> None:
        place = tmp_path / "site"
        place.mkdir()
        (place / "sitecustomize.py").write_text(f"BROKEN = {slots!r}\n{HOOK}")
        path = os.environ.get("PYTHONPATH", "")
        monkeypatch.setenv("PYTHONPATH", f"{place}{os.pathsep}{path}")

    return broken


def test_some_engines_of_a_cluster(state: Path, break_slots: Break) -> None:
    """The start fails as soon as the others are there, and says how many, and why."""
    break_slots(1)
    cluster = Cluster(n=2, timeout=LONG)

    with pytest.raises(StartFailed, match="1 of 2 engines; 1 died as they were started") as caught:
        cluster.start()

    assert f"No module named '{LIBRARY}'" in str(caught.value)
    assert cluster.pids["hub"] is None


def test_all_engines_of_a_cluster(state: Path, break_slots: Break) -> None:
    """Then their nanny has given up."""
    break_slots(0, 1)

    with pytest.raises(StartFailed) as caught:
        Cluster(n=2, timeout=LONG).start()

    assert f"No module named '{LIBRARY}'" in str(caught.value)


def test_some_engines_of_a_start(command: Command, break_slots: Break) -> None:
    """The command ends, with the same words; nothing is left."""
    break_slots(0)

    result = command.run("start", "-n", "2", "--timeout", str(LONG), timeout=120)

    assert result.returncode == Exit.START_FAILED
    assert "1 of 2 engines; 1 died as they were started" in result.stderr
    assert f"No module named '{LIBRARY}'" in result.stderr
    assert command.files() == set()


def test_engines_that_somebody_waits_for(command: Command, break_slots: Break) -> None:
    """A client that waits for those of a `ctrl-hub engine`, which goes on with the others."""
    command.start("--profile", "p", "-n", "0")
    break_slots(1)
    with Client(profile="p") as client:
        nanny = command.launch("engine", "--profile", "p", "-n", "2")

        with pytest.raises(EngineError, match="one did not start") as caught:
            client.wait_for_engines(2, timeout=LONG)

        assert f"No module named '{LIBRARY}'" in str(caught.value)
        client.wait_for_engines(1, timeout=60)
        assert client[:].apply_sync(abs, -1) == [1]
        [told] = client.interface("query").stillborn()
        assert told["cause"] == "exit code 1"
        assert client.ids == [0]
        assert nanny.poll() is None
    assert command.run("stop", "--profile", "p").returncode == Exit.OK


def test_engines_that_nobody_waits_for(command: Command, break_slots: Break) -> None:
    """`ctrl-hub engine` ends by itself, and shows the end of the log."""
    command.start("--profile", "p", "-n", "0")
    break_slots(0)

    nanny = command.launch("engine", "--profile", "p")

    _, said = nanny.communicate(timeout=120)
    assert nanny.returncode == Exit.ERROR
    assert f"No module named '{LIBRARY}'" in said
    assert command.run("stop", "--profile", "p").returncode == Exit.OK
    until(lambda: not command.left(), "nothing is left")


def test_some_engines_of_a_set(command: Command, break_slots: Break) -> None:
    """`ctrl-hub engines start` says so at once; the others go on, until they are stopped."""
    command.start("--profile", "p", "-n", "0")
    break_slots(1)

    result = command.run("engines", "start", "--profile", "p", "-n", "2", "--wait", str(LONG), timeout=120)

    assert result.returncode == Exit.START_FAILED
    assert "1 of 2 engines of set 'local-2'; 1 died as they were started" in result.stderr
    assert f"No module named '{LIBRARY}'" in result.stderr
    assert "1 go on, until `ctrl-hub engines stop local-2`" in result.stdout
    with Client(profile="p") as client:
        assert client[:].apply_sync(abs, -1) == [1]
    assert command.run("engines", "stop", "--profile", "p", "local-2").returncode == Exit.OK
    assert command.run("stop", "--profile", "p").returncode == Exit.OK
    until(lambda: not command.left(), "nothing is left")
