"""What tests of asyncio share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

PATIENCE = 60.0
"""How long (seconds) a coroutine of a test may take."""


def _by_value() -> Callable[[int], int]:
    """Return a function that engines need not import."""

    def odd(n: int) -> int:
        if n % 2 == 0:
            raise ValueError(n)
        return n

    return odd


odd = _by_value()
"""Returns an odd number, and fails with others."""


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine, within the patience of a test."""
    return asyncio.run(asyncio.wait_for(main, PATIENCE))
