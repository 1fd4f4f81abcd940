"""The entry of jupyter-server-proxy: the launcher of JupyterLab shows "ctrl-hub dashboard"."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

STARTS = 60.0
"""How long (seconds) the first page may take: the hub may have a gateway to start."""

ICON = Path(__file__).with_name("icon.svg")

CATEGORY = "Notebook"
"""Where the launcher has it: of the others JupyterLab shows no icon that comes by its address, but an empty tile."""


def setup() -> dict[str, Any]:
    """Return what jupyter-server-proxy is to start, and how it is shown."""
    return {
        "command": [sys.executable, "-P", "-m", "ctrlhub.jupyter", "{unix_socket}"],
        "unix_socket": True,
        "timeout": STARTS,
        "new_browser_tab": False,
        "rewrite_response": framed,
        "launcher_entry": {"title": "ctrl-hub dashboard", "category": CATEGORY, "icon_path": str(ICON)},
    }


def framed(response: Any) -> None:
    """Let pages of the Jupyter server show the answer in a frame: it is of their own origin."""
    policy = response.headers.get("Content-Security-Policy", "")
    if "frame-ancestors 'none'" in policy:
        own = policy.replace("frame-ancestors 'none'", "frame-ancestors 'self'")
        response.headers["Content-Security-Policy"] = own
    if response.headers.get("X-Frame-Options", "").upper() == "DENY":
        response.headers["X-Frame-Options"] = "SAMEORIGIN"
