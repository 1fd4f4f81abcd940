"""What is to be run, as a body of REST says it, checked. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from ctrlhub.gateway.api.schema import (
    Anything,
    Either,
    Integer,
    ListOf,
    MapOf,
    Number,
    Record,
    Shape,
    Text,
    or_null,
)
from ctrlhub.wire.options import (
    LONGEST_RESOURCE,
    LONGEST_STATE,
    LONGEST_TRACE,
    MOST_AMOUNT,
    MOST_PRIORITY,
    MOST_RESOURCES,
)

MOST_TASKS = 100_000
"""So many tasks may be submitted with one body."""

MOST_RETRIES = 2**31 - 1
SECONDS = 1e9
"""The longest time that can be said."""

_SESSION = "(?:[0-9]{1,6}|[0-7][0-9]{6}|8[0-2][0-9]{5}|83[0-7][0-9]{4}|838[0-7][0-9]{3}|8388[0-5][0-9]{2})"
ID_PATTERN = f"{_SESSION}-[0-9]{{1,12}}"
"""Of numbers that can be: a session's has 23 bits, and that of a request in it 40."""

REQUEST_ID = Text(40, 3, ID_PATTERN, about="The id of a request, such as 7-42")
FUNCTION = Text(
    1024,
    1,
    r"[^\W\d]\w*(\.[^\W\d]\w*)*(:[^\W\d]\w*(\.[^\W\d]\w*)*)?",
    about="module:name, or a name in the engine's namespace, a builtin, or module.name",
)
ARGS = ListOf(Anything(), about="The positional arguments")
KWARGS = MapOf(Anything(), about="The arguments by name")
LABEL = Text(256, about="A label, for people; without one it is the function's name")

OPTIONS: Mapping[str, Shape] = {
    "label": or_null(LABEL),
    "priority": Integer(-MOST_PRIORITY, MOST_PRIORITY, "Tasks of a higher one go first"),
    "timeout": or_null(Number(0, SECONDS, "Seconds in the queue, then it fails")),
    "time_limit": or_null(Number(0, SECONDS, "Seconds that it may run, then it is interrupted", above=True)),
    "grace": or_null(Number(0, SECONDS, "Seconds after an interrupt, then its engine is killed")),
    "retries": Integer(0, MOST_RETRIES, "How often it is run again after it raised"),
    "engine_retries": Integer(0, MOST_RETRIES, "How often it is run again after its engine was lost"),
    "targets": or_null(ListOf(Integer(0, 2**31 - 1), 4096, 1, about="The engines that may run it")),
    "after": ListOf(REQUEST_ID, 1024, about="Requests that it waits for"),
    "follow": ListOf(REQUEST_ID, 1024, about="Requests that it waits for, and runs where they ran"),
    "resources": MapOf(
        Number(0, MOST_AMOUNT, above=True), MOST_RESOURCES, "What its engine must have", Text(LONGEST_RESOURCE // 4, 1)
    ),
}
"""The options of a task."""

TASK = Record(
    {"function": FUNCTION}, {"args": ARGS, "kwargs": KWARGS, **OPTIONS}, about="A call of a function"
)
MAP = Record(
    {"function": FUNCTION, "map": ListOf(ARGS, MOST_TASKS, 1, "The arguments of each task")},
    {"kwargs": KWARGS, **OPTIONS},
    about="Many calls of one function",
)
TRACEPARENT = Text(LONGEST_TRACE, about="The span that the tasks belong to, as W3C Trace Context says it")
TRACESTATE = Text(LONGEST_STATE, about="What goes with that, as W3C Trace Context says it")
_TRACE = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]*)?")

_STATE = re.compile(r"[\t -~]*")

TRACE = "trace"
"""Among the options of a batch, beside the flags of a view: the span that its tasks belong to, and its state."""

SUBMISSION = Either((TASK, MAP, ListOf(TASK, MOST_TASKS, 1)))
APPLY = Record(
    {"function": FUNCTION}, {"args": ARGS, "kwargs": KWARGS, "label": or_null(LABEL)}
)  # fmt: skip
EXECUTE = Record({"code": Text(16 * 1024 * 1024)}, {"label": or_null(LABEL)})


@dataclass(frozen=True, slots=True)
class Job:
    """One task.

    Parameters
    ----------
    function
        The name of what is called.
    arguments
        JSON of the positional arguments and those by name.
    """

    function: str
    arguments: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """Tasks that share their options.

    Parameters
    ----------
    options
        The flags of a load-balanced view.
    jobs
        The tasks.
    """

    options: Mapping[str, Any]
    jobs: Sequence[Job]


def batches_of(body: Any) -> list[Batch]:
    """Return what a body that fits `SUBMISSION` says, in order."""
    if isinstance(body, Mapping) and "map" in body:
        kwargs = _json(body.get("kwargs", {}))
        jobs = [_job(body["function"], args, kwargs) for args in body["map"]]
        return [Batch(options_of(body), jobs)]
    tasks = [body] if isinstance(body, Mapping) else body
    return [Batch(options, list(jobs)) for options, jobs in _runs(tasks)]


def _runs(tasks: Iterable[Mapping[str, Any]]) -> Iterator[tuple[dict[str, Any], Iterator[Job]]]:
    for options, some in groupby(tasks, options_of):
        yield options, (job_of(task) for task in some)


def traced(batches: Iterable[Batch], parent: str, state: str = "") -> list[Batch]:
    """Return batches whose tasks belong to a span, as headers name it; what names none is not heeded."""
    own = (parent, state if _STATE.fullmatch(state) else "")
    more = {TRACE: own} if _TRACE.fullmatch(parent) else {}
    return [replace(batch, options={**batch.options, **more}) for batch in batches]


def some_of(batches: Iterable[Batch], wanted: Sequence[bool]) -> list[Batch]:
    """Return those tasks of batches, in order, that are wanted."""
    every = ((batch.options, job) for batch in batches for job in batch.jobs)
    chosen = [each for each, is_wanted in zip(every, wanted, strict=True) if is_wanted]
    return [
        Batch(options, [job for _, job in some]) for options, some in groupby(chosen, lambda each: each[0])
    ]


def job_of(body: Mapping[str, Any]) -> Job:
    """Return the call that a body says."""
    return _job(body["function"], body.get("args", []), _json(body.get("kwargs", {})))


def options_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flags of a view that a body says."""
    options = {name: body[name] for name in OPTIONS if body.get(name) is not None}
    for name in ("after", "follow"):
        if not options.get(name):
            options.pop(name, None)
    for name in ("priority", "retries", "engine_retries"):  # 3.0 is whole, too
        if name in options:
            options[name] = int(options[name])
    if "targets" in options:
        options["targets"] = [int(each) for each in options["targets"]]
    return {"label": body["function"][:256], **options}


def _job(function: str, args: Any, kwargs: bytes) -> Job:
    return Job(function, b"[" + _json(args) + b"," + kwargs + b"]")


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
