"""Ports that a hub leaves to the next one."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctrlhub.controller.former_ports import fits, listened_at, remember, took_bulk_at
from ctrlhub.wire.messages import Stream
from ctrlhub.wire.places import Profile

PORTS = {stream: f"tcp://127.0.0.1:{5000 + k}" for k, stream in enumerate(Stream)}


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    """A profile that has a directory."""
    made = Profile.named("p", tmp_path)
    made.make()
    return made


def test_they_are_there_again_also_after_a_stop(profile: Profile) -> None:
    """What speaks of a running hub goes, and this stays."""
    assert listened_at(profile) == {}
    remember(profile, PORTS)
    profile.clear()
    assert listened_at(profile) == PORTS


@pytest.mark.parametrize("text", [b"", b"[]", b"7", b'{"hub": 7}', b'{"other": "x"}', b"\xff", b'{"bulk": "x"}'])
def test_what_is_none_is_ignored(profile: Profile, text: bytes) -> None:
    """A hub begins all the same."""
    remember(profile, PORTS)
    profile.listening.write_bytes(text)
    assert not fits(listened_at(profile), "127.0.0.1", None)
    assert took_bulk_at(profile) == ""


def test_that_it_is_ignored_is_said(profile: Profile, caplog: pytest.LogCaptureFixture) -> None:
    """Peers elsewhere may look for the hub where it is not; a first hub has nothing to say."""
    assert listened_at(profile) == {}
    assert caplog.text == ""
    remember(profile, PORTS)
    profile.listening.write_bytes(b"7")
    assert listened_at(profile) == {}
    assert str(profile.listening) in caplog.text


def test_they_are_used_where_they_fit() -> None:
    """The same address, all streams, and the range that is asked for."""
    assert fits(PORTS, "127.0.0.1", None)
    assert fits(PORTS, "127.0.0.1", (5000, 5010))
    assert not fits(PORTS, "127.0.0.1", (6000, 6010))
    assert not fits(PORTS, "0.0.0.0", None)
    assert not fits({Stream.HUB: PORTS[Stream.HUB]}, "127.0.0.1", None)
