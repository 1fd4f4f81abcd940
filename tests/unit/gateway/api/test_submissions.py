from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from ctrlhub.gateway.api import submissions as module
from ctrlhub.gateway.api.kept import Kept
from ctrlhub.gateway.api.submissions import Submissions

ROW = (1, 0, b"1", 0, 0.0, 0.0, None)


def watched(
    monkeypatch: pytest.MonkeyPatch,
    expect: Callable[[Any], Awaitable[None]],
    on_ended: Callable[[Any], object],
) -> Submissions:
    """Return submissions of requests 1 and 2, of which 1 has a row, once they are watched no more."""
    monkeypatch.setattr(module.LoopClient, "of", lambda client: None)
    monkeypatch.setattr(module, "numbers_of", lambda result: (1, 2))
    monkeypatch.setattr(module, "rows_of", lambda result: [ROW, None])
    monkeypatch.setattr(module, "arrivals_here", lambda: SimpleNamespace(expect=expect))

    async def run() -> Submissions:
        client: Any = SimpleNamespace(client=SimpleNamespace(session=0))
        shelf: Any = None
        made = Submissions(client, Kept(10_000, 10), shelf, lambda *what: None, on_ended)
        result: Any = None
        assert made._watched(result) == [1, 2]
        assert made.out() == [1, 2]
        await asyncio.wait(made._watching)
        await asyncio.sleep(0)
        assert not made._watching
        return made

    return asyncio.run(run())


def test_a_result_that_cannot_be_waited_for_is_let_go_and_that_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What has come is kept; the hub is asked for the rest, as nobody takes it for being on its way."""

    async def fail(result: Any) -> None:
        raise OSError("no wake-up")

    made = watched(monkeypatch, fail, id)
    assert made.out() == []
    assert made.row(1) == ROW
    assert not made.is_out(2)
    assert "Submissions._watch has failed" in caplog.text
    assert "no wake-up" in caplog.text


def test_who_fails_when_told_of_ends_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And nothing is left behind."""

    async def come(result: Any) -> None:
        """It has come."""

    def fail(rows: Any) -> None:
        raise KeyError("odd")

    assert watched(monkeypatch, come, fail).out() == []
    assert "Submissions._watch has failed" in caplog.text
    assert "odd" in caplog.text
