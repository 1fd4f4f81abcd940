"""Batches: tasks on their way to an engine, as few messages as the limits of the wire allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.functions import FunctionTable, function_rows
from ctrlhub.controller.core.tasks import Task, Template
from ctrlhub.wire.codec import FrameList, size_of
from ctrlhub.wire.limits import BATCH_BYTES, BATCH_ROWS, MAX_FRAMES
from ctrlhub.wire.messages import RunRow, RunTasks

MOST_FRAMES = MAX_FRAMES // 2
"""A batch is closed at this many frames; what is left is for functions."""


def run_messages(
    engine: Engine, tasks: Sequence[Task], functions: FunctionTable
) -> Iterator[RunTasks]:
    """Yield the messages that give tasks to an engine, with the functions it lacks."""
    rows: list[RunRow] = []
    templates: dict[Template, int] = {}
    frames = FrameList()
    size = 0
    for task in tasks:
        payload = task.payload
        more = 0 if isinstance(payload, bytes) else len(payload)
        if rows and (
            size >= BATCH_BYTES
            or len(rows) >= BATCH_ROWS
            or len(frames.frames) + more > MOST_FRAMES
        ):
            yield _message(engine, templates, rows, frames, functions)
            rows, templates, frames, size = [], {}, FrameList(), 0
        index = templates.setdefault(task.template, len(templates))
        rows.append((task.id, task.attempt, index, frames.add(payload)))
        size += len(payload) if type(payload) is bytes else size_of(payload)
    if rows:
        yield _message(engine, templates, rows, frames, functions)


def _message(
    engine: Engine,
    templates: dict[Template, int],
    rows: list[RunRow],
    frames: FrameList,
    functions: FunctionTable,
) -> RunTasks:
    fresh = functions.unknown_to(engine.id, {t.function: None for t in templates})
    return RunTasks(
        templates=[(t.function.digest, t.retries, t.engine_retries, t.label) for t in templates],
        rows=rows,
        functions=function_rows(fresh, frames),
        frames=frames.frames,
    )
