"""Why an engine is gone, in words. No I/O."""

from __future__ import annotations

from ctrlhub.controller.core.sessions import Session
from ctrlhub.wire.limits import MAX_TEXT
from ctrlhub.wire.messages import EngineDied


def of_silence(seconds: float, host: str, *, nanny_too: bool) -> str:
    """Say that nobody has heard of an engine; where its nanny is silent too, what that may mean."""
    cause = f"not heard of for {seconds:g} s"
    return f"{cause}, nor was its nanny: is {host} down, or cut off?" if nanny_too else cause


def of_closed_connection(pid: int, host: str) -> str:
    """Say that a process has ended and that nobody was left to say how."""
    return f"its process ({pid} on {host}) has ended, and so has its nanny, if it had one: nobody said how"


def of_restart(why: str) -> str:
    """Say that somebody has restarted an engine."""
    return f"it was restarted: {why}"


def of_replacement(nanny: Session | None) -> str:
    """Say that another process is in an engine's place, and nobody has told why."""
    if nanny is None:
        return "its process was replaced by a new one"
    return (
        f"its process ended, and its nanny (process {nanny.pid} on {nanny.host}) did not say how: it "
        "has probably ended too"
    )


def last_words(message: EngineDied) -> str:
    """Say what an engine wrote while it ran what it died of: for the client of that alone."""
    return f"\nits last words:\n{message.log[-MAX_TEXT:]}" if message.log else ""
