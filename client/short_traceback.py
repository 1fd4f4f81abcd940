"""Ctrl-C during a wait: where the program was, and not what it was waiting by.

The frames of a wait, some twenty, tell nobody anything, and hide the line that does. Those below the
wait are taken off; what is above it, up to what the program called, is hidden from IPython by
``__tracebackhide__``.
"""

from __future__ import annotations

from types import TracebackType

_OURS = frozenset(("concurrent", "ctrlhub", "queue", "threading"))
"""The packages that waits are made of."""


def shortened(stop: KeyboardInterrupt) -> KeyboardInterrupt:
    """Return an interrupt of a wait without its frames, unless they lead into the program's code."""
    frames: TracebackType | None = stop.__traceback__
    while frames is not None:
        module = frames.tb_frame.f_globals.get("__name__")
        if not isinstance(module, str) or module.partition(".")[0] not in _OURS:
            return stop  # its own handler, or a callback
        frames = frames.tb_next
    return stop.with_traceback(None)
