"""Traces: who asks for them, and what travels."""

from __future__ import annotations

import logging
import os
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from opentelemetry.trace import SpanContext, TraceFlags

from ctrlhub.link import tracing
from ctrlhub.link.tracing import is_asked_for, parent_of, provider_here


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nobody asks for traces, and nobody has been told anything."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(tracing, "_told", set())
    monkeypatch.setattr(tracing, "_processors", [])
    monkeypatch.delitem(sys.modules, "opentelemetry.trace", raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("environ", "asked"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "mine"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "TRUE"}, False),
    ],
)
def test_the_standard_variables_ask_for_traces(environ: dict[str, str], asked: bool) -> None:
    """An exporter or an address of one does; a name alone does not, and a veto counts."""
    assert is_asked_for(environ) is asked


def test_nobody_asks(alone: pytest.MonkeyPatch) -> None:
    """Then there is no provider, and nothing is imported."""
    assert provider_here("x") is None
    assert "opentelemetry.trace" not in sys.modules


def test_a_programs_own_provider_is_heard_first(alone: pytest.MonkeyPatch) -> None:
    """Whatever the environment says."""
    own = SimpleNamespace(add_span_processor=None)
    alone.setitem(sys.modules, "opentelemetry.trace", ModuleType("trace"))
    alone.setattr(sys.modules["opentelemetry.trace"], "get_tracer_provider", lambda: own, raising=False)
    provider: Any = provider_here("x")
    assert provider is own


def test_a_missing_extra_is_named_once(alone: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Work goes on without traces: the variables may be meant for other programs."""
    alone.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    alone.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    with caplog.at_level(logging.WARNING, "ctrlhub"):
        assert provider_here("x") is None
        assert provider_here("x") is None
    [record] = caplog.records
    assert "pip install 'ctrl-hub[otel]'" in record.getMessage()


def test_an_exporter_that_is_not_there_is_said_once(
    alone: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And work goes on."""
    alone.setenv("OTEL_TRACES_EXPORTER", "carrier-pigeon")
    with caplog.at_level(logging.WARNING, "ctrlhub"):
        assert provider_here("x") is None
        assert provider_here("x") is None
    [record] = caplog.records
    assert "carrier-pigeon" in record.getMessage()


@pytest.mark.parametrize(("flags", "text"), [(1, f"00-{7:032x}-{9:016x}-01"), (0, "")])
def test_what_travels_is_a_traceparent(flags: int, text: str) -> None:
    """Of a span that is recorded; of another nothing, so that nobody makes spans for it."""
    assert parent_of(SpanContext(7, 9, is_remote=False, trace_flags=TraceFlags(flags))) == text
    assert parent_of(SpanContext(0, 0, is_remote=False, trace_flags=TraceFlags(1))) == ""
