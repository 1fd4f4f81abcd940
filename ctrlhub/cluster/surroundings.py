"""What makes the engines of an `Executor` find what its program finds."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def import_from(path: Sequence[str]) -> None:
    """Look for modules where another process does, and where this one did."""
    sys.path[:] = [*path, *(entry for entry in sys.path if entry not in path)]
