"""Data that code on an engine publishes while it runs: `ctrlhub.datapub`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ctrlhub.engine.output import Output
from ctrlhub.wire.serialize import dumps_inline

_output: Output | None = None


def offer(output: Output) -> None:
    """Make this process one where `publish_data` works."""
    global _output
    _output = output


def publish_data(data: Mapping[str, Any]) -> None:
    """Let the client see values while this runs: they are items of ``result.data`` there.

    Parameters
    ----------
    data
        Values by name; each takes the place of what was published by that name before.

    Raises
    ------
    RuntimeError
        This is not an engine.
    LimitExceeded
        The values are too large to be published.
    """
    if _output is None:
        raise RuntimeError("publish_data() is for code that runs on an engine")
    for name in data:
        if not isinstance(name, str):
            raise TypeError(f"names must be text, not {type(name).__name__}")
    _output.add_data({name: dumps_inline(value) for name, value in data.items()})
