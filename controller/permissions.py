"""Which peer may say what, and on which stream: a table."""

from __future__ import annotations

from collections.abc import Mapping

from ctrlhub.controller.core.effects import Connection
from ctrlhub.wire import messages as m
from ctrlhub.wire.errors import AuthenticationError, CtrlHubError, PermissionDenied
from ctrlhub.wire.record import record

ANYONE = frozenset(m.Role)
ENGINES = frozenset({m.Role.ENGINE})
CLIENTS = frozenset(m.CLIENT_ROLES)
SUBMITTERS = frozenset({m.Role.ADMIN, m.Role.SUBMIT})
NANNIES = frozenset({m.Role.NANNY})
BOTH_ENDS = ENGINES | CLIENTS
WORKERS = ENGINES | SUBMITTERS

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
    m.Command: (COMMANDS, SUBMITTERS),
    m.StartHook: (COMMANDS, SUBMITTERS),
    m.SubmitTasks: (TASKS, SUBMITTERS),
    m.Received: (BULK, CLIENTS),
    m.Functions: (BULK, SUBMITTERS),
    m.Results: (BULK, ENGINES),
    m.GaveBack: (TASKS, ENGINES),
    m.Output: (BULK, ENGINES),
    m.OutputReceived: (BULK, CLIENTS),
    m.LogRecords: (COMMANDS, ENGINES),
    m.Lent: (COMMANDS, ENGINES),
    m.NeedFunctions: (BULK, ENGINES),
    m.Part: (BULK, WORKERS),
    m.PartsTaken: (BULK, BOTH_ENDS),
}
"""On which streams, and from which roles, a message is heard. All others go hub to peer.

`Enrol` stands outside: it comes with a key that has no role yet."""

NOWHERE: tuple[frozenset[m.Stream], frozenset[m.Role]] = (frozenset(), frozenset())


def refusal(role: m.Role, kind: type[m.Message], stream: m.Stream) -> CtrlHubError:
    """Return the error about a message that is not heard from this role on this stream."""
    streams, roles = PERMITTED.get(kind, NOWHERE)
    needed = [each for each in m.CLIENT_ROLES if each in roles]
    if role.is_client and needed and stream in streams:
        return PermissionDenied.of(role.value, kind.kind, needed[-1].value)
    return AuthenticationError(
        f"a peer of role {role.value!r} may not send {kind.kind!r} on stream {stream.value!r}"
    )


@record
class Origin:
    """Where a message came from, as its transport vouches.

    `user` is the public key that CURVE proved for this message, None where the kernel separates
    users instead (ipc, memory).
    """

    connection: Connection
    user: str | None = None
