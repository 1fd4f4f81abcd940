"""What peers are told of where a hub listens."""

from __future__ import annotations

import ipaddress

import pytest

from ctrlhub.controller.advertising import advertised, outward_address
from ctrlhub.controller.config import HubConfig
from ctrlhub.wire.addresses import bracketed, place_of
from ctrlhub.wire.messages import Role, Stream


def bound(host: str) -> dict[Stream, str]:
    """Return where a hub listens on a host."""
    return {stream: f"tcp://{host}:{5000 + number}" for number, stream in enumerate(Stream)}


@pytest.mark.parametrize("host", ["10.1.2.3", "[fd00::1]", "node-1"])
def test_an_address_is_told_as_it_is(host: str) -> None:
    """That of one interface leads there."""
    assert advertised(bound(host), None) == bound(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "10.1.2.3"])
@pytest.mark.parametrize(
    ("location", "told"), [("203.0.113.7", "203.0.113.7"), ("fd00::9", "[fd00::9]"), ("out.example", "out.example")]
)
def test_a_location_takes_the_place_of_the_host(host: str, location: str, told: str) -> None:
    """Whatever it listens on; the ports stay."""
    assert advertised(bound(host), location) == bound(told)


@pytest.mark.parametrize("wildcard", ["0.0.0.0", "::"])
def test_all_addresses_are_told_as_one(wildcard: str) -> None:
    """Nobody can connect to "any": it is one of this machine's own."""
    told = advertised(bound(bracketed(wildcard)), None)
    hosts = {place_of(address)[0] for address in told.values()}
    [host] = hosts
    assert not ipaddress.ip_address(host).is_unspecified
    assert host == outward_address(wildcard)


def test_which_ssh_server_is_for_whom() -> None:
    """One for all, another one for engines, or none for them."""
    assert [HubConfig().ssh_for(role) for role in (Role.ADMIN, Role.ENGINE)] == ["", ""]
    both = HubConfig(ssh="me@gate")
    assert [both.ssh_for(role) for role in (Role.ADMIN, Role.ENGINE)] == ["me@gate", "me@gate"]
    inside = HubConfig(ssh="me@gate", engine_ssh="none")
    assert [inside.ssh_for(role) for role in (Role.ADMIN, Role.ENGINE)] == ["me@gate", ""]
    other = HubConfig(engine_ssh="gate:2222")
    assert [other.ssh_for(role) for role in (Role.ADMIN, Role.ENGINE)] == ["", "gate:2222"]


def test_options_that_make_no_sense() -> None:
    """They are refused before anything is bound."""
    with pytest.raises(ValueError, match="location needs listen"):
        HubConfig(location="203.0.113.7")
    with pytest.raises(ValueError, match="user@host:port"):
        HubConfig(ssh="-oProxyCommand=x")
