"""What a notebook or a console does with a kernel."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import NATIVE_KERNEL_NAME
from jupyter_client.manager import KernelManager

PATIENCE = 200.0
"""How long (seconds) to wait for what must happen."""


SHOWN = frozenset(
    {"stream", "display_data", "execute_result", "error", "update_display_data", "clear_output"}
)
"""The messages that change what a cell shows."""


class Ran:
    """What came of a cell.

    Attributes
    ----------
    status : str
        ``'ok'`` or ``'error'``.
    ename, evalue : str
        Of its error.
    outputs : list of dict
        What it showed, in order, as in a notebook.
    """

    def __init__(self, reply: dict[str, Any], outputs: list[dict[str, Any]]) -> None:
        self.status: str = reply["status"]
        self.ename: str = reply.get("ename", "")
        self.evalue: str = reply.get("evalue", "")
        self.outputs = outputs

    def text(self, name: str = "stdout") -> str:
        """Return all that was written to a stream."""
        return "".join(each["text"] for each in self.outputs if each.get("name") == name)

    def data(self, mime: str) -> list[Any]:
        """Return all that was displayed of a type, values of cells included."""
        return [each["data"][mime] for each in self.outputs if mime in each.get("data", ())]

    @property
    def cleared(self) -> int:
        """How often the cell was cleared."""
        return sum(each["output_type"] == "clear_output" for each in self.outputs)

    def left(self) -> str:
        """Return the text that stands there at last: what came after the last clearing."""
        text = ""
        for each in self.outputs:
            text = "" if each["output_type"] == "clear_output" else text + each.get("text", "")
        return text

    def displays(self) -> dict[str, str]:
        """Return what each display that has a name shows at last, as text."""
        named = [each for each in self.outputs if each.get("transient", {}).get("display_id")]
        return {each["transient"]["display_id"]: each["data"]["text/plain"] for each in named}


class Kernel:
    """A kernel that runs already, and a client of it.

    Parameters
    ----------
    client
        Connected.
    """

    def __init__(self, client: BlockingKernelClient) -> None:
        self.client = client
        client.start_channels()
        client.wait_for_ready(timeout=PATIENCE)

    @classmethod
    def at(cls, connection_file: str) -> Kernel:
        """Connect to the kernel of a connection file."""
        client = BlockingKernelClient(connection_file=connection_file)
        client.load_connection_file()
        return cls(client)

    def run(self, code: str) -> Ran:
        """Run a cell."""
        return self.finish(self.start(code))

    def start(self, code: str) -> str:
        """Have a cell run; return the id of its message."""
        # By itself a kernel would throw away what comes right behind a cell that fails.
        request: str = self.client.execute(code, stop_on_error=False)
        return request

    def begin(self, code: str, until: str = "begun") -> str:
        """Begin a cell, and return its message's id once it has written a text."""
        request = self.start(code)
        self.shown(until)
        return request

    def shown(self, text: str) -> None:
        """Wait until a text is shown."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            message = self.client.get_iopub_msg(timeout=PATIENCE)
            if text in message["content"].get("text", ""):
                return
        raise TimeoutError(f"no {text!r} in what the cell shows")

    def finish(self, request: str) -> Ran:
        """Wait for the end of a cell."""
        end = time.monotonic() + PATIENCE
        reply = None
        while reply is None:
            message = self.client.get_shell_msg(timeout=max(0.0, end - time.monotonic()))
            if message["parent_header"].get("msg_id") == request:
                reply = message["content"]
        outputs = []
        while True:
            message = self.client.get_iopub_msg(timeout=max(0.0, end - time.monotonic()))
            if message["parent_header"].get("msg_id") != request:
                continue
            content = message["content"]
            if content.get("execution_state") == "idle":
                return Ran(reply, outputs)
            if message["msg_type"] in SHOWN:
                outputs.append({**content, "output_type": message["msg_type"]})

    def interrupt(self) -> None:
        """Interrupt what runs, by a message."""
        self.client.control_channel.send(self.client.session.msg("interrupt_request", {}))

    def interrupted(self, request: str) -> Ran:
        """Interrupt a cell until it ends: it may not have begun what can be interrupted."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            self.interrupt()
            try:
                message = self.client.get_shell_msg(timeout=5)  # a second one would end the kernel's answer itself
            except queue.Empty:
                continue
            if message["parent_header"].get("msg_id") == request:
                return Ran(message["content"], [])
        raise TimeoutError("the cell goes on")

    def close(self) -> None:
        """Leave it."""
        self.client.stop_channels()


@contextmanager
def new_kernel() -> Iterator[Kernel]:
    """Start a Jupyter kernel of this Python, and end it."""
    with TemporaryDirectory() as sockets:
        # Not by TCP, where a port that was free may be another's by the time the kernel opens it.
        place = {"transport": "ipc", "ip": f"{sockets}/k"}
        manager = KernelManager(kernel_name=NATIVE_KERNEL_NAME, **place)
        manager.start_kernel()
        try:
            kernel = Kernel(manager.blocking_client())
            try:
                yield kernel
            finally:
                kernel.close()
        finally:
            manager.shutdown_kernel(now=True)
