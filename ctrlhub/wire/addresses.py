"""Addresses as connection files have them: ``tcp://host:port``, with an IPv6 address in brackets."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"tcp://(?:\[(?P<bare>[^\[\]/\s]+)\]|(?P<host>[^\[\]/\s]+)):(?P<port>[0-9]{1,5})")


def place_of(address: str) -> tuple[str, int]:
    """Return host and port of an address, the host without brackets, as sockets want it.

    Raises
    ------
    ValueError
        It is no address of TCP.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None or int(found["port"]) >= 1 << 16:
        raise ValueError(f"{address!r:.80} is no address such as tcp://192.0.2.7:40000")
    return found["bare"] or found["host"], int(found["port"])


def port_of(address: str) -> int:
    """Return the port of an address; raises as `place_of` does."""
    return place_of(address)[1]


def tcp_address(host: str, port: int | str) -> str:
    """Return the address of a place; see `place_of`. A port may be ``*``, for any."""
    return f"tcp://{bracketed(host)}:{port}"


def bracketed(host: str) -> str:
    """Return a host as it stands before a port: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
