"""The figures as Prometheus reads them: names, labels, formats.

What docs/metrics.md lists is what stands here; a test compares. Labels have few values: engines, of
which there are `MOST_ENGINES` at most, states, priorities. Clients come and go, and are no label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client import exposition as plain
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from ctrlhub import __version__
from ctrlhub.wire.telemetry import Histogram, Telemetry

if TYPE_CHECKING:
    from ctrlhub.gateway.context import Gateway

MOST_ENGINES = 1_000
"""So many engines have series of their own; all are counted in ``ctrlhub_engines``."""

STATES = ("idle", "busy", "draining", "suspect")
"""What an engine may be."""

ENDS = ("done", "failed", "cancelled")

HELP_OF_HISTOGRAMS: Mapping[str, tuple[str, str]] = {
    "queue": (
        "ctrlhub_task_queue_seconds",
        "From a task's coming to the hub to the beginning of its last run.",
    ),
    "run": ("ctrlhub_task_run_seconds", "How long the last run of a task took."),
    "total": (
        "ctrlhub_task_turnaround_seconds",
        "From a task's coming to the hub to the coming of its result.",
    ),
    "command": ("ctrlhub_command_run_seconds", "How long a command to an engine ran."),
}

COUNTERS: Mapping[str, tuple[str, str]] = {
    "tasks_submitted": ("ctrlhub_tasks_submitted", "Tasks that clients have given."),
    "tasks_returned": ("ctrlhub_tasks_returned", "Tasks taken over from the hub before."),
    "tasks_retried": ("ctrlhub_task_retries", "Runs that raised, of tasks that are run again."),
    "tasks_orphaned": ("ctrlhub_tasks_orphaned", "Tasks whose engine was lost while it ran them."),
    "tasks_reclaimed": (
        "ctrlhub_tasks_reclaimed",
        "Tasks that went back to the queue since their engine was gone.",
    ),
    "tasks_duplicate": (
        "ctrlhub_task_results_duplicate",
        "Results of tasks that had ended, or are not known: dropped.",
    ),
    "commands_submitted": ("ctrlhub_commands_submitted", "Commands to engines that clients have given."),
    "commands_returned": ("ctrlhub_commands_returned", "Commands taken over from the hub before."),
    "engines_registered": ("ctrlhub_engines_registered", "Registrations of engines."),
    "engines_lost": ("ctrlhub_engines_lost", "Engines that have died or fallen silent."),
    "engine_restarts": (
        "ctrlhub_engines_replaced",
        "Engines in whose place another process has come.",
    ),
    "messages_refused": ("ctrlhub_hub_messages_refused", "Messages that the hub has refused."),
}

GAUGES: Mapping[str, tuple[str, str]] = {
    "clients": ("ctrlhub_clients", "Sessions of clients, detached ones included."),
    "tasks_waiting": (
        "ctrlhub_tasks_waiting",
        "Tasks that wait for other requests, or for their client.",
    ),
    "oldest_queued_seconds": (
        "ctrlhub_tasks_oldest_queued_seconds",
        "How long the task has waited that waits for an engine the longest.",
    ),
    "results_undelivered": ("ctrlhub_results_undelivered", "Results that clients have not taken."),
    "hub_resident_bytes": ("ctrlhub_hub_resident_memory_bytes", "Memory of the hub's process."),
    "hub_loop_lag_seconds": (
        "ctrlhub_hub_loop_lag_seconds",
        "How late the hub's loop came to what was due: the worst of late, fading.",
    ),
}


def exposed(
    figures: Telemetry | None, gateway: Gateway, *, open_metrics: bool
) -> tuple[str, bytes]:
    """Return the content type, and what is measured as text of that.

    Parameters
    ----------
    figures
        The hub's; None while it does not answer.
    gateway
        The gateway.
    open_metrics
        Write it as OpenMetrics, not in the older format.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families((*_of_gateway(gateway), *_of_hub(figures, has_created=open_metrics))))
    ProcessCollector(namespace="ctrlhub_gateway", registry=registry)
    if open_metrics:
        write: Callable[[CollectorRegistry], bytes] = openmetrics.generate_latest
        return openmetrics.CONTENT_TYPE_LATEST, write(registry)
    return plain.CONTENT_TYPE_PLAIN_0_0_4, plain.generate_latest(registry)


class _Families(Collector):
    """Families that are there already."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """Return them."""
        return self._families

    def describe(self) -> Iterable[Metric]:
        """Return none: what there is follows from what was measured."""
        return ()


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float, created: float | None = None) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, value=value, created=created)


def _labelled_counter(
    name: str, text: str, label: str, values: Mapping[str, float], created: float | None = None
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=(label,))
    for each, value in values.items():
        family.add_metric((each,), value, created=created)
    return family


def _of_gateway(gateway: Gateway) -> Iterator[Metric]:
    yield InfoMetricFamily("ctrlhub_build", "The version of ctrl-hub.", value={"version": __version__})
    served = {str(status): float(count) for status, count in sorted(gateway.served.items())}
    yield _labelled_counter(
        "ctrlhub_gateway_requests", "Requests that the gateway has answered, by status.", "code", served
    )
    yield _gauge(
        "ctrlhub_gateway_sockets", "WebSockets and event streams that are open.", len(gateway.sockets)
    )


def _of_hub(figures: Telemetry | None, *, has_created: bool) -> Iterator[Metric]:
    yield _gauge("ctrlhub_hub_up", "Whether the hub answers.", float(figures is not None))
    if figures is None:
        return
    # In the older format each would be a series of its own; `ctrlhub_hub_start_time_seconds` says it.
    created = figures.started if has_created else None
    text = "When the hub's process began, in Unix time."
    yield _gauge("ctrlhub_hub_start_time_seconds", text, figures.started)
    for name, (family, text) in COUNTERS.items():
        yield _counter(family, text, figures.counters.get(name, 0), created)
    for kind in ("tasks", "commands"):
        ended = {end: float(figures.counters.get(f"{kind}_{end}", 0)) for end in ENDS}
        text = f"{kind.capitalize()} that have ended, by how."
        yield _labelled_counter(f"ctrlhub_{kind}", text, "state", ended, created)
    for direction in ("in", "out"):
        for what, text in (("messages", "Messages"), ("bytes", "Bytes of messages")):
            verb = "received" if direction == "in" else "sent"
            value = figures.counters.get(f"{what}_{direction}", 0)
            yield _counter(f"ctrlhub_hub_{verb}_{what}", f"{text} that the hub has {verb}.", value, created)
    cpu = figures.gauges.get("hub_cpu_seconds", 0.0)
    yield _counter("ctrlhub_hub_cpu_seconds", "What the hub's process has worked.", cpu, created)
    yield _gauge("ctrlhub_tasks_queued", "Tasks that do not run yet.", figures.queued)
    yield _gauge("ctrlhub_tasks_running", "Tasks that run.", figures.running)
    for name, (family, text) in GAUGES.items():
        yield _gauge(family, text, figures.gauges.get(name, 0.0))
    for name, (family, text) in HELP_OF_HISTOGRAMS.items():
        yield _histogram(family, text, figures.latency.get(name, Histogram()))
    yield _queues(figures)
    yield from _store(figures)
    yield from _engines(figures)


def _histogram(name: str, text: str, histogram: Histogram) -> HistogramMetricFamily:
    reached = list(accumulate(histogram.counts))
    bounds = [*map(repr, histogram.bounds), "+Inf"]
    buckets = list(zip(bounds, map(float, reached), strict=True))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=histogram.sum)


def _queues(figures: Telemetry) -> GaugeMetricFamily:
    depths: Counter[int] = Counter({0: 0})
    for row in figures.queues:
        depths[row.priority] += row.queued
    family = GaugeMetricFamily(
        "ctrlhub_queue_tasks", "Tasks that wait for an engine, by priority.", labels=("priority",)
    )
    for priority, queued in sorted(depths.items()):
        family.add_metric((str(priority),), queued)
    return family


def _store(figures: Telemetry) -> Iterator[Metric]:
    store = figures.store
    for name, text, value in (
        ("bytes", "What the store takes, as of some seconds ago.", store.bytes),
        ("requests", "Requests that the store has.", store.requests),
        ("failing", "Whether nothing can be stored now.", int(bool(store.trouble))),
    ):
        family = GaugeMetricFamily(f"ctrlhub_store_{name}", text, labels=("kind",))
        family.add_metric((store.kind,), value)
        yield family


def _engines(figures: Telemetry) -> Iterator[Metric]:
    states = Counter(dict.fromkeys(STATES, 0))
    states.update(engine.state for engine in figures.engines)
    count = GaugeMetricFamily("ctrlhub_engines", "Engines that are registered, by state.", labels=("state",))
    for state, number in states.items():
        count.add_metric((state,), number)
    yield count
    labels = ("engine", "host")
    cpu = CounterMetricFamily(
        "ctrlhub_engine_cpu_seconds", "What an engine and its child processes have worked.", labels=labels
    )
    memory = GaugeMetricFamily(
        "ctrlhub_engine_resident_memory_bytes", "Memory of an engine and its child processes.", labels=labels
    )
    ended = CounterMetricFamily(
        "ctrlhub_engine_requests_ended", "Tasks and commands that an engine has ended.", labels=labels
    )
    held = GaugeMetricFamily(
        "ctrlhub_engine_requests", "Tasks and commands that an engine has, running ones included.", labels=labels
    )
    restarts = CounterMetricFamily(
        "ctrlhub_engine_restarts", "How often another process came in an engine's place.", labels=labels
    )
    for engine in figures.engines[:MOST_ENGINES]:
        whose = (str(engine.id), engine.host)
        if engine.cpu_seconds is not None:
            cpu.add_metric(whose, engine.cpu_seconds)
        if engine.rss is not None:
            memory.add_metric(whose, engine.rss)
        ended.add_metric(whose, engine.completed)
        held.add_metric(whose, engine.commands + engine.tasks)
        restarts.add_metric(whose, engine.restarts)
    yield from (cpu, memory, ended, held, restarts)
