"""How nannies and engines find their hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctrlhub.engine.config import EngineConfig, NannyConfig
from ctrlhub.engine.rendezvous import Way, await_connection, find_connection, load
from ctrlhub.wire.connection import ConnectionInfo, Here
from ctrlhub.wire.errors import ConnectionFileError
from ctrlhub.wire.messages import Role, Stream
from ctrlhub.wire.security import KeyPair


def info(role: Role = Role.ENGINE, **ways: object) -> ConnectionInfo:
    """What the connection file of a hub says."""
    here = Here.find()
    ways = ways or {
        "tcp": {Stream.HUB: "tcp://127.0.0.1:1"}, "server_key": KeyPair.generate().public, "enrolment": KeyPair.generate(),
    }  # fmt: skip
    return ConnectionInfo(
        profile="p", role=role, epoch="e", hub_pid=1, hub_started=1.0, boot_id=here.boot_id, uid=here.uid,
        host=here.host, python="3.11", package="0", **ways,  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_token_says_what_the_file_says() -> None:
    """And is waited for no longer than that."""
    told = info()
    way = Way("", told.to_token())

    assert find_connection(way) == told
    assert await_connection(way, 0.0) == told


def test_a_token_of_a_hub_that_is_not_here_may_be_one_of_the_next(tmp_path: Path) -> None:
    """Sockets that are not there may come: another hub of the profile has them in the same places."""
    told = info(ipc={Stream.HUB: f"ipc://{tmp_path}/none/of/these"})

    assert find_connection(Way("", told.to_token())) is None
    assert load(Way("", told.to_token())) == told


def test_a_token_for_clients_is_refused() -> None:
    """With what to use instead."""
    with pytest.raises(ConnectionFileError, match="ctrl-hub engines token"):
        find_connection(Way("", info(Role.ADMIN).to_token()))


def test_a_configuration_has_one_way_and_does_not_show_the_token() -> None:
    """A file or a token; the latter goes through the pipes of our own processes, and into no log."""
    with pytest.raises(ValueError, match="a connection file or a token"):
        NannyConfig("file", 1, "logs", token="secret")
    config = NannyConfig("", 1, "logs", token="secret", nanny_signals=True)

    assert NannyConfig.from_json(config.to_json()) == config
    assert "secret" not in repr(config)
    keys = KeyPair.generate()
    engine = EngineConfig(0, "", keys.public, keys.secret, "00", "log", token="secret", nanny_signals=True)
    assert EngineConfig.from_json(engine.to_json()) == engine
    assert "secret" not in repr(engine)
