"""Traces on an engine: a span around each run of a task that brought a context, and the hub's span before it.

The hub exports nothing. It hands on when a task came and when it was given to this engine, and the engine
makes the span of that, as the hub's: see docs/design.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from ctrlhub.engine.work import Traced
from ctrlhub.link.tracing import another_service, carrier_of, provider_here
from ctrlhub.wire.ids import text_of

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer

FLUSH = 2.0
"""How long (seconds) an engine that ends may take to export what it has."""

_NANO = 1_000_000_000


def around(task: Traced, call: Callable[..., Any], engine: int | None) -> Callable[..., Any]:
    """Return what calls a function within its task's span; the function itself where nobody wants traces."""
    spans = _spans_here()
    return call if spans is None else partial(spans.run, task, engine, call)


class Spans:
    """Makes the spans of an engine.

    Parameters
    ----------
    hub, engine
        What makes the hub's, and its own.
    """

    def __init__(self, hub: Tracer, engine: Tracer) -> None:
        self._hub, self._engine = hub, engine
        self._last: tuple[tuple[str, str], Context] | None = None

    def run(
        self, task: Traced, engine: int | None, call: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Any:
        """Call a function within the span of its task: what user code spans is within it."""
        from opentelemetry import context
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

        about: dict[str, Any] = {"ctrlhub.task": text_of(task.number), "ctrlhub.attempt": task.attempt}
        if task.label:
            about["ctrlhub.label"] = task.label
        parent = self._queued(task, about)
        if engine is not None:
            about["ctrlhub.engine"] = engine
        span = self._engine.start_span(f"run {_name_of(call, args)}", parent, SpanKind.CONSUMER, about)
        token = context.attach(set_span_in_context(span, parent))
        try:
            return call(*args, **kwargs)
        except BaseException as error:  # an interrupt, too, is how it has ended
            span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
            raise
        finally:
            context.detach(token)
            span.end()

    def _queued(self, task: Traced, about: Mapping[str, Any]) -> Context:
        """Make the span of a task's time at the hub; return the context of what follows it."""
        from opentelemetry.trace import set_span_in_context

        told = task.told
        parent = self._context_of(told["trace"], told.get("trace_state", ""))
        queued, given = told.get("queued"), told.get("given")
        if type(queued) is not float or type(given) is not float:
            return parent
        span = self._hub.start_span("queue", parent, attributes=about, start_time=int(queued * _NANO))
        span.end(int(max(queued, given) * _NANO))
        return set_span_in_context(span, parent)


    def _context_of(self, parent: str, state: str) -> Context:
        """Read a context; the tasks of a map have one in common, and come one after another."""
        if self._last is None or self._last[0] != (parent, state):
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

            self._last = (parent, state), TraceContextTextMapPropagator().extract(carrier_of(parent, state))
        return self._last[1]


def _name_of(call: Callable[..., Any], args: tuple[Any, ...]) -> str:
    """Return what people call that which is run: a function that is run by its name has it as an argument."""
    from ctrlhub.engine.by_name import call_by_name

    if call is call_by_name and args:
        return str(args[0])
    return str(getattr(call, "__name__", type(call).__name__))


_found: list[Spans | None] = []


def _spans_here() -> Spans | None:
    """Return what makes spans in this process; looked for once, when a task first brings a context."""
    if not _found:
        provider = provider_here("ctrl-hub engine")
        if provider is None:
            _found.append(None)
        else:
            hub = another_service(provider, "ctrl-hub hub")
            _found.append(Spans(hub.get_tracer("ctrlhub.hub"), provider.get_tracer("ctrlhub.engine")))
    return _found[0]


def flush() -> None:
    """Have what has ended exported, before this process ends."""
    if any(_found):
        from ctrlhub.link import tracing

        tracing.flush(FLUSH)
