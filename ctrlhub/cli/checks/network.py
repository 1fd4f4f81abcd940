"""Where a hub is to listen, and whether it can."""

from __future__ import annotations

import errno
import platform
import socket
from collections.abc import Iterator

from ctrlhub.cli.checks.finding import Finding, ok, warning, wrong

NEEDED = 4
"""So many ports a hub needs."""


def network(listen: str | None, ports: tuple[int, int] | None, *, runs: bool) -> Iterator[Finding]:
    """Look at the address and the ports of the configuration.

    Parameters
    ----------
    listen, ports
        What the configuration says.
    runs
        Whether the hub runs: then it has the ports.
    """
    if listen is None:
        yield ok("listening", "on no network: this user on this host only (--listen ADDRESS adds others)")
        return
    yield address(listen, bind_error(listen, 0))
    if ports is not None and not runs:
        taken = [port for port in range(ports[0], ports[1] + 1) if bind_error(listen, port)]
        yield port_range(ports, len(taken))
    yield name(platform.node())


def bind_error(listen: str, port: int) -> str:
    """Try to listen; return why that cannot be, empty if it can."""
    try:
        found = socket.getaddrinfo(listen, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        return f"its address is not known ({error.strerror or error})"
    family, kind, protocol, _, place = found[0]
    try:
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            return "it is no address of this machine"
        return str(error.strerror or error)
    return ""


def address(listen: str, error: str) -> Finding:
    """Judge an address to listen on."""
    if error:
        return wrong("listening", f"on {listen}: {error}", "hub.listen (--listen) is an address of this machine: `hostname -I` shows them")
    if listen in ("127.0.0.1", "::1", "localhost"):
        return warning("listening", f"on {listen}, which other hosts do not reach", "for engines and clients on other hosts give an address that they reach")
    return ok("listening", f"on {listen}, encrypted")


def port_range(ports: tuple[int, int], taken: int) -> Finding:
    """Judge how many ports of a range are free."""
    first, last = ports
    free = last - first + 1 - taken
    shown = f"{free} of {first}-{last} are free"
    if free < NEEDED:
        return wrong("ports", shown, f"a hub needs {NEEDED}: give it a larger range, or end who has them (`ss -ltnp`)")
    return ok("ports", shown)


def name(node: str) -> Finding:
    """Look whether this host's own name has an address: MPI and schedulers want that."""
    try:
        socket.getaddrinfo(node, None)
    except OSError:
        return warning("host name", f"{node!r} has no address", "add it to /etc/hosts: batch systems and MPI look it up")
    return ok("host name", node)
