"""What can go wrong with a whole cluster, beyond the errors that travel (`ctrlhub.wire.errors`)."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor

from ctrlhub.wire.errors import CtrlHubError


class ClusterError(CtrlHubError):
    """A cluster could not be started, or not be stopped."""


class NoSuchSet(ClusterError):
    """There is no set of engines of this name."""

    code = "not_found"


class StartFailed(ClusterError):
    """A cluster did not become ready; nothing of it was left running.

    Parameters
    ----------
    message
        What happened, and what to do.
    log
        The last lines of what the process at fault wrote.
    """

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message, log)
        self.message = message
        self.log = log

    def __str__(self) -> str:
        if not self.log:
            return self.message
        quoted = "\n".join(f"  | {line}" for line in self.log.splitlines())
        return f"{self.message}; its last lines:\n{quoted}"


class BornDead(StartFailed):
    """Engines have died as they were started, each time that it was tried; others may be there.

    Parameters
    ----------
    message, log
        As for `StartFailed`.
    there
        How many are there.
    """

    def __init__(self, message: str, log: str = "", there: int = 0) -> None:
        super().__init__(message, log)
        self.args = message, log, there  # what a copy is made of
        self.there = there


class StopFailed(ClusterError):
    """Something of a cluster is still there, and cannot be ended from here."""


class InitializerFailed(ClusterError, BrokenExecutor):
    """The initializer of an `Executor` failed on an engine, and it takes nothing any more."""


class LauncherError(ClusterError):
    """Engines could not be started, asked about or told something by their launcher."""
