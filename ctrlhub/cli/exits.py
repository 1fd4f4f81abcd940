"""How the command ends: its exit codes, and which error has which."""

from __future__ import annotations

import sys
from enum import IntEnum
from typing import IO, Any

import click


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
    Exit.REFUSED: "the hub refused: its key, protocol or version is another",
    Exit.STOP_FAILED: "something of the cluster could not be stopped from here",
    Exit.INTERRUPTED: "interrupted by Ctrl-C",
}


class Failure(click.ClickException):
    """An error with its exit code, shown as one message.

    Parameters
    ----------
    code
        The exit code.
    message
        What happened, and what to do.
    """

    def __init__(self, code: Exit, message: str) -> None:
        super().__init__(message)
        self.exit_code = code

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the message to standard error."""
        click.echo(f"ctrl-hub: {self.format_message()}", file=file or sys.stderr)


def as_failure(error: Exception) -> Failure | None:
    """Give the failure that an error of ctrl-hub's is shown as; None for an error of any other kind."""
    from ctrlhub.cluster.errors import StartFailed, StopFailed
    from ctrlhub.wire import errors
    from ctrlhub.wire.private import StateError

    # The more special class first.
    codes: tuple[tuple[type[Exception], Exit], ...] = (
        (errors.AlreadyRunning, Exit.ALREADY_RUNNING),
        (errors.HubNotFound, Exit.NOT_RUNNING),
        (errors.HubUnavailable, Exit.NOT_ANSWERING),
        (errors.ConnectionFileError, Exit.BAD_STATE),
        (StateError, Exit.BAD_STATE),
        (errors.AuthenticationError, Exit.REFUSED),
        (errors.ProtocolMismatch, Exit.REFUSED),
        (errors.VersionMismatch, Exit.REFUSED),
        (errors.RegistrationRefused, Exit.REFUSED),
        (StartFailed, Exit.START_FAILED),
        (StopFailed, Exit.STOP_FAILED),
        (errors.CtrlHubError, Exit.ERROR),
    )
    for kind, code in codes:
        if isinstance(error, kind):
            return Failure(code, str(error))
    return None
