"""Addresses of gateways."""

from __future__ import annotations

import traceback

import pytest

from ctrlhub.link.web_address import TOKEN_VARIABLE, WebAddress, is_web

TOKEN = "s3cret-token"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://hub.example.org:8443", "https://hub.example.org:8443/"),
        ("HTTP://127.0.0.1:80/", "http://127.0.0.1/"),
        ("https://[::1]:8787", "https://[::1]:8787/"),
        ("https://host/user/x/proxy/8787/", "https://host/user/x/proxy/8787/"),
        ("https://host/user/x/proxy/8787", "https://host/user/x/proxy/8787/"),
        (f"https://host:1/?token={TOKEN}", "https://host:1/"),
        (f"https://host:1/hub/login?token={TOKEN}", "https://host:1/hub/"),
        ("https://host:1/api/v1/connect", "https://host:1/"),
        ("https://bücher.example:1/", "https://xn--bcher-kva.example:1/"),
        ("https://host/bücher/a%20b", "https://host/b%C3%BCcher/a%20b/"),
    ],
)
def test_what_people_write(text: str, shown: str) -> None:
    """Or copy: the prefix is kept, the token taken out."""
    assert str(WebAddress.parse(text)) == shown


def test_which_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given goes before what stands in the address, that before the environment's."""
    monkeypatch.setenv(TOKEN_VARIABLE, "of-the-environment")
    text = "https://host/?token=of-the-address"
    assert WebAddress.parse(text, "given").token == "given"
    assert WebAddress.parse(text).token == "of-the-address"
    assert WebAddress.parse("https://host").token == "of-the-environment"


def test_no_token_is_shown() -> None:
    """Neither by the address, nor by what is requested of it."""
    address = WebAddress.parse(f"https://host/x/?token={TOKEN}", headers={"Cookie": TOKEN})
    assert TOKEN not in f"{address} {address!r} {address.path('api/v1/connect')}"
    assert address.headers()["Authorization"] == f"Bearer {TOKEN}"


def test_a_proxy_that_takes_the_usual_header() -> None:
    """The token goes by another one then."""
    address = WebAddress.parse("https://host", TOKEN, headers={"authorization": "token of-jupyter"})
    assert address.headers() == {"authorization": "token of-jupyter", "X-Ctrlhub-Token": TOKEN}


@pytest.mark.parametrize(
    "text",
    [
        "ftp://host",
        "https://",
        "https://host:99999",
        "https://host:x",
        f"https://user:{TOKEN}@host",
        f"https://ho st/?token={TOKEN}",
        "https://host/" + "x" * 5000,
        "http://" + "a" * 70 + ".example:1",
        "http://a..example:1",
    ],
)
def test_what_is_no_address(text: str) -> None:
    """It is refused, and no secret of it is told."""
    with pytest.raises(ValueError, match="address") as caught:
        WebAddress.parse(text)
    assert TOKEN not in "".join(traceback.format_exception_only(caught.value))


@pytest.mark.parametrize("token", ["two words", "line\r\nbreak", "ü"])
def test_what_is_no_token(token: str) -> None:
    """What cannot stand in a header is refused, and not told."""
    with pytest.raises(ValueError, match="no token") as caught:
        WebAddress.parse("https://host", token)
    assert token not in str(caught.value)


def test_what_cannot_be_asked_for() -> None:
    """Certificates without TLS, and headers that would be several."""
    with pytest.raises(ValueError, match="ca_file"):
        WebAddress.parse("http://host", ca_file="x")
    with pytest.raises(ValueError, match="header"):
        WebAddress.parse("http://host", headers={"X": "1\r\nY: 2"})
    with pytest.raises(TypeError):
        WebAddress.parse("http://host", token=b"1")  # type: ignore[arg-type]


def test_what_is_an_address_of_a_gateway() -> None:
    """Only what begins with its schemes: all else is a file."""
    assert is_web("https://host")
    assert is_web("HTTP://host")
    assert not any(map(is_web, ("http.json", None, {}, b"http://host")))
