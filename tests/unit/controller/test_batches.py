"""Batches of tasks for engines: within the limits of the wire."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ctrlhub.controller.core.functions import Function, FunctionTable
from ctrlhub.controller.core.tasks import Task, Template
from ctrlhub.controller.interfaces.batches import run_messages
from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.limits import BATCH_ROWS
from ctrlhub.wire.messages import RunTasks


def test_tasks_of_many_functions_can_be_read() -> None:
    """Each with a closure of its own: together too much for a header."""
    engine: Any = SimpleNamespace(id=0)
    client: Any = None
    functions = [Function(b"%016d" % n, bytes(50_000)) for n in range(BATCH_ROWS)]
    tasks = [Task(n, client, Template(f, 0, 0, "", 0.0), b"") for n, f in enumerate(functions)]

    carried: list[bytes] = []
    for message in run_messages(engine, tasks, FunctionTable(), {}):
        header, *frames = encode(message)
        read = decode(header, frames)
        assert isinstance(read, RunTasks)
        carried += [row[0] for row in read.functions]

    assert carried == [f.digest for f in functions]
