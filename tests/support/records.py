"""Records of the hub's machines, made by hand."""

from __future__ import annotations

import itertools
from typing import Any

from ctrlhub.controller.core.effects import Connection, Outbox, Send
from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.functions import Function
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.core.tasks import Task, Template
from ctrlhub.wire.messages import Message, Role, Stream

_numbers = itertools.count(1)


def a_session(role: Role = Role.ADMIN, number: int = 0, *, connected: bool = True) -> Session:
    """Return a session that has, or has not, a connection on each stream."""
    number = number or next(_numbers)
    session = Session(
        number, role, f"key {number}", b"token", b"life", 1, "here", {}, False
    )
    if connected:
        for stream in Stream:
            session.connections[stream] = Connection(0, stream, b"%d" % number)
    return session


def an_engine(number: int = 0) -> Engine:
    """Return an engine that may be given tasks."""
    engine = Engine(f"engine {number}", a_session(Role.ENGINE))
    engine.id = number
    engine.session.engine = engine
    return engine


def a_template(function: Function | None = None, **fields: Any) -> Template:
    """Return a template; its function was never seen, unless given."""
    function = function or Function(b"f", b"code")
    return Template(function, fields.get("retries", 0), fields.get("engine_retries", 3), "", 0.0)


def some_tasks(count: int, template: Template | None = None, first: int = 1) -> list[Task]:
    """Return queued tasks with consecutive ids."""
    template, session = template or a_template(), a_session()
    return [Task(first + k, session, template, b"arguments") for k in range(count)]


def sent(outbox: Outbox) -> list[Message]:
    """Take the messages of an outbox."""
    return [effect.message for effect in outbox.take() if isinstance(effect, Send)]
