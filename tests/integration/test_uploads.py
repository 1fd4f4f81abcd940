"""Modules of one's own on engines."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctrlhub import Client, Cluster, EngineError, RemoteError
from tests.support.processes import until

NAME = "mine_uploaded"


@pytest.fixture
def own(state: Path) -> Iterator[Client]:
    """A client of two engines of this test alone."""
    with Cluster(n=2) as client:
        yield client


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of a module that only the client can import."""
    directory = tmp_path / "source"
    directory.mkdir()
    file = directory / f"{NAME}.py"
    file.write_text("def answer():\n    return 1\n")
    monkeypatch.syspath_prepend(str(directory))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield file
    sys.modules.pop(NAME, None)


def test_a_module_on_all_engines(own: Client, source: Path) -> None:
    """As it is after each upload, also for what was used before; and on engines that come later."""
    module = importlib.import_module(NAME)
    with pytest.raises(RemoteError):
        own[:].apply_sync(module.answer)

    own.upload(module)
    assert own[:].apply_sync(module.answer) == [1, 1]
    assert own.load_balanced_view().map_sync(lambda n: module.answer() + n, [0, 1]) == [1, 2]

    source.write_text("def answer():\n    return 2\n")
    own.upload(source)
    assert own[:].apply_sync(module.answer) == [2, 2]
    assert own.load_balanced_view().map_sync(lambda n: module.answer() + n, [0, 1]) == [2, 3]

    own.restart(1)
    assert own[:].apply_sync(module.answer) == [2, 2]
    assert [hook.name for hook in own.start_hooks()] == [f"upload:{NAME}"]


def test_some_engines(own: Client, source: Path) -> None:
    """No others get it, then or later."""
    own.upload(source, targets=1)

    own[1].execute(f"import {NAME}", block=True)
    with pytest.raises(ModuleNotFoundError):
        own[0].execute(f"import {NAME}", block=True)
    assert own.start_hooks() == []


def test_uploads_go_with_their_engine(own: Client, source: Path) -> None:
    """However it ends."""
    own.upload(source, targets=0)
    directory = Path(own[0].apply_sync(lambda: __import__("sys").path[0]))
    assert (directory / f"{NAME}.py").exists()

    with pytest.raises(EngineError):
        own[0].apply_sync(os._exit, 3)

    until(lambda: not directory.exists(), "the end of what was uploaded")


def test_a_module_that_does_not_import_anew(own: Client, source: Path) -> None:
    """Its error comes from the engine; it is not kept for others."""
    own.upload(source)
    own[:].execute(f"import {NAME}", block=True)
    source.write_text("1 / 0\n")

    with pytest.raises(ZeroDivisionError):
        own.upload(source)
    assert own[:].execute(f"{NAME}.answer()", silent=False, block=True) is not None


def test_nothing_is_sent_of_what_cannot_be_uploaded(client: Client, tmp_path: Path) -> None:
    """The error is the caller's own."""
    with pytest.raises(FileNotFoundError):
        client.upload(tmp_path / "nothing.py")
    assert client.start_hooks() == []
