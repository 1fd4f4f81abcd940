"""The headers that every answer has."""

from __future__ import annotations

import pytest

from ctrlhub.controller.http_config import HttpConfig
from ctrlhub.gateway.access.headers import headers_of

TLS = "Strict-Transport-Security"


@pytest.mark.parametrize("page", [True, False])
def test_who_speaks_for_the_whole_host_may_demand_tls(page: bool) -> None:
    """Browsers hold every port of a host to it: at another port other servers of the host would be shut out."""
    assert headers_of(HttpConfig(listen="0.0.0.0:443"), page=page)[TLS].startswith("max-age=")
    for config in (HttpConfig(listen="0.0.0.0:8787"), HttpConfig(tls=True), HttpConfig(listen="0.0.0.0:443", plain=True)):
        assert TLS not in headers_of(config, page=page)


def test_frames_are_for_whom_the_options_say() -> None:
    """Else for nobody; never what programs read."""
    shut = headers_of(HttpConfig(), page=True)
    assert "frame-ancestors 'none'" in shut["Content-Security-Policy"]
    assert shut["X-Frame-Options"] == "DENY"
    config = HttpConfig(frames=("https://jupyter.example",))
    opened = headers_of(config, page=True)
    assert "frame-ancestors 'self' https://jupyter.example" in opened["Content-Security-Policy"]
    assert "X-Frame-Options" not in opened
    assert "frame-ancestors 'none'" in headers_of(config, page=False)["Content-Security-Policy"]
