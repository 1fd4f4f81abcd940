"""Connecting to a hub that is starting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ctrlhub.cluster.errors import StartFailed
from ctrlhub.cluster.local import JOIN, LocalProcesses
from ctrlhub.controller.config import HubConfig
from ctrlhub.wire.connection import ConnectionInfo, Here
from ctrlhub.wire.errors import (
    AuthenticationError,
    ControllerStopped,
    CtrlHubError,
    HubNotFound,
    HubUnavailable,
)
from ctrlhub.wire.messages import Role, Stream
from ctrlhub.wire.places import Profile


def processes(state: Path, timeout: float) -> LocalProcesses:
    """Return the processes of a profile whose hub, says its file, has begun; nothing runs."""
    profile = Profile.named("p", state)
    profile.make()
    here = Here.find()
    ConnectionInfo(
        profile="p",
        role=Role.ADMIN,
        epoch="e",
        hub_pid=1,
        hub_started=1.0,
        boot_id=here.boot_id,
        uid=here.uid,
        host=here.host,
        python="3.11",
        package="0",
        ipc={stream: f"ipc:///nowhere/{stream.value}" for stream in Stream},
    ).write(profile.connection_client)
    return LocalProcesses(profile, HubConfig(profile="p"), 1, timeout=timeout)


class Clients:
    """Stands for the class `Client`: none is let in."""

    def __init__(self, error: CtrlHubError) -> None:
        self.error = error
        self.patience: list[float] = []

    def __call__(self, info: ConnectionInfo, **options: Any) -> None:
        """Note how long the hub is waited for."""
        self.patience.append(options["join_timeout"])
        raise self.error


@pytest.mark.parametrize(
    "error",
    [HubUnavailable("x"), HubNotFound("x"), AuthenticationError("x"), ControllerStopped("x")],
)
def test_not_to_be_let_in_is_a_failed_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: CtrlHubError
) -> None:
    """Whatever the reason; which is told, and is the cause."""
    monkeypatch.setattr("ctrlhub.client.client.Client", Clients(error))
    with pytest.raises(StartFailed, match=r"not ready within 0\.01 s: x") as caught:
        processes(tmp_path, 0.01).connect()
    assert caught.value.__cause__ is error


def test_what_died_is_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not what the client saw of it."""
    monkeypatch.setattr("ctrlhub.client.client.Client", Clients(HubUnavailable("x")))
    looks = iter(range(100))

    def check() -> None:
        if next(looks) > 1:
            raise StartFailed("the hub is dead")

    with pytest.raises(StartFailed, match="the hub is dead"):
        processes(tmp_path, 60.0).connect(check)


def test_the_hub_is_waited_for_no_longer_than_the_start_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor longer at once than is well, before somebody looks after hub and nanny."""
    for timeout, longest in ((0.01, 0.01), (1000.0, JOIN)):
        clients = Clients(AuthenticationError("x"))
        monkeypatch.setattr("ctrlhub.client.client.Client", clients)
        with pytest.raises(StartFailed):
            processes(tmp_path, timeout).connect()
        assert all(0 < patience <= longest for patience in clients.patience)
        assert clients.patience
