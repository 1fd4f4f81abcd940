"""Makes of this system one that lacks what Windows or macOS lack: found by processes that have it on PYTHONPATH.

No fork, no poll or epoll, no pidfd, eventfd or memory files, no limits of resources, no ipc; of signals,
those that Windows has besides SIGKILL, which the test uses itself.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys

LACKING = {
    os: ("fork", "forkpty", "register_at_fork", "pidfd_open", "memfd_create", "eventfd", "waitid"),
    select: ("poll", "epoll"),
    signal: ("SIGCHLD", "SIGURG", "SIGUSR1", "SIGUSR2", "SIGHUP", "SIGALRM"),
    socket: ("MSG_DONTWAIT",),
}

for module, names in LACKING.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
sys.modules["resource"] = None  # type: ignore[assignment]

import zmq  # noqa: E402

_has = zmq.has
zmq.has = lambda what: what != "ipc" and _has(what)  # type: ignore[assignment]
