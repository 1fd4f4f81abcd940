"""A Jupyter console on an engine: `bind_kernel`, and what the engine has to do with it.

The kernel itself (`ctrlhub.engine.kernel`) is loaded with the first call, and not before.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ctrlhub.engine.interrupts import Gate

CONSOLE = -1
"""In place of a request's id: the code of a console is on the stack."""

TRANSPORTS = ("ipc", "tcp")


class Console(Protocol):
    """A kernel that shares an engine's main thread."""

    connection_file: str
    """Where its connection file is."""

    def serve(self, wait: Callable[[], None]) -> None:
        """Run what the console asks for, until `wait`, called in another thread, has returned."""

    def close(self) -> None:
        """Be found by no console any more."""


class ConsoleHost(Protocol):
    """Who serves a console whenever the engine has nothing else to do."""

    console: Console | None


@dataclass(frozen=True, slots=True)
class Place:
    """What a console needs of its engine: who serves it, the gate, and the namespace."""

    host: ConsoleHost
    gate: Gate
    names: dict[str, Any]


_place: Place | None = None


def offer(place: Place) -> None:
    """Make this process one where `bind_kernel` works."""
    global _place
    _place = place


def bind_kernel(transport: str = "ipc", ip: str | None = None, connection_file: str = "") -> str:
    """Let Jupyter consoles attach to this engine; called on the engine.

    Their code runs in the engine's namespace and in its main thread, whenever no command or task
    runs there. The engine stays what it is; a console that is closed leaves it alive.

    Parameters
    ----------
    transport
        ``'ipc'`` for consoles of the same user on the same host, ``'tcp'`` for others; the latter
        is authenticated by the key in the connection file, but not encrypted.
    ip
        The address to listen on with ``'tcp'``; the loopback interface if not given.
    connection_file
        Where to write it; by default into Jupyter's runtime directory, where
        ``jupyter console --existing`` finds it.

    Returns
    -------
    str
        The path of the connection file. A second call gives the same one.

    Raises
    ------
    RuntimeError
        This is no engine, or not its main thread.
    ImportError
        ipykernel is not installed here.

    Examples
    --------
    >>> client[0].apply_sync(ctrlhub.bind_kernel)  # doctest: +SKIP
    '/run/user/1000/jupyter/kernel-4711.json'
    """
    place = _place
    if place is None or threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            "bind_kernel() makes an engine a Jupyter kernel, and is called there: "
            "client[0].apply_sync(ctrlhub.bind_kernel), or %px ctrlhub.bind_kernel()"
        )
    if transport not in TRANSPORTS:
        raise ValueError(f"transport must be one of {', '.join(TRANSPORTS)}, not {transport!r}")
    if place.host.console is None:
        try:
            from ctrlhub.engine.kernel import EngineConsole
        except ImportError as error:
            raise ImportError(
                "a console on an engine needs ipykernel there: pip install 'ctrl-hub[jupyter]' "
                f"on the engine's host ({error})"
            ) from error
        place.host.console = EngineConsole(place, transport, ip, connection_file)
    return place.host.console.connection_file
