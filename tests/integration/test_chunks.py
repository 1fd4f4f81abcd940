"""Items that travel together, and engines that die of one of them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ctrlhub import CompositeError, EngineError
from tests.support.processes import until

if TYPE_CHECKING:
    from ctrlhub import Client

WAIT = 120.0


def deadly(place: Path) -> object:
    """Return a function that notes its calls in a directory, and of which one is the last."""

    def act(n: int) -> int:
        (place / f"{n}-{time.monotonic_ns()}").touch()
        if n == 2:
            os._exit(3)
        if n == 3:
            raise ValueError(n)
        return -n

    return act


def calls(place: Path, item: int) -> int:
    """Return how often an item was called."""
    return len(list(place.glob(f"{item}-*")))


@pytest.mark.parametrize("retries", [1, 3])
def test_an_item_that_kills_its_engine_fails_alone(
    client: Client, tmp_path: Path, retries: int
) -> None:
    """It has no more lives than `engine_retries` say; what others of its chunk gave or raised is there."""
    view = client.load_balanced_view(engine_retries=retries)
    result = view.map_async(deadly(tmp_path), range(6), chunksize=6)

    values = result.get(WAIT, return_exceptions=True)

    assert (values[:2], values[4:]) == ([0, -1], [-4, -5])
    assert isinstance(values[2], EngineError)
    assert "exit code 3" in str(values[2])
    assert isinstance(values[3], ValueError)
    assert calls(tmp_path, 2) == 1 + retries
    assert (len(result), result.progress, len(result.msg_ids)) == (6, 6, 1)
    with pytest.raises(CompositeError, match="2 of 6"):
        result.get(WAIT)
    assert result[5] == -5


def test_without_lives_a_chunk_fails_together(client: Client, tmp_path: Path) -> None:
    """Which item it was nobody can say, and none may be run twice; other chunks are well."""
    view = client.load_balanced_view(engine_retries=0)

    values = view.map_async(deadly(tmp_path), range(9), chunksize=3).get(
        WAIT, return_exceptions=True
    )

    assert [type(value) for value in values[:3]] == [EngineError] * 3
    assert values[4:] == [-4, -5, -6, -7, -8]
    assert calls(tmp_path, 2) == calls(tmp_path, 1) == 1


def test_items_that_run_alone_can_be_cancelled(client: Client, tmp_path: Path) -> None:
    """With the whole: what has not ended of it."""

    def act(n: int) -> int:
        (tmp_path / f"{n}-{time.monotonic_ns()}").touch()
        if n == 1:
            os._exit(3)
        while calls(tmp_path, 0) > 1:
            time.sleep(0.01)
        return n

    view = client.load_balanced_view(engine_retries=1)
    result = view.map_async(act, range(2), chunksize=2)
    until(lambda: result.progress == 1, "the end of the deadly one")
    assert not result.done()

    result.cancel()

    values = result.get(WAIT, return_exceptions=True)
    assert type(values[0]).__name__ == "TaskCancelled"
    assert isinstance(values[1], EngineError)
