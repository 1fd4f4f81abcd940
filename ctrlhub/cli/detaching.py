"""``ctrl-hub engine --detach``: a nanny that belongs to no terminal and no connection."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path

from ctrlhub.cli.reaching import obstacle
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.errors import HubNotFound
from ctrlhub.wire.messages import Stream

REACH = 5.0
"""Seconds within which a hub must answer a connection from here."""


def check_reachable(token: str) -> None:
    """Make sure that the hub of a token can be reached from here, before anything is left alone.

    Raises
    ------
    HubNotFound
        It cannot be.
    """
    info = ConnectionInfo.from_token(token)
    if info.ssh:
        return  # the way is that server's to open
    route = info.addresses_here()
    if not route.uses_curve:
        return
    address = route.addresses[Stream.HUB]
    if why := obstacle(address, REACH):
        raise HubNotFound(
            f"host {platform.node()} cannot reach the hub at {address}: {why}. Start the "
            "hub with --listen and an address of its host that this one can reach, and see that no firewall "
            "is between (--port-range names the ports)"
        )


def detach(logs: Path) -> None:
    """Go on as another process, and end this one: it prints what the other is.

    Parameters
    ----------
    logs
        The directory of the logs of the set; what the other prints goes to one there.
    """
    from ctrlhub.cluster.launchers.far_scripts import DETACHED
    from ctrlhub.cluster.processes import KnownProcess
    from ctrlhub.link.log_file import open_log
    from ctrlhub.wire.private import make_private_dir

    make_private_dir(logs)
    log = logs / f"nanny-{platform.node()}.log"
    output = open_log(log)
    ready, done = os.pipe()
    pid = os.fork()
    if pid:
        os.close(done)
        os.read(ready, 1)  # it has left our session
        found = KnownProcess.find(pid)
        told = {
            "pid": pid, "birth": found.birth, "node": platform.node(), "log": str(log), "logs": str(logs),
        }  # fmt: skip
        print(f"{DETACHED}{json.dumps(told)}")
        sys.stdout.flush()
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    for descriptor in (ready, done, null, output):
        os.close(descriptor)
