"""Traces by OpenTelemetry, where they are asked for: whose provider it is, and what travels.

A program that has a provider of its own is heard first. Else the standard variables of the environment
decide: ``OTEL_EXPORTER_OTLP_ENDPOINT`` (or ``…_TRACES_ENDPOINT``) or ``OTEL_TRACES_EXPORTER`` ask for traces,
``OTEL_SDK_DISABLED`` forbids them. Without either nothing of OpenTelemetry is imported.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any

from ctrlhub.wire.options import LONGEST_STATE

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import SpanContext, TracerProvider

_log = logging.getLogger(__name__)

_ASKED_BY = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_HANDED_ON = (
    *_ASKED_BY, "OTEL_SDK_DISABLED", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_COMPRESSION",
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG", "OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_EXPORT_TIMEOUT", "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
)  # fmt: skip
"""What says to engines on other hosts what it says here: no headers, which are secret, and no files of this host."""
_EXPORTERS = "opentelemetry_traces_exporter"
"""The group of entry points by which exporters are found, as OpenTelemetry's own tools do."""

_lock = Lock()
_processors: list[SpanProcessor] = []
_told: set[str] = set()


def is_asked_for(environ: Mapping[str, str]) -> bool:
    """Say whether the environment asks for traces."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environ.get("OTEL_TRACES_EXPORTER", "")
    return exporter != "none" and any(environ.get(name) for name in _ASKED_BY)


def handed_on(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what the environment says of traces, for processes on other hosts; nothing secret."""
    return {name: environ[name] for name in _HANDED_ON if environ.get(name) and "@" not in environ[name]}


def provider_here(service: str) -> TracerProvider | None:
    """Return whose tracers to use in this process; None where nobody wants traces.

    A provider that is made here becomes that of the process, so that spans of user code belong to the same
    traces.

    Parameters
    ----------
    service
        What this process is, where ``OTEL_SERVICE_NAME`` does not say.
    """
    with _lock:
        own = _own_provider()
        if own is not None or not is_asked_for(os.environ):
            return own
        made = _made(os.environ.get("OTEL_SERVICE_NAME", service))
        if made is not None:
            from opentelemetry import trace

            trace.set_tracer_provider(made)
        return made


def another_service(provider: TracerProvider, service: str) -> TracerProvider:
    """Return a provider whose spans are another service's, exported like those of one that was made here."""
    return (_made(service) or provider) if _processors else provider


def flush(seconds: float) -> None:
    """Have what has ended exported, by what was made here, and wait for that so long at most."""
    from threading import Thread

    waits = [
        Thread(target=each.force_flush, args=(int(seconds * 1000),), name="ctrlhub-traces", daemon=True)
        for each in _processors
    ]
    for each in waits:
        each.start()
    for each in waits:
        each.join(seconds)


def parent_of(context: SpanContext) -> str:
    """Write a span's context as W3C does (``traceparent``); empty if nobody records it."""
    if not context.is_valid or not context.trace_flags.sampled:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def state_of(context: SpanContext) -> str:
    """Write what goes with a span's context as W3C does (``tracestate``); empty if that is nothing, or too long."""
    state = context.trace_state.to_header() if parent_of(context) else ""
    return state if len(state) <= LONGEST_STATE else ""


def carrier_of(parent: str, state: str) -> dict[str, str]:
    """Return the headers from which OpenTelemetry reads a context."""
    return {"traceparent": parent, "tracestate": state} if state else {"traceparent": parent}


def _own_provider() -> TracerProvider | None:
    trace: Any = sys.modules.get("opentelemetry.trace")
    provider = None if trace is None else trace.get_tracer_provider()
    return provider if hasattr(provider, "add_span_processor") else None


def _made(service: str) -> TracerProvider | None:
    """Make a provider of what the environment names; None, and a line in the log, where that cannot be."""
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider as SdkProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        _say_once(
            "the environment asks for traces (OTEL_…), and OpenTelemetry is not installed here: "
            "pip install 'ctrl-hub[otel]'"
        )
        return None
    if not _processors:
        for name in os.environ.get("OTEL_TRACES_EXPORTER", "otlp").split(","):
            exporter = _exporter(name.strip())
            if exporter is not None:
                _processors.append(BatchSpanProcessor(exporter))
    if not _processors:
        return None
    provider = SdkProvider(resource=Resource.create({"service.name": service}))
    for processor in _processors:
        provider.add_span_processor(processor)
    return provider


def _exporter(name: str) -> Any:
    from importlib.metadata import entry_points

    if name == "otlp":
        spoken = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "")
        name = "otlp_proto_grpc" if spoken == "grpc" else "otlp_proto_http"
    try:
        [found] = entry_points(group=_EXPORTERS, name=name)
        return found.load()()
    except Exception as error:  # an exporter is somebody else's: work goes on without traces
        _say_once(f"traces cannot be exported by {name!r} (OTEL_TRACES_EXPORTER): {error!r}")
        return None


def _say_once(what: str) -> None:
    if what not in _told:
        _told.add(what)
        _log.warning("%s", what)
