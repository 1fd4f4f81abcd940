"""Heads of requests that come through a Jupyter server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.jupyter.heads import Head, Refused

TOKEN = "t" * 43


def head(method: str = "GET", target: str = "/", **headers: str) -> Head:
    """A request."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name.replace('_', '-')}: {text}" for name, text in headers.items())]
    return Head.parse(("\r\n".join(lines) + "\r\n\r\n").encode())


def sent(request: Head, prefix: str = "") -> list[str]:
    """The lines that the gateway gets."""
    return request.forwarded("127.0.0.1:8001", prefix, TOKEN).decode().split("\r\n")


def test_the_token_is_put_in_and_what_is_jupyter_s_stays_there() -> None:
    """The gateway sees its own address and the token; no cookie, token, origin or referrer of Jupyter."""
    asked = head(
        target="/a?x=1&token=jupyters", Host="jupyter:8888", Cookie="secret", Authorization="token jupyters",
        Origin="http://jupyter:8888", Referer="http://jupyter:8888/lab?token=jupyters", Connection="keep-alive",
        Accept="text/html", X_Forwarded_Prefix="/user/a/ctrl-hub",
    )  # fmt: skip
    assert sent(asked) == [
        "GET /a?x=1 HTTP/1.1",
        "Host: 127.0.0.1:8001",
        f"Authorization: Bearer {TOKEN}",
        "Connection: close",
        "Accept: text/html",
        "X-Forwarded-Prefix: /user/a/ctrl-hub",
        "",
        "",
    ]


def test_a_profile_stands_in_the_path() -> None:
    """``/@NAME/`` names a cluster; the gateway gets the rest, below its own prefix."""
    asked = head(target="/@lab/api?a=1", X_Forwarded_Prefix="/ctrl-hub")
    assert (asked.profile, asked.path) == ("lab", "/api?a=1")
    assert sent(asked, "/hub")[0] == "GET /hub/api?a=1 HTTP/1.1"
    assert "X-Forwarded-Prefix: /ctrl-hub/@lab" in sent(asked)
    assert head(target="/@lab").path == ""
    assert head(target="/a/@lab/").profile == ""
    assert head(target="/@../x").profile == ""


def test_a_websocket_stays_one() -> None:
    """The headers that open a WebSocket arrive."""
    asked = head(Upgrade="websocket", Connection="Upgrade", Sec_WebSocket_Key="abc")
    assert asked.is_upgrade
    assert {"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: abc"} <= set(sent(asked))


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "jupyter", "Origin": "https://evil.example"},
        {"Host": "jupyter", "Origin": "null"},
        {"Host": "jupyter", "Origin": "http://jupyter:81"},
        {"Origin": "https://evil.example", "X_Forwarded_Host": "jupyter"},
        {"Host": "jupyter", "Sec_Fetch_Site": "cross-site"},
        {"Host": "jupyter", "Sec_Fetch_Site": "same-site"},
    ],
)
def test_scripts_of_other_sites_change_nothing(headers: dict[str, str]) -> None:
    """What would change something, or open a WebSocket, is refused to pages of another origin."""
    for asked in (head("POST", **headers), head("DELETE", **headers), head(Upgrade="websocket", **headers)):
        with pytest.raises(Refused) as refused:
            asked.check()
        assert refused.value.status == 403
    head(**headers).check()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "jupyter:8888", "Origin": "http://JUPYTER:8888", "Sec_Fetch_Site": "same-origin"},
        {"Host": "inner", "X_Forwarded_Host": "jupyter", "Origin": "https://jupyter"},
    ],
)
def test_pages_of_jupyter_may(headers: dict[str, str]) -> None:
    """Pages of Jupyter's own origin, also behind a proxy, and programs that are no browsers are let through."""
    head("POST", **headers).check()
    head(Upgrade="websocket", **headers).check()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET\r\n\r\n",
        b"GET / HTTP/2\r\n\r\n",
        b"GET http://other/ HTTP/1.1\r\n\r\n",
        b"GET /\tx HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\na: b\nHost: c\r\n\r\n",
        b"GET / HTTP/1.1\r\n folded: a\r\n\r\n",
    ],
)
def test_what_is_no_head_is_refused(data: bytes) -> None:
    """Lines that are none, folded ones and those with breaks in them go no further."""
    with pytest.raises(Refused) as refused:
        Head.parse(data)
    assert refused.value.status == 400


@given(st.binary(max_size=200))
def test_anything(noise: bytes) -> None:
    """Whatever comes is refused, or becomes one request with one token."""
    try:
        asked = Head.parse(b"GET /" + noise + b"\r\n\r\n")
        asked.check()
    except Refused:
        return
    made = asked.forwarded("127.0.0.1:8001", "", TOKEN)
    assert made.count(b"\r\n\r\n") == 1
    assert made.endswith(b"\r\n\r\n")
    assert made.count(TOKEN.encode()) == 1
    assert b"\n" not in made.replace(b"\r\n", b"")
