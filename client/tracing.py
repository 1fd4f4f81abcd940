"""Traces of what a client submits: a span for each call, whose context travels with its tasks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from ctrlhub.link.tracing import carrier_of, parent_of, provider_here, state_of

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

    from ctrlhub.client.requests import Template


class Submissions:
    """Makes the spans of submissions.

    Parameters
    ----------
    tracer
        What makes spans.
    session
        The client's session.
    """

    def __init__(self, tracer: Tracer, session: int) -> None:
        self._tracer = tracer
        self._session = session

    @classmethod
    def of(cls, session: int) -> Submissions | None:
        """Return what makes them; None where nobody wants traces."""
        provider = provider_here("ctrl-hub client")
        return None if provider is None else cls(provider.get_tracer("ctrlhub.client"), session)

    @contextmanager
    def span(self, template: Template) -> Iterator[tuple[Template, Submission]]:
        """Open the span of a call; yield its template, which names it as the parent, and what is to be noted.

        It is within the span that the template names, of somebody else's, or else within the current one.
        """
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        theirs = template.options
        carrier = carrier_of(theirs.trace, theirs.trace_state)
        parent = TraceContextTextMapPropagator().extract(carrier) if theirs.trace else None
        noted = Submission()
        about: dict[str, str | int] = {"ctrlhub.function": template.what, "ctrlhub.session": self._session}
        if template.label:
            about["ctrlhub.label"] = template.label
        with self._tracer.start_as_current_span(
            f"submit {template.what}", parent, kind=SpanKind.PRODUCER, attributes=about
        ) as span:
            traced = copy(template)
            own = span.get_span_context()
            traced.options = replace(template.options, trace=parent_of(own), trace_state=state_of(own))
            try:
                yield traced, noted
            finally:
                span.set_attribute("ctrlhub.tasks", noted.tasks)


class Submission:
    """What is noted of a submission while it is made."""

    __slots__ = ("tasks",)

    def __init__(self) -> None:
        self.tasks = 0
