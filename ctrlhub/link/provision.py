"""What ZeroMQ needs of the system is taken before there is none left.

Code of users may take all file descriptors that a process can have. ZeroMQ then ends the process when
a context is to be made, and pyzmq makes one, with a thread, where the first large frame is sent. So
both are made early, and never without looking.
"""

from __future__ import annotations

import errno
import os
from typing import Any

import zmq

CONTEXT_DESCRIPTORS = 16
"""So many are there for a context of one I/O thread and its first sockets."""


def make_context() -> zmq.Context[Any]:
    """Make a context, and all that sending needs later.

    Raises
    ------
    OSError
        This process has no descriptors left.
    """
    require_descriptors(CONTEXT_DESCRIPTORS)
    prepare_sending()
    return zmq.Context()


def prepare_sending() -> None:
    """Make what pyzmq needs to send large frames without copying them."""
    from zmq.utils.garbage import gc

    if not gc.is_alive():
        if gc.thread is None:
            gc.context = zmq.Context(io_threads=0)  # it talks to itself alone
        gc.start()
        gc._push_socket  # noqa: B018 - it is made when it is asked for


def require_descriptors(count: int) -> None:
    """See that this process can have so many more file descriptors.

    Raises
    ------
    OSError
        It cannot.
    """
    taken: list[int] = []
    try:
        for _ in range(count):
            taken.append(os.open(os.devnull, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)))
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        raise OSError(
            error.errno,
            f"{os.strerror(error.errno)}: a connection to a hub takes up to {count} file descriptors, "
            "and this process cannot have them; close files, or raise `ulimit -n`",
        ) from error
    finally:
        for descriptor in taken:
            os.close(descriptor)
