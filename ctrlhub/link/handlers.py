"""Signals for which a program has handlers, which may raise between any two instructions."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # typeshed lacks it
import signal
from collections.abc import Callable, Iterable
from typing import Any

ALARMS = tuple(
    int(getattr(signal, name))
    for name in ("SIGALRM", "SIGHUP", "SIGPROF", "SIGUSR1", "SIGUSR2", "SIGVTALRM")
    if hasattr(signal, name)
)
"""Those besides Ctrl-C and SIGTERM."""


# Both as they are beneath the wrappers of `signal`, which make enumerations of numbers: looking at
# eight signals with these takes longer than all else that a wait does.
get_handler: Callable[[int], Any] = _signal.getsignal
set_handler: Callable[[int, Any], Any] = _signal.signal

_PLAIN = (int(signal.SIG_DFL), int(signal.SIG_IGN))


def are_handled(signals: Iterable[int]) -> bool:
    """Say whether one of them has a handler, in Python or in C."""
    for number in signals:  # noqa: SIM110 - a generator costs more than the question
        if get_handler(number) not in _PLAIN:
            return True
    return False
