"""Stopping what runs, and nothing else.

Theory of operation
-------------------
A request is interrupted by a KeyboardInterrupt in the main thread, which only a signal can bring
about while the code waits in the system (``time.sleep``, a read). The signal is sent by the I/O
thread and arrives some time later, when the request may have ended and another may run. So the
decision is made where it cannot be late: in the handler, which Python runs in the main thread,
between two of its instructions. `Gate.armed` is the request whose code is on the stack at that
moment (0: none); whoever runs user code sets it just before, and clears it in the very next
statement after, and in the first statement of every ``except``. (Python looks for signals when it
enters functions, jumps back and returns from calls; not between an exception and the first
assignment of its handler.) The handler raises only if the armed request is the one to be stopped.

Two things make an interrupt miss what it is for. The signal may come between Python's last look for
signals and the wait in a C function, which then knows nothing of it. And the KeyboardInterrupt may
be raised where Python drops it: in a ``__del__``, in the callback of a weak reference (``import`` has
one). So whoever interrupts insists (`Gate.insist`) until the request has ended: a handler that has
not run yet is roused by a signal that does nothing but end the wait, and an interrupt that was
dropped is sent anew. What user code does with a KeyboardInterrupt that it sees is its own affair.

An import that ends half way leaves the modules it has loaded without their package, which cannot be
imported any more in this process (``import asyncio`` is a NameError then). So an interrupt that we
insist on waits until the import that it would hit is over, for as long as `IMPORT` at most.

Where a machinery of others stands between us and user code (IPython's), an interrupt may tear it, or
be swallowed by it: `Gate.undisturbed` holds interrupts back in it, `Gate.exposed` lets them through to
the user code within.

A SIGINT that was not announced by `interrupt` comes from outside, through the nanny or a terminal,
and is for whatever runs.

What becomes of the request is another matter. `cancel` is for who made it and wants it no more: it
ends as cancelled. An interrupt of any other origin is an exception like those that user code raises
itself, and whoever waits for the request sees it.
"""

from __future__ import annotations

import _thread
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

IDLE = 0
"""In place of a request's id: no user code is on the stack (no request has the id 0)."""


NUDGE: signal.Signals | None = getattr(signal, "SIGURG", None)
"""Ends a wait in the system, and means nothing; ignored by every program that does not handle it.
None where there is none: there SIGINT itself ends such waits, or nothing does."""

IMPORT = 5.0
"""So long (seconds) an import may go on before what it is part of is interrupted."""


class Gate:
    """Lets an interrupt through to the request it is for, or to nobody.

    Attributes
    ----------
    armed : int
        The request whose code is on the stack, or `IDLE`. Only the main thread writes it.
    struck : int
        The request in which the last KeyboardInterrupt of ours was raised.
    cancelled : int
        The request that was last to be cancelled. Only the I/O thread writes it.
    """

    __slots__ = (
        "_dropped", "_ending", "_former_hook", "_held", "_main", "_spared", "_until", "_wanted",
        "armed", "cancelled", "struck",
    )  # fmt: skip

    def __init__(self) -> None:
        self.armed = IDLE
        self.struck = IDLE
        self.cancelled = IDLE
        self._ending = False
        self._wanted = IDLE
        self._dropped = IDLE
        self._held = IDLE
        self._spared = IDLE
        self._until = 0.0
        self._main = 0
        self._former_hook = sys.unraisablehook

    def install(self) -> None:
        """Take over SIGINT. Where this is not the main thread, nothing can be interrupted."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._on_signal)
            if NUDGE is not None:
                signal.signal(NUDGE, _do_nothing)
            self._former_hook, sys.unraisablehook = sys.unraisablehook, self._on_unraisable
            self._main = threading.get_ident()

    def reinstall(self) -> None:
        """Take SIGINT back, if user code set a handler of its own."""
        # Bound methods are equal, not identical, from one access to the next.
        if self._main and signal.getsignal(signal.SIGINT) != self._on_signal:
            signal.signal(signal.SIGINT, self._on_signal)
            self._wanted = IDLE  # a signal on its way went to the other handler

    def interrupt(self, request: int) -> bool:
        """Interrupt a request, if it is the one that runs; from the I/O thread.

        Returns
        -------
        bool
            False if it does not run (any more), or nothing can be interrupted here.
        """
        if request == IDLE or self.armed != request or not self._main:
            return False
        if self._wanted == request:  # its signal is on the way; another would strike what follows
            return True
        self._wanted = request
        _strike(self._main, signal.SIGINT)
        return True

    def cancel(self, request: int) -> bool:
        """Interrupt a request as `interrupt` does, so that it ends as cancelled."""
        if self.armed == request:
            self.cancelled = request
        return self.interrupt(request)

    def insist(self, request: int) -> None:
        """See to it that an interrupt is not lost; from the I/O thread, until the request has ended."""
        if self.armed != request or not self._main:
            return
        if self._wanted == request:
            if NUDGE is not None:
                _strike(self._main, NUDGE)
        elif self._dropped == request:
            self._dropped = IDLE
            self.interrupt(request)

    @property
    def running(self) -> int:
        """The request that runs, whether or not interrupts get through just now; or `IDLE`."""
        return self.armed or self._held

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Hold interrupts back for the time of a ``with`` block in the main thread.

        It is for what user code brings about and must not be left half done. What has come meanwhile
        is raised at the end, or where `exposed` lets it through.
        """
        armed, held = self.armed, self._held
        self._held = held if armed == IDLE else armed
        self.armed = IDLE
        try:
            yield
        finally:
            self.armed, self._held = armed, held
            self._raise_held()

    @contextmanager
    def exposed(self) -> Iterator[None]:
        """Let interrupts through again: user code runs within what must be undisturbed."""
        armed, held = self.armed, self._held
        if held != IDLE:
            self.armed = held
            self._raise_held()
        try:
            yield
        finally:
            if self._held == held:  # else it was left behind, and ends with some other request
                self.armed = armed

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Let no interrupt through, for good: the user code that it is for has just ended."""
        armed, held = self.armed, self._held
        self.armed = self._held = IDLE
        try:
            yield
        finally:
            self.armed, self._held = armed, held

    def _raise_held(self) -> None:
        armed = self.armed
        if armed == IDLE or not (self._ending or self._dropped == armed):
            return
        self._dropped = IDLE
        self.struck = armed
        raise KeyboardInterrupt

    def terminate(self) -> None:
        """Interrupt whatever runs, for good; called in the main thread, by a signal's handler.

        Raises
        ------
        KeyboardInterrupt
            Something runs.
        """
        self._ending = True
        if self.armed != IDLE:
            raise KeyboardInterrupt

    def ends(self, error: BaseException) -> bool:
        """Tell whether an error of user code is the KeyboardInterrupt of `terminate`."""
        # Of the type, since the error itself may have a __class__ that raises.
        return self._ending and issubclass(type(error), KeyboardInterrupt)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        wanted, self._wanted = self._wanted, IDLE
        if self.armed == IDLE and self._held != IDLE and wanted in (IDLE, self._held):
            self._dropped = self._held
        if self.armed == IDLE or (wanted != IDLE and wanted != self.armed):
            return
        if wanted != IDLE and self._spares(frame):
            self._dropped = wanted  # it is insisted on
            return
        self.struck = self.armed
        raise KeyboardInterrupt

    def _spares(self, frame: FrameType | None) -> bool:
        """Tell whether an import is to be completed first."""
        if not _imports(frame):
            return False
        if self._spared != self.armed:
            self._spared, self._until = self.armed, time.monotonic() + IMPORT
        return time.monotonic() < self._until

    def _on_unraisable(self, dropped: UnraisableHookArgs, /) -> None:
        is_ours = threading.get_ident() == self._main and self.armed == self.struck != IDLE
        if is_ours and issubclass(dropped.exc_type, KeyboardInterrupt):
            self._dropped = self.armed
        else:
            self._former_hook(dropped)


def _imports(frame: FrameType | None) -> bool:
    """Tell whether a frame is part of an import."""
    while frame is not None:
        code = frame.f_code
        if code.co_name == "_find_and_load" and code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _do_nothing(number: int, frame: FrameType | None) -> None:
    """Handle `NUDGE`."""


def _strike(thread: int, number: signal.Signals) -> None:
    """Send a signal to the main thread; where the system sends none, as if it had come."""
    send = getattr(signal, "pthread_kill", None)
    if send is None:
        _thread.interrupt_main(number)
    else:
        send(thread, number)
