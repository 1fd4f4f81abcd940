"""Signals for which a program has handlers, which may raise between any two instructions."""

from __future__ import annotations

import signal
from collections.abc import Iterable

ALARMS = tuple(
    getattr(signal, name)
    for name in ("SIGALRM", "SIGHUP", "SIGPROF", "SIGUSR1", "SIGUSR2", "SIGVTALRM")
    if hasattr(signal, name)
)
"""Those besides Ctrl-C and SIGTERM."""


def are_handled(signals: Iterable[signal.Signals]) -> bool:
    """Say whether one of them has a handler, in Python or in C."""
    return any(signal.getsignal(n) not in (signal.SIG_DFL, signal.SIG_IGN) for n in signals)
