"""How the command ends: its exit codes, and which error has which."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes; `meaning` is what ``ctrl-hub --help`` says."""

    OK = 0
    ERROR = 1
    USAGE = 2
    NOT_RUNNING = 3
    ALREADY_RUNNING = 4
    START_FAILED = 5
    NOT_ANSWERING = 6
    BAD_STATE = 7
    REFUSED = 8
    STOP_FAILED = 9
    NOT_IN_TIME = 10
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """What it says, in a few words."""
        return _MEANINGS[self]


_MEANINGS = {
    Exit.OK: "done",
    Exit.ERROR: "an error that has no code of its own",
    Exit.USAGE: "unknown command or option, or a wrong value",
    Exit.NOT_RUNNING: "no cluster of this profile is running",
    Exit.ALREADY_RUNNING: "this profile has a running cluster already",
    Exit.START_FAILED: "hub or engines did not start (a port was taken, say)",
    Exit.NOT_ANSWERING: "the hub does not answer",
    Exit.BAD_STATE: "a file or directory is unreadable, malformed or open to others",
    Exit.REFUSED: "the hub refused: its key, protocol or version is another, or it is full",
    Exit.STOP_FAILED: "something of the cluster could not be stopped from here",
    Exit.NOT_IN_TIME: "what was waited for has not come, or not ended, in the time that it had",
    Exit.INTERRUPTED: "interrupted by Ctrl-C",
}


def exit_of(error: Exception) -> Exit | None:
    """Give the exit code of an error of ctrl-hub's, or of a wait that was too long; None for any other kind."""
    from ctrlhub.cluster.errors import StartFailed, StopFailed
    from ctrlhub.wire import errors
    from ctrlhub.wire.private import StateError

    # The more special class first.
    codes: tuple[tuple[type[Exception], Exit], ...] = (
        (errors.AlreadyRunning, Exit.ALREADY_RUNNING),
        (errors.HubNotFound, Exit.NOT_RUNNING),
        (errors.ControllerStopped, Exit.NOT_RUNNING),
        (errors.HubUnavailable, Exit.NOT_ANSWERING),
        (errors.ConnectionFileError, Exit.BAD_STATE),
        (StateError, Exit.BAD_STATE),
        (errors.StoreError, Exit.BAD_STATE),
        (errors.AuthenticationError, Exit.REFUSED),
        (errors.ProtocolMismatch, Exit.REFUSED),
        (errors.VersionMismatch, Exit.REFUSED),
        (errors.RegistrationRefused, Exit.REFUSED),
        (StartFailed, Exit.START_FAILED),
        (StopFailed, Exit.STOP_FAILED),
        (errors.CtrlHubError, Exit.ERROR),
        (TimeoutError, Exit.NOT_IN_TIME),
    )
    for kind, code in codes:
        if isinstance(error, kind):
            return code
    return None
