"""IPython as far as it runs already: nothing here imports it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctrlhub.client.client import Client


def running_shell() -> Any | None:
    """Return the IPython shell that runs in this process, or None."""
    ipython = sys.modules.get("IPython")
    # While it is being imported, its names are not there yet.
    get_ipython = getattr(ipython, "get_ipython", None)
    return None if get_ipython is None else get_ipython()


def is_notebook() -> bool:
    """Say whether what is displayed here reaches a Jupyter frontend."""
    shell = running_shell()
    return shell is not None and getattr(shell, "kernel", None) is not None


def offer_magics(client: Client) -> None:
    """Make `%px` and the others those of a client, unless they are another one's that is open."""
    shell = running_shell()
    if shell is None:
        return
    from ctrlhub.client.magics import holder

    other = holder(shell)
    if other is None or other.closed:
        client.activate()
