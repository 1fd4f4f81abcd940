"""Batches: tasks on their way to an engine, as few messages as the limits of the wire allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.functions import FunctionTable, function_rows
from ctrlhub.controller.core.tasks import Task, Template
from ctrlhub.wire.codec import FrameList, size_of
from ctrlhub.wire.limits import BATCH_BYTES, BATCH_ROWS, MAX_FRAMES
from ctrlhub.wire.messages import Payload, PayloadRef, RunRow, RunTasks, TemplateRow

MOST_FRAMES = MAX_FRAMES // 2
"""A batch is closed at this many frames; what is left is for functions."""


class Times(NamedTuple):
    """The hub's clock, and what it lacks to Unix time (seconds)."""

    now: float
    unix_offset: float


NO_TIMES = Times(0.0, 0.0)


def run_messages(
    engine: Engine,
    tasks: Sequence[Task],
    functions: FunctionTable,
    values: Mapping[Task, Mapping[int, Payload]],
    times: Times = NO_TIMES,
) -> Iterator[RunTasks]:
    """Yield the messages that give tasks to an engine, with the functions it lacks.

    Parameters
    ----------
    engine
        The engine.
    tasks
        The tasks.
    functions
        All functions, and who has them.
    values
        The values of other requests that tasks are called with.
    times
        What time it is, for tasks with a trace.
    """
    rows: list[RunRow] = []
    templates: dict[Template, int] = {}
    lent: dict[int, PayloadRef] = {}
    frames = FrameList()
    size = 0
    for task in tasks:
        payload = task.payload
        more = 0 if isinstance(payload, bytes) else len(payload)
        if values and task in values:
            more += sum(1 if isinstance(v, bytes) else len(v) for v in values[task].values())
        if rows and (
            size >= BATCH_BYTES
            or len(rows) >= BATCH_ROWS
            or len(frames.frames) + more > MOST_FRAMES
        ):
            yield _message(engine, templates, rows, frames, functions, lent, times)
            rows, templates, frames, size, lent = [], {}, FrameList(), 0, {}
        index = templates.setdefault(task.template, len(templates))
        rows.append((task.id, task.attempt, index, frames.add(payload)))
        size += len(payload) if type(payload) is bytes else size_of(payload)
        if values and task in values:
            for number, value in values[task].items():
                if number not in lent:
                    lent[number] = frames.add(value)
                    size += size_of(value)
    if rows:
        yield _message(engine, templates, rows, frames, functions, lent, times)


def _message(
    engine: Engine,
    templates: dict[Template, int],
    rows: list[RunRow],
    frames: FrameList,
    functions: FunctionTable,
    lent: Mapping[int, PayloadRef],
    times: Times,
) -> RunTasks:
    fresh = functions.unknown_to(engine.id, {t.function: None for t in templates})
    return RunTasks(
        templates=[_template_row(template, times) for template in templates],
        rows=rows,
        functions=function_rows(fresh, frames),
        values=tuple(lent.items()),
        frames=frames.frames,
    )


def _template_row(template: Template, times: Times) -> TemplateRow:
    """Return what the engine needs to know of a template."""
    row = template.function.digest, template.retries, template.engine_retries, template.label
    arguments, trace = template.options.arguments, template.options.trace
    if not arguments and not trace:
        return row
    options: dict[str, Any] = {"arguments": arguments} if arguments else {}
    if trace:  # the engine makes the span of the time here: nothing is exported in this loop
        offset = times.unix_offset
        options |= {"trace": trace, "queued": template.submitted + offset, "given": times.now + offset}
        if template.options.trace_state:
            options["trace_state"] = template.options.trace_state
    return (*row, options)
