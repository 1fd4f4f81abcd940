"""The Jupyter kernel of an engine: ipykernel's, in the main thread, between commands.

Theory of operation
-------------------
ipykernel wants an event loop in the main thread, and so does the engine, which waits there for its
next request. So while the engine rests, it lends the main thread to the kernel's loop
(`EngineConsole.serve`); a thread that waits in the engine's place ends the loop when there is work.
What a console has begun is finished first: commands and cells run one at a time.

Standard streams, display hook and `get_ipython` are the kernel's while it handles a message, else
the engine's own. The namespace is the same for both, but for `In`, `Out` and the like. Interrupts go through the engine's gate, as for
any request: the console's code is armed as `CONSOLE`, so that nothing that was meant for a command
strikes a console, nor the other way round.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from ipykernel.zmqshell import ZMQInteractiveShell
from IPython.core.interactiveshell import InteractiveShell
from jupyter_core.paths import jupyter_runtime_dir
from traitlets import Type, default

from ctrlhub.engine.console import CONSOLE, Place
from ctrlhub.engine.interrupts import IDLE
from ctrlhub.engine.stops import INSIST

QUIET = 40
"""The kernel's log level: errors."""

_NAMES = ("In", "Out", "_ih", "_oh", "_dh", "get_ipython", "exit", "quit", "open")
"""What each shell puts into the namespace, and has there while it runs."""


class _Shell(ZMQInteractiveShell):  # type: ignore[misc]
    """A shell beside the engine's own, with the same namespace."""

    @classmethod
    def instance(cls, *args: Any, **options: Any) -> _Shell:
        """Make one, which does not become the process's only one."""
        shell: _Shell = cls(*args, **options)
        return shell

    async def run_code(self, *args: Any, **options: Any) -> Any:
        """Run user code, open to interrupts."""
        gate = self.kernel.parent.place.gate
        gate.armed = CONSOLE
        try:
            return await super().run_code(*args, **options)
        finally:
            gate.armed = IDLE


class _Kernel(IPythonKernel):  # type: ignore[misc]
    """ipykernel's kernel, which is a guest."""

    shell_class = Type(_Shell)
    awaited: asyncio.Future[Any] | None = None
    """The cell that waits for something in the loop."""
    _insisting: asyncio.TimerHandle | None = None

    @default("user_module")  # type: ignore[untyped-decorator]
    def _default_user_module(self) -> Any:
        return sys.modules["__main__"]

    async def dispatch_shell(self, msg: Any, /, *args: Any, **options: Any) -> None:
        """Handle a message of a console."""
        with self.parent.console.in_charge(self.shell):
            await super().dispatch_shell(msg, *args, **options)

    def pre_handler_hook(self) -> None:
        """Leave SIGINT to the gate."""

    def post_handler_hook(self) -> None:
        """Leave SIGINT to the gate."""

    @contextmanager
    def _cancel_on_sigint(self, future: asyncio.Future[Any]) -> Iterator[None]:
        """Name the cell that an interrupt of the loop is meant for."""
        self.awaited = future
        try:
            yield
        finally:
            self.awaited = None

    def _send_interrupt_children(self) -> None:
        """Interrupt the console's code, and nothing else; in the loop of the control thread."""
        if self.parent.place.gate.interrupt(CONSOLE) and self._insisting is None:
            self._insist()

    def _insist(self) -> None:
        """See to it that the interrupt is not lost, until the code has ended."""
        gate, self._insisting = self.parent.place.gate, None
        if gate.armed == CONSOLE:
            gate.insist(CONSOLE)
            self._insisting = asyncio.get_running_loop().call_later(INSIST, self._insist)

    async def shutdown_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Let the console go; the engine stays."""
        content = {"status": "ok", "restart": parent["content"]["restart"]}
        self.session.send(stream, "shutdown_reply", content, parent, ident=ident)


class _App(IPKernelApp):  # type: ignore[misc]
    """What sets a kernel up, without what would make the process its own."""

    kernel_class = Type(_Kernel)
    place: Place
    console: EngineConsole

    def init_crash_handler(self) -> None:
        """Leave ``sys.excepthook`` alone."""

    def init_signal(self) -> None:
        """Leave SIGINT to the gate."""

    def init_pdb(self) -> None:
        """Leave pdb alone."""

    def patch_io(self) -> None:
        """Leave faulthandler alone."""

    def init_io(self) -> None:
        """Make streams and display hook, and put them aside."""
        own = sys.stdout, sys.stderr, sys.displayhook
        super().init_io()
        self.console.streams = sys.stdout, sys.stderr, sys.displayhook
        sys.stdout, sys.stderr, sys.displayhook = own


def _taken(names: dict[str, Any]) -> dict[str, Any]:
    """Take out of a namespace what a shell has put there."""
    return {name: names.pop(name) for name in _NAMES if name in names}


class EngineConsole:
    """The kernel of an engine.

    Parameters
    ----------
    place
        The engine.
    transport, ip, connection_file
        As for `bind_kernel`.

    Attributes
    ----------
    connection_file : str
        The path of its connection file.
    streams : tuple
        What `sys.stdout`, `sys.stderr` and `sys.displayhook` are while it handles a message.
    """

    def __init__(self, place: Place, transport: str, ip: str | None, connection_file: str) -> None:
        directory = Path(jupyter_runtime_dir())
        name = connection_file or directory / f"kernel-engine-{os.getpid()}.json"
        self.connection_file = str(Path(name).expanduser().absolute())
        self.streams: tuple[Any, Any, Any] = (sys.stdout, sys.stderr, sys.displayhook)
        self._loop = asyncio.new_event_loop()
        self._waiter = ThreadPoolExecutor(1, "ctrlhub-console")
        self._started = False
        self._depth = 0
        self._free = asyncio.Event()
        self._free.set()
        options: dict[str, Any] = {} if ip is None else {"ip": ip}
        # The debugger would otherwise warn, on every start, of what nobody here can change.
        os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        app = _App.instance(
            connection_file=self.connection_file,
            transport=transport,
            capture_fd_output=False,
            parent_handle=0,  # the engine ends when its nanny says so
            log_level=QUIET,
            user_ns=place.names,
            **options,
        )
        app.place, app.console = place, self
        self._app = app
        self._names = place.names
        own, shell = _taken(place.names), InteractiveShell._instance
        try:
            app.initialize([])
        finally:
            self._kernels = _taken(place.names)
            place.names.update(own)
            InteractiveShell._instance = shell
        if isinstance(InteractiveShell._instance, InteractiveShell):  # the engine's own
            InteractiveShell._instance.register_magic_function(self.connect_info)

    def connect_info(self, line: str = "") -> None:
        """Say how a console is connected to this engine."""
        print(Path(self.connection_file).read_text())
        print(f"jupyter console --existing {self.connection_file}")

    def serve(self, wait: Callable[[], None]) -> None:
        """Run what the console asks for, until `wait`, called in another thread, has returned."""
        asyncio.set_event_loop(self._loop)  # code of a command may have set another
        task = self._loop.create_task(self._serve(wait))
        while True:
            try:
                return self._loop.run_until_complete(task)
            except KeyboardInterrupt:  # raised in the loop, while a cell was waiting for something
                if self._app.kernel.awaited is not None:
                    self._app.kernel.awaited.cancel()

    async def _serve(self, wait: Callable[[], None]) -> None:
        if not self._started:
            self._started = True
            self._app.kernel.start()
        await self._loop.run_in_executor(self._waiter, wait)
        await self._free.wait()

    @contextmanager
    def in_charge(self, shell: Any) -> Iterator[None]:
        """Have the process's streams and shell be the kernel's, for the time of a ``with`` block."""
        if not self._depth:  # else a message that came while a cell waits for something
            self._free.clear()
            self._swap(self.streams, self._kernels, shell)
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                self._swap(*self._others)
                self._free.set()

    def _swap(self, streams: tuple[Any, Any, Any], names: dict[str, Any], shell: Any) -> None:
        """Exchange what belongs to a shell for that of the other one."""
        own = sys.stdout, sys.stderr, sys.displayhook
        self._others = own, _taken(self._names), InteractiveShell._instance
        sys.stdout, sys.stderr, sys.displayhook = streams
        self._names.update(names)
        InteractiveShell._instance = shell

    def close(self) -> None:
        """Be found by no console any more."""
        self._app.cleanup_connection_file()
