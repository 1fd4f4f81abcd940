"""Waiting for signals: to stop, and of the end of children."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
from types import FrameType, TracebackType
from typing import Any

_STOP = ("SIGINT", "SIGTERM", "SIGHUP")
_CHILD = "SIGCHLD"


class Signals:
    """Turns signals into something to wait for, while the context lasts; main thread only.

    A signal to stop sets `stop_asked`. A signal that the process was started to ignore (``nohup``)
    stays ignored, except for those that `ctrl-hub stop` or a user's Ctrl-C sends.
    """

    def __init__(self) -> None:
        self.stop_asked = False
        self._before: dict[signal.Signals, Any] = {}

    def wait(self, timeout: float | None) -> None:
        """Wait for any signal, for at most `timeout` seconds."""
        if self.stop_asked:
            return
        if select.select([self._receiver], [], [], timeout)[0]:
            with contextlib.suppress(BlockingIOError):
                while self._receiver.recv(4096):
                    pass

    def __enter__(self) -> Signals:
        self._receiver, self._sender = socket.socketpair()
        for end in (self._receiver, self._sender):
            end.setblocking(False)
        # A full pipe already says that something happened.
        self._wakeup_before = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        for name in _STOP:
            self._handle(name, self._ask_to_stop)
        # A signal without a handler of Python's wakes nobody.
        self._handle(_CHILD, lambda _number, _frame: None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        self._receiver.close()
        self._sender.close()

    def _handle(self, name: str, handler: Any) -> None:
        number = getattr(signal, name, None)
        if number is None:  # of another system
            return
        before = signal.getsignal(number)
        if name == "SIGHUP" and before is signal.SIG_IGN:
            return
        self._before[number] = before
        signal.signal(number, handler)

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self.stop_asked = True
