"""What jupyter-server-proxy is told."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace

from ctrlhub.jupyter.server_proxy import framed


def test_the_entry_is_found() -> None:
    """The distribution has the entry, and what it names is there."""
    [entry] = entry_points(group="jupyter_serverproxy_servers", name="ctrl-hub")
    told = entry.load()()
    assert "{unix_socket}" in told["command"]
    assert told["unix_socket"] is True
    assert Path(told["launcher_entry"]["icon_path"]).read_text().startswith("<svg")


def test_jupyter_s_own_pages_may_frame_it() -> None:
    """What forbids every frame allows those of its own origin; what allows some is left as it is."""
    closed = SimpleNamespace(
        headers={"Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'", "X-Frame-Options": "DENY"}
    )
    framed(closed)
    assert closed.headers == {
        "Content-Security-Policy": "default-src 'self'; frame-ancestors 'self'", "X-Frame-Options": "SAMEORIGIN",
    }  # fmt: skip
    other = SimpleNamespace(headers={"Content-Security-Policy": "frame-ancestors 'self' https://a"})
    framed(other)
    assert other.headers == {"Content-Security-Policy": "frame-ancestors 'self' https://a"}
