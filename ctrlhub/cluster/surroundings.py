"""What engines call for the sake of an `Executor` or of joblib; light, for they import it."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Sequence
from typing import Any


def resemble(path: Sequence[str], authkey: bytes) -> None:
    """Be like a child of another process.

    Parameters
    ----------
    path
        Where that one looks for modules; this one does so there first.
    authkey
        The key of its `multiprocessing`: with it this one reaches what its managers hold.
    """
    from multiprocessing.process import current_process

    sys.path[:] = [*path, *(entry for entry in sys.path if entry not in path)]
    current_process().authkey = authkey


def know_backends(names: Sequence[str]) -> None:
    """Know joblib's backend of engines by its names: on an engine, it is threads."""
    from joblib import register_parallel_backend
    from joblib._parallel_backends import ThreadingBackend

    for name in names:
        register_parallel_backend(name, ThreadingBackend)


def call_pickled(call: bytes) -> Any:
    """Call what was pickled in a way of its own."""
    return pickle.loads(call)()
