"""Calls that block."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.short_traceback import shortened
from ctrlhub.wire.errors import CtrlHubError


def waited_for(result: AsyncResult) -> Any:
    """Return the value of a call that blocks; Ctrl-C stops the call, since nobody else can."""
    __tracebackhide__ = True
    try:
        return result.get()
    except KeyboardInterrupt as stop:
        if not result.done():
            with suppress(CtrlHubError):  # the client is closed, which ends it as well
                result._cancel_later()
        raise shortened(stop)  # noqa: B904 - it is the same
