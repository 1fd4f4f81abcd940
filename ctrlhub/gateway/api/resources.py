"""The shapes of what REST tells: used by the description, and held against answers by tests."""

from __future__ import annotations

from ctrlhub.gateway.api.jobs import ID_PATTERN, REQUEST_ID
from ctrlhub.gateway.api.outcomes import STATES, SUBMITTED
from ctrlhub.gateway.api.schema import (
    Anything,
    Either,
    Flag,
    Integer,
    ListOf,
    MapOf,
    Number,
    Record,
    Text,
    or_null,
)

_ANY_TEXT = Text(2**31)
TIME = Text(40, about="ISO 8601, in UTC")
SOME_TIME = or_null(TIME)
COUNT = Integer(0, about="How many")
ENGINE_ID = Integer(0, 2**31 - 1)
SOME_ENGINE = or_null(ENGINE_ID)

MOST_ENGINES_PATH = 6000
"""So long (characters) engines may be named in a path: of a thousand each has room."""

ENGINES_PATH = Text(
    MOST_ENGINES_PATH, 1, "all|[0-9]{1,9}(,[0-9]{1,9})*", about="Engines: all, or ids with commas between them"
)
ONE_ENGINE_PATH = Integer(0, 2**31 - 1, "The id of an engine")
NAME_PATH = Text(256, 1, r"[^\W\d]\w*", about="A name in the engine's namespace")
SET_PATH = Text(64, 1, "[A-Za-z0-9_.-]+", about="A set of engines")

REMOTE_ERROR = Record(
    {"type": _ANY_TEXT, "message": _ANY_TEXT, "traceback": _ANY_TEXT, "engine": SOME_ENGINE}
)
OUTPUT = {
    "stdout": _ANY_TEXT,
    "stderr": _ANY_TEXT,
    "displays": ListOf(Anything()),
    "execute_result": Anything(),
}
OUTCOME = Record(
    {
        "id": REQUEST_ID,
        "state": Text(choices=STATES),
        "engine": SOME_ENGINE,
        "started": SOME_TIME,
        "completed": SOME_TIME,
        "error": or_null(REMOTE_ERROR),
        "value": Anything("What the function returned"),
        **OUTPUT,
    },
    {"body": Record({"media_type": _ANY_TEXT, "bytes": COUNT}, about="What it returned is no JSON, or too much of it to be told here")},
    about="How a request has ended",
)
PENDING = Record(
    {"id": REQUEST_ID, "state": Text(choices=(SUBMITTED, *STATES)), "href": _ANY_TEXT},
    about="A request that has not ended, as far as is known",
)
ACCEPTED = Record(
    {"ids": ListOf(REQUEST_ID), "results": Text(2**20, about="Where their results are")},
    about="Requests that were accepted: nothing of them is lost",
)
OUTCOMES = Record({"results": ListOf(Either((OUTCOME, PENDING)))})
TASK = Record(
    {
        "id": REQUEST_ID,
        "state": Text(choices=STATES),
        "kind": Text(choices=("task", "command")),
        "action": or_null(_ANY_TEXT),
        "label": or_null(_ANY_TEXT),
        "session": COUNT,
        "engine": SOME_ENGINE,
        "submitted": SOME_TIME,
        "started": SOME_TIME,
        "completed": SOME_TIME,
        "error": or_null(Text(2**20, about="What was wrong, in one line")),
        "stdout": or_null(_ANY_TEXT),
        "stderr": or_null(_ANY_TEXT),
        "request_bytes": or_null(COUNT),
        "result_bytes": or_null(COUNT),
    },
    {"why": Text(2**20, about="Why it does not run, where it runs, or how it has ended")},
    about="What the hub knows of a request",
)
TASKS = Record(
    {"tasks": ListOf(TASK), "next": or_null(Text(40, about="What to pass as `after`"))},
    about="A page of requests",
)
ENGINE = Record(
    {
        "id": ENGINE_ID,
        "pid": Integer(),
        "host": _ANY_TEXT,
        "state": _ANY_TEXT,
        "engine_set": _ANY_TEXT,
    },
    open=True,
    about="An engine",
)
ENGINE_MORE = Record(
    {**ENGINE.required, "now": Record({
        "running": or_null(REQUEST_ID), "commands": ListOf(REQUEST_ID), "tasks": ListOf(REQUEST_ID),
    })},
    open=True,
    about="An engine, and what it has to do",
)  # fmt: skip
ENGINES = Record({"engines": ListOf(ENGINE)})
QUEUES = Record(
    {
        "unassigned": COUNT,
        "engines": ListOf(
            Record({"id": ENGINE_ID, "commands": COUNT, "tasks": COUNT, "completed": COUNT})
        ),
    }
)
HUB = Record(
    {
        "profile": _ANY_TEXT,
        "pid": Integer(),
        "version": _ANY_TEXT,
        "started": SOME_TIME,
        "time": SOME_TIME,
        "engines": COUNT,
        "tasks": Record(dict.fromkeys(("queued", "running", "done", "failed"), COUNT), open=True),
        "trouble": ListOf(_ANY_TEXT),
        "store": Record(open=True),
    }
)
SESSION = Record(
    {
        "session": COUNT,
        "state": Text(choices=("attached", "detached", "vanished")),
        "pid": Integer(),
        "host": _ANY_TEXT,
        "outstanding": COUNT,
        "results": COUNT,
        "expires": SOME_TIME,
    }
)
SESSIONS = Record({"sessions": ListOf(SESSION)})
SETS = Record(
    {"sets": ListOf(Record({"name": _ANY_TEXT, "engines": ListOf(ENGINE_ID)}, open=True))}
)
SCALED = Record({"set": _ANY_TEXT, "engines": ListOf(ENGINE_ID)})
ON_ENGINES = Record({"engines": ListOf(ENGINE_ID)}, about="The engines that it was done to")
STOPPED = Record(
    {name: ListOf(REQUEST_ID) for name in ("cancelled", "interrupted", "finished", "unknown")},
    about="What became of requests that were to be stopped",
)
TASK_OUTPUT = Record({"id": REQUEST_ID, "state": Text(choices=STATES), "complete": Flag(), **OUTPUT})
NAMES = Record(
    {"engines": ListOf(Record({"engine": ENGINE_ID, "names": MapOf(_ANY_TEXT)}))},
    about="The names in the namespaces of engines, and the types of their values",
)

EVENT = Record(
    {},
    dict.fromkeys(("event", "id", "data", "retry"), _ANY_TEXT),
    about="An event of a stream: `data` is the text of an object with `event`, `id`, `time` and `data`",
)

WAIT = Number(0, 60, "Seconds to wait for the result")
LIMIT = Integer(1, 1000, "The most of a page")
ID_LIST = Text(
    4096,
    3,
    rf"{ID_PATTERN}(\.\.{ID_PATTERN})?(,{ID_PATTERN}(\.\.{ID_PATTERN})?)*",
    about="Ids of requests with commas between them; first..last for many",
)
