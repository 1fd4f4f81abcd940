"""The thread that looks after the gateway's process tells of its end, whatever happens."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from ctrlhub.controller import gateway_process
from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.core.alarm import Alarm
from ctrlhub.controller.core.effects import Outbox
from ctrlhub.controller.core.keeping import GatewayKeeper, GatewayState
from ctrlhub.controller.gateway_process import GatewayProcess
from tests.support.processes import is_alive, until

BABBLES = "import sys; sys.stdin.readline(); print('[' * 60_000, flush=True); sys.stdin.read()"
DEAF = "import time; time.sleep(600)"


class Kept:
    """A process that stands in for the gateway's, what looks after it, and what the hub makes of the news."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
        (tmp_path / "program_of_ours.py").write_text(program)
        tmp_path.chmod(0o700)
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        monkeypatch.setattr(gateway_process, "MODULE", "program_of_ours")
        self.keeper = GatewayKeeper(Outbox(), Alarm())
        self.keeper.want(0.0)
        self.process = GatewayProcess(HubConfig(profile="mine", state_dir=str(tmp_path)), tmp_path / "gateway.log")
        self.news: SimpleQueue[Callable[..., Any]] = SimpleQueue()
        self.process.tell(self.news.put)

    def hear(self) -> None:
        """Have the keeper told of the next thing that has happened."""
        self.news.get(timeout=60)(self.keeper, 0.0)


def test_what_nobody_has_foreseen_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something is said that cannot even be refused: the process is ended, and the keeper may have another."""
    kept = Kept(tmp_path, monkeypatch, BABBLES)
    kept.process.start()
    kept.hear()
    pid = kept.keeper.pid
    assert pid
    kept.hear()
    assert kept.keeper.state is GatewayState.WAITING
    assert "RecursionError" in kept.keeper.trouble
    assert not is_alive(pid)
    kept.process.end()


def test_an_end_while_options_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To a process that does not read them: it is killed, and nothing goes wrong in the thread that writes."""
    monkeypatch.setattr(gateway_process, "LEAVE", 0.1)
    kept = Kept(tmp_path, monkeypatch, DEAF)
    kept.process._line = "x" * 1_000_000  # more than a pipe takes
    kept.process.start()
    kept.hear()
    pid = kept.keeper.pid
    kept.process.end()
    thread = kept.process._thread
    assert thread is not None
    until(lambda: not thread.is_alive(), "its thread has ended")
    assert not is_alive(pid)
    assert kept.news.empty()
