"""Ctrl-C that strikes while something is handed over, which nobody could interrupt yet."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from ctrlhub.link.handlers import are_handled, get_handler, set_handler

_SIGINT = int(signal.SIGINT)


class HeldBack:
    """Has Ctrl-C strike when it is let go, within the context or at its end.

    For a moment only, and in the main thread, where Ctrl-C strikes; elsewhere it does nothing. Where the moment
    is long, since there is no room for a request, say, it strikes when it is pressed once more.
    """

    def __init__(self) -> None:
        self._former: Any = None
        self._struck: FrameType | None = None

    def let_go(self) -> None:
        """Let Ctrl-C strike from now on; one that was held back does so at once."""
        former, self._former = self._former, None
        if former is not None:
            set_handler(_SIGINT, former)
            if self._struck is not None:
                former(_SIGINT, self._struck)

    def __enter__(self) -> HeldBack:
        if threading.current_thread() is threading.main_thread() and are_handled((_SIGINT,)):
            former = get_handler(_SIGINT)
            if callable(former):  # not one in C
                self._former = former
                set_handler(_SIGINT, self._hold)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.let_go()

    def _hold(self, _number: int, frame: FrameType | None) -> None:
        is_again, self._struck = self._struck is not None, frame
        if is_again:
            self.let_go()
