"""How many file descriptors this process may have, where the system has such a limit."""

from __future__ import annotations

import sys
from typing import Any

UNLIMITED = sys.maxsize
"""The limit where there is none."""


def descriptor_limit() -> int:
    """Return how many this process may have."""
    resource = _resource()
    if resource is None:
        return UNLIMITED
    return _counted(resource, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def raise_descriptor_limit(wanted: int) -> None:
    """Let this process have so many, or as many as it is allowed to."""
    resource = _resource()
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = min(_counted(resource, hard), wanted)
    if _counted(resource, soft) < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _counted(resource: Any, limit: int) -> int:
    return UNLIMITED if limit == resource.RLIM_INFINITY else limit


def _resource() -> Any:
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource
