"""What this side runs, as peers tell each other when they register."""

from __future__ import annotations

import platform
import sys

from ctrlhub import __version__
from ctrlhub.wire.limits import PROTOCOL_MAJOR

SERIALIZATION = ("cloudpickle",)
"""What peers that exchange objects should have in the same version, besides Python."""


def versions() -> dict[str, str]:
    """Return the versions that must fit: of ctrl-hub, Python, the protocol, and what pickles.

    Only of modules that are loaded: a hub has none that pickles.
    """
    loaded = {
        name: str(sys.modules[name].__version__) for name in SERIALIZATION if name in sys.modules
    }
    return {
        "ctrlhub": __version__,
        "python": platform.python_version(),
        "protocol": str(PROTOCOL_MAJOR),
        **loaded,
    }
