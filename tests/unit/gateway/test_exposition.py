"""What Prometheus reads: names that the document lists, formats that its own parsers take."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from ctrlhub.gateway import exposition
from ctrlhub.wire.telemetry import (
    BUCKETS,
    EngineTelemetry,
    Histogram,
    QueueDepth,
    StoreTelemetry,
    Telemetry,
)

ROOT = Path(__file__).parents[3]

ENGINE = EngineTelemetry(0, "busy", "host", 77, "set", 1.5, 12.25, 4096, 0, "", 0.0, 1, 2, 30, 4)

FIGURES = Telemetry(
    time=1000.0,
    cursor=7,
    started=500.0,
    counters={"tasks_submitted": 9, "tasks_done": 4, "tasks_failed": 2, "bytes_in": 1 << 60},
    gauges={"hub_cpu_seconds": 2.5, "clients": 3},
    queued=5,
    running=1,
    latency={"run": Histogram((1, 2, *(0,) * (BUCKETS - 2), 4), 3e5)},
    engines=(ENGINE, replace(ENGINE, id=1, state="idle", cpu=None, cpu_seconds=None, rss=None)),
    queues=(QueueDepth(1, "a:1", 0, 2), QueueDepth(2, "b:2", 0, 3), QueueDepth(2, "b:2", -5, 1)),
    tasks=(),
    missed=0,
    failures=(),
    store=StoreTelemetry("sqlite", 8192, 6, "no room"),
)

GATEWAY: Any = SimpleNamespace(served={200: 5, 404: 1}, sockets={1, 2})


def plain(figures: Telemetry | None = FIGURES) -> dict[str, float]:
    """Return the samples of the older format, by name with labels."""
    kind, text = exposition.exposed(figures, GATEWAY, open_metrics=False)
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    return {
        sample.name + "".join(f" {k}={v}" for k, v in sorted(sample.labels.items())): sample.value
        for family in parse_plain(text.decode())
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ctrlhub_hub_up", 1),
        ("ctrlhub_hub_start_time_seconds", 500),
        ("ctrlhub_tasks_submitted_total", 9),
        ("ctrlhub_tasks_total state=done", 4),
        ("ctrlhub_tasks_total state=failed", 2),
        ("ctrlhub_tasks_total state=cancelled", 0),
        ("ctrlhub_hub_received_bytes_total", 1 << 60),
        ("ctrlhub_hub_cpu_seconds_total", 2.5),
        ("ctrlhub_tasks_queued", 5),
        ("ctrlhub_clients", 3),
        ("ctrlhub_task_run_seconds_bucket le=1.6e-05", 1),
        ("ctrlhub_task_run_seconds_bucket le=3.2e-05", 3),
        ("ctrlhub_task_run_seconds_bucket le=+Inf", 7),
        ("ctrlhub_task_run_seconds_count", 7),
        ("ctrlhub_task_run_seconds_sum", 3e5),
        ("ctrlhub_queue_tasks priority=0", 5),
        ("ctrlhub_queue_tasks priority=-5", 1),
        ("ctrlhub_store_bytes kind=sqlite", 8192),
        ("ctrlhub_store_failing kind=sqlite", 1),
        ("ctrlhub_engines state=busy", 1),
        ("ctrlhub_engines state=idle", 1),
        ("ctrlhub_engines state=draining", 0),
        ("ctrlhub_engine_cpu_seconds_total engine=0 host=host", 12.25),
        ("ctrlhub_engine_resident_memory_bytes engine=0 host=host", 4096),
        ("ctrlhub_engine_requests engine=0 host=host", 3),
        ("ctrlhub_engine_requests_ended_total engine=1 host=host", 30),
        ("ctrlhub_engine_restarts_total engine=0 host=host", 4),
        ("ctrlhub_gateway_requests_total code=404", 1),
        ("ctrlhub_gateway_sockets", 2),
    ],
)
def test_each_figure_has_its_series(name: str, value: float) -> None:
    """With the value that the hub has told."""
    assert plain()[name] == value


def test_what_is_unknown_has_no_series() -> None:
    """Rather than one that says nothing is used."""
    assert "ctrlhub_engine_cpu_seconds_total engine=1 host=host" not in plain()


def test_while_the_hub_is_away_the_gateway_says_so() -> None:
    """And has figures of its own."""
    found = plain(None)
    assert found["ctrlhub_hub_up"] == 0
    assert found["ctrlhub_gateway_sockets"] == 2
    assert found["ctrlhub_gateway_process_resident_memory_bytes"] > 0
    assert not any(name.startswith("ctrlhub_tasks") for name in found)


def test_openmetrics_is_taken_by_its_parser() -> None:
    """It says when counters began, and has the same families."""
    kind, text = exposition.exposed(FIGURES, GATEWAY, open_metrics=True)
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in parse_openmetrics(text.decode())}
    created = [s.value for s in families["ctrlhub_tasks"].samples if s.name == "ctrlhub_tasks_created"]
    assert created == [500.0] * 3
    _, other = exposition.exposed(FIGURES, GATEWAY, open_metrics=False)
    older = {re.sub(r"_total$", "", family.name) for family in parse_plain(other.decode())}
    assert {"ctrlhub_build_info" if name == "ctrlhub_build" else name for name in families} == older


def test_of_very_many_engines_some_have_no_series_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """But all are counted."""
    monkeypatch.setattr(exposition, "MOST_ENGINES", 1)
    found = plain()
    assert "ctrlhub_engine_requests engine=1 host=host" not in found
    assert found["ctrlhub_engines state=idle"] == 1


def test_what_an_engine_calls_its_host_cannot_break_the_format() -> None:
    """Quotes, backslashes and line ends are part of the label."""
    host = 'a"} 1\nctrlhub_hub_up 0\\'
    found = plain(replace(FIGURES, engines=(replace(ENGINE, host=host),)))
    assert found["ctrlhub_hub_up"] == 1
    assert found[f"ctrlhub_engine_requests engine=0 host={host}"] == 3


def test_the_document_lists_every_name() -> None:
    """And no other."""
    section = (ROOT / "docs" / "metrics.md").read_text().partition("## Prometheus")[2]
    listed = set(re.findall(r"^\| `(ctrlhub_[a-z_]+)", section, flags=re.MULTILINE))
    _, text = exposition.exposed(FIGURES, GATEWAY, open_metrics=False)
    named = set(re.findall(r"^# TYPE (\S+)", text.decode(), flags=re.MULTILINE))
    assert listed == named
