"""Hosts and origins: which are ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.gateway.access.hosts import Hosts

HOSTS = Hosts(frozenset({"hub.example", "[fd00::1]"}), frozenset({"https://site.example"}))


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8000", "127.0.0.1", "127.0.0.1:1", "[::1]:8000", "hub.example", "HUB.Example:443",
     "hub.example.", "[fd00::1]:8000"],
)  # fmt: skip
def test_ours(host: str) -> None:
    """This host's own names, and what the options say; with any port, since proxies have others."""
    assert HOSTS.knows(host)


@pytest.mark.parametrize(
    "host",
    [None, "", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "hub.example.evil", "[::2]",
     "127.0.0.2", "localhost:port", "localhost:123456", "a b", "localhost,evil", "user@localhost", "[localhost]",
     "localhost/evil", "\x00"],
)  # fmt: skip
def test_not_ours(host: str | None) -> None:
    """A name that somebody has made to lead here is not one of ours."""
    assert not HOSTS.knows(host)


def test_any_host_by_choice() -> None:
    """With * every name will do, but it has to be one."""
    assert Hosts(frozenset({"*"})).knows("evil.example:1")
    assert not Hosts(frozenset({"*"})).knows("a b")


@pytest.mark.parametrize(
    ("origin", "scheme", "host"),
    [
        ("http://localhost:8000", "http", "localhost:8000"),
        ("http://hub.example", "http", "hub.example:80"),
        ("https://hub.example", "https", "hub.example"),
        ("https://hub.example", "http", "hub.example"),  # a proxy has TLS
        ("https://hub.example:8443", "http", "hub.example:8443"),
    ],
)
def test_own_origin(origin: str, scheme: str, host: str) -> None:
    """The page that asks comes from where it asks."""
    assert HOSTS.is_ours(origin, scheme, host)


@pytest.mark.parametrize(
    ("origin", "scheme", "host"),
    [
        ("null", "http", "localhost:8000"),
        ("", "http", "localhost:8000"),
        ("http://localhost:8001", "http", "localhost:8000"),
        ("http://localhost", "http", "localhost:8000"),
        ("http://127.0.0.1:8000", "http", "localhost:8000"),
        ("http://evil.example", "http", "localhost:8000"),
        ("http://hub.example", "https", "hub.example"),
        ("https://hub.example", "http", "hub.example:8000"),
        ("http://localhost:8000/path", "http", "localhost:8000"),
        ("file://", "http", "localhost:8000"),
        ("http://[broken", "http", "localhost:8000"),
        ("chrome-extension://abcdef", "http", "localhost:8000"),
    ],
)
def test_foreign_origin(origin: str, scheme: str, host: str) -> None:
    """Another port is another site, and so is another scheme; what is no origin is nobody's."""
    assert not HOSTS.is_ours(origin, scheme, host)


def test_allowed_origin() -> None:
    """Exactly what the options say."""
    assert HOSTS.is_allowed("https://site.example")
    assert not any(map(HOSTS.is_allowed, ("http://site.example", "https://site.example:444", "https://site.example.evil", "null")))


@given(st.text(max_size=60), st.sampled_from(["http", "https"]), st.text(max_size=60))
def test_any_text_is_judged(origin: str, scheme: str, host: str) -> None:
    """What strangers send raises nothing, and is not ours by chance."""
    assert not HOSTS.is_ours(origin, scheme, host)
    HOSTS.knows(host)
