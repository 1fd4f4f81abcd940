"""Tasks and commands to messages: batches within the limits of the wire."""

from __future__ import annotations

from collections.abc import Sequence

from ctrlhub.client.hook_request import StartHookRequest
from ctrlhub.client.requests import CommandRequest, Function, Template
from ctrlhub.wire.codec import FrameList, size_of
from ctrlhub.wire.limits import BATCH_BYTES, BATCH_ROWS, INLINE_BYTES
from ctrlhub.wire.messages import (
    Command,
    FunctionRow,
    Payload,
    StartHook,
    Stream,
    SubmitRow,
    SubmitTasks,
    TemplateRow,
)
from ctrlhub.wire.options import PLAIN


def rows_for(
    functions: Sequence[Function], frames: FrameList, stream: Stream, generation: int
) -> list[FunctionRow]:
    """Return the rows of those functions that were not sent on a stream in this generation."""
    rows = []
    for function in functions:
        if function.sent.get(stream) != generation:
            function.sent[stream] = generation
            rows.append((function.digest, frames.add(function.blob)))
    return rows


class TaskBatch:
    """One `SubmitTasks` under construction.

    Parameters
    ----------
    after
        The last command that was given before these tasks and has not ended, or 0.
    generation
        The session's generation: what was sent in another one counts as not sent.

    Attributes
    ----------
    rows : list
        What was added so far.
    full : bool
        Whether nothing more should be added.
    """

    __slots__ = ("_frames", "_generation", "_last", "_size", "_templates", "after", "full", "rows")

    def __init__(self, after: int, generation: int) -> None:
        self.after = after
        self.full = False
        self.rows: list[SubmitRow] = []
        self._generation = generation
        self._templates: dict[Template, int] = {}
        self._frames = FrameList()
        self._size = 0
        # Most batches are of one call: what they share is looked up once.
        self._last: tuple[Template | None, int] = None, 0

    def add(self, number: int, template: Template, payload: Payload) -> None:
        """Add a task."""
        last, index = self._last
        if template is not last:
            index = self._templates.setdefault(template, len(self._templates))
            self._last = template, index
        rows = self.rows
        if type(payload) is bytes and len(payload) <= INLINE_BYTES:
            rows.append((number, index, payload))
            self._size += len(payload)
        else:
            rows.append((number, index, self._frames.add(payload)))
            self._size += size_of(payload)
        if self._size >= BATCH_BYTES or len(rows) >= BATCH_ROWS:
            self.full = True

    def message(self) -> SubmitTasks:
        """Return the message."""
        templates = [_template_row(template) for template in self._templates]
        functions = list(dict.fromkeys(t.function for t in self._templates))
        return SubmitTasks(
            templates=templates,
            rows=self.rows,
            functions=rows_for(functions, self._frames, Stream.TASK, self._generation),
            after=self.after,
            frames=self._frames.frames,
        )


def _template_row(template: Template) -> TemplateRow:
    row = (
        template.function.digest, template.retries, template.engine_retries, template.label or "",
    )  # fmt: skip
    return row if template.options is PLAIN else (*row, template.options.to_wire())


def command_message(
    command: CommandRequest | StartHookRequest,
    first: int,
    last: int,
    generation: int,
    *,
    resent: bool = False,
) -> Command | StartHook:
    """Return the message for the rows `first` to `last` of a command; `resent`: another hub had it."""
    if isinstance(command, StartHookRequest):
        return command.message()
    targets, payloads = command.part(first, last)
    frames = FrameList()
    refs = [frames.add(payload) for payload in payloads]
    functions = [command.function] if command.function is not None else []
    return Command(
        first=first,
        targets=targets,
        action=command.action,
        payloads=refs,
        function=command.function.digest if command.function is not None else b"",
        functions=rows_for(functions, frames, Stream.MULTIENGINE, generation),
        label=command.label,
        stop_on_error=command.stop_on_error,
        resent=resent,
        frames=frames.frames,
    )
