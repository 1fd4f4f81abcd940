"""Engines that have died as they were started: whoever waits for them is told, and waits no longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctrlhub.cluster.errors import StartFailed

if TYPE_CHECKING:
    from ctrlhub.client.client import Client


def check_births(client: Client, there: int, n: int) -> None:
    """Make sure that so many engines may still come.

    Parameters
    ----------
    client
        Asks the hub.
    there
        How many engines there are.
    n
        How many are waited for.

    Raises
    ------
    StartFailed
        All others have died, and none is started again; with the end of the last one's log.
    """
    dead = client.interface("query").stillborn()
    if not dead or there + len(dead) < n:
        return
    causes = dict.fromkeys(f"{each['cause']} (on {each['host']})" for each in dead)
    raise StartFailed(
        f"{there} of {n} engines; {len(dead)} died as they were started, each time that it was tried: "
        + "; ".join(causes),
        dead[-1]["log"],
    )
