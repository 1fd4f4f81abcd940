"""The signals that not every system has, by what they are for."""

from __future__ import annotations

import signal

KILL: signal.Signals = getattr(signal, "SIGKILL", signal.SIGTERM)
"""Ends a process that does not want to: where there is no SIGKILL, SIGTERM does not ask either."""
