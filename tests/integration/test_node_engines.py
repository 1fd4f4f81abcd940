"""The engines of one node: as many as it was given cores or GPUs, each GPU one engine's own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from ctrlhub import Client
from tests.support.processes import Command

SEE = "import os\nseen = os.environ.get('CUDA_VISIBLE_DEVICES')"


@pytest.fixture
def hub(command: Command, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A hub without engines, and a client."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    supervisor = command.start("-n", "0")
    with Client(timeout=60.0) as client:
        yield client
    supervisor.send_signal(signal.SIGINT)
    supervisor.wait()


def test_an_engine_for_each_gpu(
    hub: Client, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each finds its own in its environment before any code runs there; so does one that follows it."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3,5")
    hub.on_engine_start(SEE)
    nanny = command.launch("engine", "-n", "auto")
    hub.wait_for_engines(3, timeout=60.0)
    assert sorted(hub[:].get("seen")) == ["2", "3", "5"]

    before = dict(zip(hub.ids, hub[:].get("seen"), strict=True))
    old = hub[0].apply_sync(os.getpid)
    hub.restart(0)
    assert hub[0].apply_sync(os.getpid) != old
    assert hub[0].get("seen") == before[0]
    nanny.send_signal(signal.SIGINT)
    assert nanny.wait(60.0) == 0


def test_gpus_by_name(hub: Client, command: Command) -> None:
    """The list counts, and is shared by more engines than it has GPUs; with none nothing is said."""
    nannies = [command.launch("engine", "-n", "4", "--gpus", "0-1")]
    hub.wait_for_engines(4, timeout=60.0)
    assert sorted(hub[:].apply_sync(os.getenv, "CUDA_VISIBLE_DEVICES")) == ["0", "0", "1", "1"]
    nannies.append(command.launch("engine", "--gpus", "none"))
    hub.wait_for_engines(5, timeout=60.0)
    assert hub[4].apply_sync(os.getenv, "CUDA_VISIBLE_DEVICES") is None
    for nanny in nannies:
        nanny.send_signal(signal.SIGINT)
        assert nanny.wait(60.0) == 0


def test_an_engine_for_each_core(
    hub: Client, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as the scheduler says, or what is less, the system."""
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "1")
    nanny = command.launch("engine", "-n", "auto")
    hub.wait_for_engines(1, timeout=60.0)
    assert hub.ids == [0]
    nanny.send_signal(signal.SIGINT)
    assert nanny.wait(60.0) == 0


@pytest.mark.parametrize("count", ["0", "-1", "many"])
def test_a_number_that_is_none(command: Command, count: str) -> None:
    """Is refused at once."""
    result = command.run("engine", "-n", count)
    assert result.returncode == 2
    assert "neither a number of at least 1 nor 'auto'" in result.stderr
