"""Times that users give, in seconds."""

from __future__ import annotations

from typing import Any

from ctrlhub.wire.messages import Stream
from ctrlhub.wire.options import LONGEST, is_duration


def check_seconds(name: str, value: Any) -> None:
    """Make sure that something can be a number of seconds, or None.

    Raises
    ------
    TypeError, ValueError
        It cannot.
    """
    if value is None:
        return
    if type(value) not in (int, float):
        raise TypeError(f"{name} must be a number of seconds or None, not {value!r}")
    if not is_duration(value) or (value == 0 and name == "time_limit"):
        raise ValueError(f"{name} must lie between 0 and {LONGEST:g} seconds, not {value!r}")


def check_grace(grace: Any, stream: Stream) -> None:
    """Make sure that what is stopped can have a time of grace.

    Raises
    ------
    TypeError, ValueError
        It is no number of seconds, or there is one for commands.
    """
    check_seconds("grace", grace)
    if grace is not None and stream is Stream.MULTIENGINE:
        raise ValueError(
            "only tasks have a grace: a command that does not heed its interrupt, and its engine's "
            "namespace with it, are ended by client.restart()"
        )
