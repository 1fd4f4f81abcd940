"""Tasks for whichever engine has room: the task stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ctrlhub.wire.ids import Ranges
from ctrlhub.wire.messages.base import (
    Buffer,
    FunctionRow,
    Message,
    RunRow,
    SubmitRow,
    TemplateRow,
    ValueRow,
)
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
    """Hub to engine: tasks to run, in this order, and the values of others that they are called with."""

    kind: ClassVar[str] = "run_tasks"
    templates: Sequence[TemplateRow]
    rows: Sequence[RunRow]
    functions: Sequence[FunctionRow] = ()
    values: Sequence[ValueRow] = ()
    frames: Sequence[Buffer] = ()


@record
class GiveBack(Message):
    """Hub to engine: give back so many of the tasks that have not begun, the last first."""

    kind: ClassVar[str] = "give_back"
    most: int


@record
class GaveBack(Message):
    """Engine to hub: the answer to `GiveBack`. These tasks will not begin here; none is possible."""

    kind: ClassVar[str] = "gave_back"
    requests: Ranges
