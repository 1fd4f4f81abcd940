"""Which peer may say what, and on which stream: a table."""

from __future__ import annotations

from collections.abc import Mapping

from ctrlhub.controller.core.effects import Connection
from ctrlhub.wire import messages as m
from ctrlhub.wire.record import record

ANYONE = frozenset(m.Role)
ENGINES = frozenset({m.Role.ENGINE})
CLIENTS = frozenset({m.Role.CLIENT})
NANNIES = frozenset({m.Role.NANNY})
BOTH_ENDS = ENGINES | CLIENTS

HUB = frozenset({m.Stream.HUB})
COMMANDS = frozenset({m.Stream.MULTIENGINE})
TASKS = frozenset({m.Stream.TASK})
IOPUB = frozenset({m.Stream.IOPUB})
BULK = COMMANDS | TASKS

PERMITTED: Mapping[type[m.Message], tuple[frozenset[m.Stream], frozenset[m.Role]]] = {
    m.Register: (HUB, ANYONE),
    m.Hello: (BULK | IOPUB, BOTH_ENDS),
    m.Beat: (HUB, ANYONE),
    m.Goodbye: (HUB, ANYONE),
    m.EngineDied: (HUB, NANNIES),
    m.Drain: (HUB, NANNIES),
    m.Call: (HUB, CLIENTS),
    m.Command: (COMMANDS, CLIENTS),
    m.StartHook: (COMMANDS, CLIENTS),
    m.SubmitTasks: (TASKS, CLIENTS),
    m.Received: (BULK, CLIENTS),
    m.Functions: (BULK, CLIENTS),
    m.Results: (BULK, ENGINES),
    m.GaveBack: (TASKS, ENGINES),
    m.Output: (BULK, ENGINES),
    m.OutputReceived: (BULK, CLIENTS),
    m.LogRecords: (COMMANDS, ENGINES),
    m.Lent: (COMMANDS, ENGINES),
    m.NeedFunctions: (BULK, ENGINES),
    m.Part: (BULK, BOTH_ENDS),
    m.PartsTaken: (BULK, BOTH_ENDS),
}
"""On which streams, and from which roles, a message is heard. All others go hub to peer.

`Enrol` stands outside: it comes with a key that has no role yet."""

NOWHERE: tuple[frozenset[m.Stream], frozenset[m.Role]] = (frozenset(), frozenset())


@record
class Origin:
    """Where a message came from, as its transport vouches.

    `user` is the public key that CURVE proved for this message, None where the kernel separates
    users instead (ipc, memory).
    """

    connection: Connection
    user: str | None = None
