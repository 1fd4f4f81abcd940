"""The options of the gateway: what they mean together, and what is refused."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.http_config import HttpConfig, address_of


@pytest.mark.parametrize(
    ("listen", "address", "port", "wanted", "tls"),
    [
        ("demand", "127.0.0.1", 0, False, False),
        ("auto", "127.0.0.1", 0, True, False),
        ("off", "127.0.0.1", 0, False, False),
        ("8000", "127.0.0.1", 8000, True, False),
        ("localhost:8000", "localhost", 8000, True, False),
        ("[::1]:0", "::1", 0, True, False),
        ("0.0.0.0:443", "0.0.0.0", 443, True, True),
        ("[::]:443", "::", 443, True, True),
        ("192.0.2.7:443", "192.0.2.7", 443, True, True),
    ],
)
def test_where_it_listens(listen: str, address: str, port: int, wanted: bool, tls: bool) -> None:
    """Loopback, unless an address says otherwise, and then with TLS."""
    config = HttpConfig(listen)
    assert (config.address, config.port, config.is_wanted, config.has_tls) == (address, port, wanted, tls)


def test_plain_http_to_others_is_a_choice() -> None:
    """One that says so; and TLS on this host is one, too."""
    assert not HttpConfig("0.0.0.0:80", plain=True).has_tls
    assert HttpConfig("8000", tls=True).has_tls
    assert HttpConfig("0.0.0.0:80", plain=True, certificate="/c", key="/k").has_tls


@pytest.mark.parametrize("listen", ["", "no", "65536", "-1", "8.0", "host:80", "1.2.3.4", "1.2.3.4:", "::1:80:x", "http://x:80", "٣"])
def test_what_is_no_place_is_refused(listen: str) -> None:
    """With what it should look like."""
    with pytest.raises(ValueError, match=r"listen"):
        address_of(listen)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("hosts", ("a b",)), ("hosts", ("host:80",)), ("hosts", ("",)),
        ("origins", ("site.example",)), ("origins", ("https://site.example/",)), ("origins", ("*",)),
        ("origins", ("https://a;b",)), ("frames", ("https://a 'unsafe-inline'",)), ("frames", ("null",)),
        ("frames", ("https://user@a",)),
        ("certificate", "/only/this"), ("key", "/only/that"),
        ("prefix", "/"), ("prefix", "hub"), ("prefix", "/hub/"), ("prefix", "/a/../b/.."), ("prefix", "/a b"),
        ("max_body", 0), ("max_upload", 1), ("connections", 0), ("sockets", 0), ("rate", 0.0), ("patience", -1.0),
        ("login_age", float("inf")),
    ],
)  # fmt: skip
def test_what_could_not_be_meant_is_refused(option: str, value: Any) -> None:
    """Nothing gets into a header that does not belong there."""
    with pytest.raises(ValueError, match=r"."):
        replace(HttpConfig(), **{option: value})


def test_it_goes_with_the_hubs_options() -> None:
    """As JSON, to the hub's process and on to the gateway's."""
    config = HubConfig(http=HttpConfig("0.0.0.0:443", hosts=("a", "b"), frames=("https://c.example",), rate=3))
    assert HubConfig.from_json(config.to_json()) == config
    assert HttpConfig.from_plain(asdict(config.http)) == config.http


@pytest.mark.parametrize("plain", [{"nothing": 1}, {"rate": "3"}, {"hosts": "a"}, {"plain": 1}, {"hosts": [1]}])
def test_a_line_that_is_not_ours_is_refused(plain: dict[str, Any]) -> None:
    """Unknown options and wrong types."""
    with pytest.raises(ValueError, match="http"):
        HttpConfig.from_plain(plain)
