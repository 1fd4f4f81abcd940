"""Addresses of TCP: read and written in one place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.wire.addresses import bracketed, place_of, port_of, tcp_address

HOSTS = st.ip_addresses().map(str) | st.sampled_from(["localhost", "node-1.example"])


@given(HOSTS, st.integers(0, 65535))
def test_what_is_written_is_read(host: str, port: int) -> None:
    """Whatever kind of host it is; a socket wants it without brackets."""
    address = tcp_address(host, port)
    assert address.startswith("tcp://")
    assert place_of(address) == (host, port)
    assert port_of(address) == port


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    """Once, whoever has put them there."""
    assert tcp_address("fd00::1", 7) == tcp_address("[fd00::1]", 7) == "tcp://[fd00::1]:7"
    assert bracketed("10.0.0.1") == "10.0.0.1"
    assert tcp_address("::", "*") == "tcp://[::]:*"


@pytest.mark.parametrize(
    "text",
    ["", "x", "tcp://", "tcp://host", "tcp://:7", "tcp://[]:7", "host:7", "ipc:///x:7", "tcp://host:*", "tcp://host:65536", "tcp://host:-1", "tcp://host:²"],
)
def test_what_is_none_is_refused(text: str) -> None:
    """With what one looks like."""
    with pytest.raises(ValueError, match=r"such as tcp://192\.0\.2\.7:40000"):
        place_of(text)
