"""Tasks for whichever engine has room: the task stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ctrlhub.wire.messages.base import Buffer, FunctionRow, Message, RunRow, SubmitRow, TemplateRow
from ctrlhub.wire.record import record


@record
class SubmitTasks(Message):
    """Client to hub: a batch of tasks. `after` is the last command the client sent before (0: none)."""

    kind: ClassVar[str] = "submit_tasks"
    templates: Sequence[TemplateRow]
    rows: Sequence[SubmitRow]
    functions: Sequence[FunctionRow] = ()
    after: int = 0
    frames: Sequence[Buffer] = ()


@record
class RunTasks(Message):
    """Hub to engine: tasks to run, in this order."""

    kind: ClassVar[str] = "run_tasks"
    templates: Sequence[TemplateRow]
    rows: Sequence[RunRow]
    functions: Sequence[FunctionRow] = ()
    frames: Sequence[Buffer] = ()
