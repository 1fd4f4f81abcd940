"""What this side runs, as peers tell each other when they register."""

from __future__ import annotations

import platform

from ctrlhub import __version__
from ctrlhub.wire.limits import PROTOCOL_MAJOR


def versions() -> dict[str, str]:
    """Return the versions that must fit: of ctrl-hub, Python and the protocol."""
    return {
        "ctrlhub": __version__,
        "python": platform.python_version(),
        "protocol": str(PROTOCOL_MAJOR),
    }
