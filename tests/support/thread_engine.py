"""An engine in a thread of the test's process, where a real one is a process of its own.

What a thread cannot do: be interrupted while it waits in the system (no signal reaches it, so user
code is interrupted between two of its instructions), die alone, have modules or standard streams of
its own (`routed_output` parts what the threads print).
"""

from __future__ import annotations

import ctypes
import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ctrlhub.engine.executor import Executor
from ctrlhub.engine.interrupts import IDLE, Gate
from ctrlhub.engine.output import Output
from ctrlhub.engine.process import registration
from ctrlhub.engine.service import EngineService
from ctrlhub.link.base import Link
from ctrlhub.wire.messages import Role

PATIENCE = 60.0


class ThreadGate(Gate):
    """Interrupts user code of any thread, if it does not end by itself at that very moment."""

    __slots__ = ("_thread",)

    def __init__(self) -> None:
        super().__init__()
        self._thread = 0

    def install(self) -> None:
        """Take note of the thread that runs user code."""
        self._thread = threading.get_ident()

    def reinstall(self) -> None:
        """Do nothing: there is no handler."""

    def interrupt(self, request: int) -> bool:
        """Interrupt a request, if it is the one that runs."""
        if request == IDLE or self.armed != request:
            return False
        self.struck = request
        raised = ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(self._thread), ctypes.py_object(KeyboardInterrupt)
        )
        return bool(raised == 1)


class ThreadEngine:
    """A running engine on a link."""

    def __init__(self, link: Link) -> None:
        self._output = Output(io.StringIO(), io.StringIO())
        self._service = EngineService(
            link,
            registration(Role.ENGINE, f"engine-{id(self):x}", os.urandom(16)),
            Executor(ThreadGate(), self._output),
        )
        self._thread = threading.Thread(target=self._run, name="test-engine", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        _of_thread.output = self._output
        self._service.run()

    def stop(self) -> None:
        """End when what runs has ended."""
        self._service.stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "an engine's thread does not end"


_of_thread = threading.local()


class _Routed:
    """A standard stream that is the engine's in an engine's thread."""

    def __init__(self, name: str, stream: Any) -> None:
        self._name = name
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        output: Output | None = getattr(_of_thread, "output", None)
        return getattr(self._stream if output is None else getattr(output, self._name), name)


@contextmanager
def routed_output() -> Iterator[None]:
    """Have each engine's thread print to its own streams."""
    former = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Routed("out", former[0]), _Routed("err", former[1])
    try:
        yield
    finally:
        sys.stdout, sys.stderr = former
