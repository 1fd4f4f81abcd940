"""Calls that block."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ctrlhub.client.async_result import AsyncResult
from ctrlhub.wire.errors import CtrlHubError


def waited_for(result: AsyncResult) -> Any:
    """Return the value of a call that blocks; Ctrl-C stops the call, since nobody else can."""
    try:
        return result.get()
    except KeyboardInterrupt:
        if not result.done():
            with suppress(CtrlHubError):  # the client is closed, which ends it as well
                result._cancel_later()
        raise
