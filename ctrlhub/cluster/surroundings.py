"""What engines call for the sake of an `Executor` or of joblib; light, for they import it."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Sequence
from typing import Any


def import_from(path: Sequence[str]) -> None:
    """Look for modules where another process does, and where this one did."""
    sys.path[:] = [*path, *(entry for entry in sys.path if entry not in path)]


def call_pickled(call: bytes) -> Any:
    """Call what was pickled in a way of its own."""
    return pickle.loads(call)()
