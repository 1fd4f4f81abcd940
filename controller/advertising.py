"""Which address peers are told, of a hub that listens on all, or behind a translation of addresses."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from ctrlhub.wire.addresses import place_of, tcp_address
from ctrlhub.wire.messages import Stream

WILDCARDS: Mapping[str, str] = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Hosts of addresses that mean all of a machine's own, and what is one of them if it has no network."""

_ELSEWHERE = {"0.0.0.0": "192.0.2.1", "::": "2001:db8::1"}
"""Addresses of documentation: there is nobody, but a machine knows by which of its own it would go there."""


def advertised(bound: Mapping[Stream, str], location: str | None) -> dict[Stream, str]:
    """Return the addresses that peers are told.

    Parameters
    ----------
    bound
        Where the hub listens.
    location
        Where peers find it, if that is elsewhere; None if it is not.
    """
    return {stream: advertised_address(address, location) for stream, address in bound.items()}


def advertised_address(bound: str, location: str | None) -> str:
    """Return what peers are told of one address; see `advertised`."""
    host, port = place_of(bound)
    if location is not None:
        host = location
    elif host in WILDCARDS:
        host = outward_address(host)
    return tcp_address(host, port)


def own_names(wildcard: str) -> tuple[str, ...]:
    """Return the names and the address by which others reach a host that listens on all of its own.

    Parameters
    ----------
    wildcard
        One of `WILDCARDS`.
    """
    return tuple(dict.fromkeys((socket.gethostname(), socket.getfqdn(), outward_address(wildcard))))


def outward_address(wildcard: str = "0.0.0.0") -> str:
    """Return the address of this host by which it reaches others, and they most likely it.

    Parameters
    ----------
    wildcard
        Of which kind: one of `WILDCARDS`. One of IPv6 means both, of which that of IPv4 is taken where
        there is no other.
    """
    kinds = [("::", socket.AF_INET6)] if wildcard == "::" else []
    for kind, family in [*kinds, ("0.0.0.0", socket.AF_INET)]:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((_ELSEWHERE[kind], 9))  # which sends nothing
                return str(probe.getsockname()[0])
        except OSError:  # there is no way to anywhere of this kind
            continue
    return WILDCARDS[wildcard]
