"""What a client knows of its dashboard."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ctrlhub.client.dashboard import Dashboard
from ctrlhub.wire.private import write_private
from ctrlhub.wire.served import LINK_VARIABLE, Served

URL = "http://127.0.0.1:8001"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a profile, closed to others."""
    monkeypatch.delenv(LINK_VARIABLE, raising=False)
    tmp_path.chmod(0o700)
    return tmp_path


def note(directory: Path, pid: int, link: str = "") -> Dashboard:
    """A gateway has written down where it serves."""
    write_private(directory / "gateway.json", Served(URL, pid, link).to_json())
    return Dashboard("lab", directory)


def test_one_that_serves_is_linked(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The link is the URL, or what the gateway's template makes of it, or that of the environment."""
    assert note(directory, os.getpid()).known_link() == URL
    dashboard = note(directory, os.getpid(), "/ctrl-hub/@{profile}/")
    assert dashboard.known_link() == "/ctrl-hub/@lab/"
    monkeypatch.setenv(LINK_VARIABLE, "/mine/{port}")
    assert dashboard.known_link() == "/mine/8001"
    assert 'href="/mine/8001"' in dashboard.note()
    assert 'href="/mine/8001"' in dashboard.mention()
    monkeypatch.setenv(LINK_VARIABLE, "{oops")
    assert dashboard.known_link() == URL


def test_one_that_does_not_serve_is_not(directory: Path) -> None:
    """Of a gateway that has ended, or never was, it is said how to start one."""
    absent = 1 << 22  # the kernel's limit of pids
    for dashboard in (note(directory, absent), Dashboard("lab", directory / "nowhere"), Dashboard()):
        assert dashboard.known_link() == ""
        assert "dashboard_link" in dashboard.note()
        assert dashboard.mention() == ""


@pytest.mark.parametrize("data", [b"", b"{}", b"x" * 5000])
def test_a_note_that_cannot_be_read_breaks_nothing(directory: Path, data: bytes) -> None:
    """A repr is shown whatever stands in the file."""
    write_private(directory / "gateway.json", data)
    assert Dashboard("lab", directory).known_link() == ""


def test_who_came_through_the_gateway_links_it() -> None:
    """A client of a URL has its link."""
    assert Dashboard("lab", url="https://hub:8001").known_link() == "https://hub:8001"
