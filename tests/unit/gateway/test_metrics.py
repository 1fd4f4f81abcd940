"""What is said of ``/metrics`` where it cannot be served."""

from __future__ import annotations

import asyncio
import sys

import pytest

from ctrlhub.gateway.handlers import Refusal
from ctrlhub.gateway.metrics import Metrics


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the extra that brings it."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "ctrlhub.gateway.exposition", raising=False)
    handler = Metrics.__new__(Metrics)
    with pytest.raises(Refusal) as refused:
        asyncio.run(handler.get())
    assert refused.value.status_code == 503
    assert "ctrl-hub[metrics]" in refused.value.message
