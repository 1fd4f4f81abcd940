"""Whether a client over HTTP can tell that its hub has ended for good."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ctrlhub.client import over_web
from ctrlhub.wire.connection import ConnectionInfo, Here
from ctrlhub.wire.messages import Role, Stream
from ctrlhub.wire.places import Profile

NOBODY = 2**31 - 1
"""A pid that no process has."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The connection file of a hub of this host that has died."""
    profile = Profile.named("p", tmp_path)
    profile.make()
    here = Here.find()
    path = profile.connection(Role.SUBMIT)
    ConnectionInfo(
        profile="p",
        role=Role.SUBMIT,
        epoch="e",
        hub_pid=NOBODY,
        hub_started=1.0,
        boot_id=here.boot_id,
        uid=here.uid,
        host=here.host,
        python="3.11",
        package="0",
        ipc={stream: f"ipc:///nowhere/{stream.value}" for stream in Stream},
    ).write(path)
    return path


def test_the_end_of_a_hub_of_this_host_can_be_told(file: Path) -> None:
    """By what is beside its file, as for a client that was given the file."""
    is_gone = over_web._end_of({"file": str(file), "epoch": "e"})
    assert is_gone is not None
    assert not is_gone()  # its file is there: another may follow
    file.unlink()
    assert is_gone()


def test_of_another_hub_nothing_can_be_told(file: Path) -> None:
    """One whose file is not here, or is that of another one, or which does not say where that is."""
    told: Any
    for told in (
        {"file": str(file), "epoch": "another"},
        {"file": str(file.with_name("nowhere.json")), "epoch": "e"},
        {"file": os.path.relpath(file), "epoch": "e"},
        {"file": "/dev/null", "epoch": "e"},
        {"file": "/x\0y", "epoch": "e"},
        {"file": 7, "epoch": "e"},
        {"epoch": "e"},
    ):
        assert over_web._end_of(told) is None
