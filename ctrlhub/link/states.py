"""The words of a membership: where a peer stands, and what its link is to do."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from ctrlhub.wire.messages import CLIENT_ROLES, Role, Stream

UNKNOWN_SESSION = "unknown_session"
"""The code by which the hub refuses a token: it knows no such session (any more)."""

KEY_NOT_LIVE = "authentication"
"""The code by which the hub refuses what comes with a key that it has forgotten or revoked."""

HELLO_STREAMS: Mapping[str, tuple[Stream, ...]] = {
    Role.ENGINE.value: (Stream.MULTIENGINE, Stream.TASK),
    **dict.fromkeys(
        (role.value for role in CLIENT_ROLES), (Stream.MULTIENGINE, Stream.TASK, Stream.IOPUB)
    ),
    Role.NANNY.value: (),
}
"""The streams on which each role says hello."""


class State(Enum):
    """Where a peer stands with the hub."""

    NEW = "not started"
    ENROLLING = "waiting for the hub to accept our key"
    REGISTERING = "waiting for the hub to let us in"
    JOINED = "joined"
    SILENT = "joined once, and the hub has been silent for too long"
    GONE = "left, or refused"


LEGAL: Mapping[State, frozenset[State]] = {
    State.NEW: frozenset({State.ENROLLING, State.REGISTERING, State.GONE}),
    State.ENROLLING: frozenset({State.REGISTERING, State.GONE}),
    State.REGISTERING: frozenset({State.JOINED, State.SILENT, State.ENROLLING, State.GONE}),
    State.JOINED: frozenset({State.JOINED, State.REGISTERING, State.ENROLLING, State.GONE}),
    State.SILENT: frozenset({State.JOINED, State.ENROLLING, State.GONE}),
    State.GONE: frozenset(),
}
"""From each state, where a peer may go."""


class LinkAction(Enum):
    """What the shell does with the link, before it sends."""

    ENROLLED = "open all streams under our own key"
    ENROL_AGAIN = "go back to the enrolment key"
