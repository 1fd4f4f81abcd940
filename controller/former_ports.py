"""The ports of the hub before this one: they are used again, so that peers on other hosts find them.

They outlive a stop, a reboot and a loss of power, since a connection file that was copied to another
host names them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping

from ctrlhub.wire.addresses import place_of
from ctrlhub.wire.messages import Stream
from ctrlhub.wire.places import Profile
from ctrlhub.wire.private import StateError, read_private, write_private

MOST_BYTES = 4096
BULK = "bulk"
"""Beside the names of streams: where bulk connections were taken."""

log = logging.getLogger(__name__)


def remember(profile: Profile, tcp: Mapping[Stream, str], bulk: str = "") -> None:
    """Leave the addresses to the hub after this one."""
    said = {stream.value: address for stream, address in tcp.items()}
    if bulk:
        said[BULK] = bulk
    write_private(profile.listening, json.dumps(said).encode() + b"\n")


def listened_at(profile: Profile) -> dict[Stream, str]:
    """Return the addresses of the hub before this one; empty if there are none."""
    said = _said(profile)
    try:
        return {Stream(name): address for name, address in said.items() if name != BULK}
    except ValueError as error:
        log.warning("%s does not say which ports the former hub had: %s", profile.listening, error)
        return {}


def took_bulk_at(profile: Profile) -> str:
    """Return where the hub before this one took bulk connections; empty if it took none."""
    address = _said(profile).get(BULK, "")
    try:
        if address:
            place_of(address)
    except ValueError as error:
        log.warning("%s does not say where bulk connections were taken: %s", profile.listening, error)
        return ""
    return address


def _said(profile: Profile) -> dict[str, str]:
    try:
        said = json.loads(read_private(profile.listening, MOST_BYTES))
        return {name: str(address) for name, address in said.items()}
    except FileNotFoundError:
        return {}
    except (OSError, StateError, ValueError, AttributeError) as error:
        log.warning("%s does not say which ports the former hub had: %s", profile.listening, error)
        return {}


def fits(former: Mapping[Stream, str], host: str, ports: tuple[int, int] | None) -> bool:
    """Tell whether these are addresses on a host, with ports that may be used."""
    if former.keys() != set(Stream):
        return False
    first, last = ports or (1, 65535)
    try:
        places = [place_of(address) for address in former.values()]
    except ValueError:
        return False
    return all(at == host and first <= port <= last for at, port in places)
