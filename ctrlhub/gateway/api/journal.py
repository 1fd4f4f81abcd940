"""The file with the keys of submissions: what a gateway that was killed had written is there for the next."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from ctrlhub.gateway.api.idempotency import Claimed, Keys
from ctrlhub.wire.private import StateError, open_private, read_private, write_private

MOST_BYTES = 64 * 1024 * 1024
"""A larger file is not read."""

REWRITE = 8 * 1024 * 1024
"""A file that has grown by so many bytes is written anew, with what is still good."""


class Journal:
    """Lines in a private file; each is with the system, and so outlives this process, once it is added.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._grown = 0

    def lines(self) -> Iterable[str]:
        """Return the lines that are there."""
        try:
            data = read_private(self._path, MOST_BYTES)
        except FileNotFoundError:
            return ()
        self._grown = len(data)
        return data.decode("utf-8", "replace").splitlines()

    def add(self, claimed: Claimed, every: Keys) -> None:
        """Write down what a key is used for.

        Raises
        ------
        StateError
            That cannot be: nothing of it is written.
        """
        line = claimed.line().encode()
        if self._grown > REWRITE:
            write_private(self._path, "".join(every.lines()).encode())
            self._grown = 0
            return
        descriptor = open_private(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            _append(descriptor, line)
        except OSError as error:
            raise StateError(f"{self._path} cannot be written: {error}") from error
        finally:
            os.close(descriptor)
        self._grown += len(line)


def _append(descriptor: int, line: bytes) -> None:
    """Write all of a line, or nothing: half of one would spoil the next."""
    before = os.fstat(descriptor).st_size
    try:
        if os.write(descriptor, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError:
        os.ftruncate(descriptor, before)
        raise
