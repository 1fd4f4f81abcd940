"""Where a hub takes bulk connections: at the address of its streams, on a port of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.transports.bulk import BulkPort
from ctrlhub.wire.addresses import place_of, port_of
from ctrlhub.wire.messages import Stream
from ctrlhub.wire.sealed import can_seal

log = logging.getLogger(__name__)


def listen_for_bulk(
    config: HubConfig, tcp: Mapping[Stream, str], former: str
) -> BulkPort | None:
    """Listen for bulk connections; None where that cannot be, which costs speed and nothing else.

    Parameters
    ----------
    config
        The hub's options.
    tcp
        Where its streams listen.
    former
        Where the hub before this one took bulk connections; empty if it took none.
    """
    if not can_seal():
        log.warning("no bulk connections: the package `cryptography` is not installed")
        return None
    host, _ = place_of(tcp[Stream.HUB])
    trouble: object = "all of the range are taken"
    for port in _ports(config, set(map(port_of, tcp.values())), host, former):
        try:
            return BulkPort.listen(host, port)
        except OSError as error:
            trouble = error
    log.warning("no bulk connections: no port for them on %s (%s)", host, trouble)
    return None


def _ports(config: HubConfig, used: set[int], host: str, former: str) -> Iterator[int]:
    """Yield which ports to try: the former one, then those that may be used."""
    first, last = config.ports or (1, 65535)
    if former:
        at, port = place_of(former)
        if at == host and first <= port <= last:
            yield port
    if config.ports is None:
        yield 0
    else:
        yield from (port for port in range(first, last + 1) if port not in used)
