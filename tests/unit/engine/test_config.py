"""The options of nanny and engine."""

from __future__ import annotations

import pytest

from ctrlhub.engine.config import EngineConfig, NannyConfig, RestartPolicy
from ctrlhub.wire.security import KeyPair


def test_a_nannys_configuration_survives_the_way_through_json() -> None:
    """In one line, with everything in it."""
    config = NannyConfig(
        "/c.json", 3, "/logs", wait=1.0, restart=RestartPolicy(attempts=2), prefer="tcp"
    )

    assert "\n" not in config.to_json()
    assert NannyConfig.from_json(config.to_json()) == config


def test_an_engines_configuration_survives_the_way_through_json() -> None:
    """Its keys too, and they are not shown."""
    keys = KeyPair.generate()
    config = EngineConfig(0, "/c.json", keys.public, keys.secret, "00ff", "/logs/engine-0.log")

    assert EngineConfig.from_json(config.to_json()) == config
    assert config.keys == keys
    assert keys.secret not in repr(config)


def test_a_nannys_keys_survive_the_way_and_are_not_shown() -> None:
    """One pair for each slot, made by whoever starts the nanny again."""
    keys = (KeyPair.generate(), KeyPair.generate())
    config = NannyConfig("/c.json", 2, "/logs", keys=keys)

    assert NannyConfig.from_json(config.to_json()).keys == keys
    assert not any(pair.secret in repr(config) for pair in keys)


def test_environments_are_shared_out() -> None:
    """One for each slot, from the first on again; and they survive the way."""
    config = NannyConfig("/c.json", 3, "/logs", environments=({"GPU": "0"}, {"GPU": "1"}))

    assert [config.environment_of(n)["GPU"] for n in range(3)] == ["0", "1", "0"]
    assert NannyConfig.from_json(config.to_json()) == config
    assert NannyConfig("/c.json", 3, "/logs").environment_of(2) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "Expecting value"),
        ("[]", "must be a JSON object"),
        ('{"connection": "c", "engines": 1, "logs": "l", "colour": 1}', "unknown .*: colour"),
        ('{"connection": "c"}', "engines"),
        ('{"connection": "c", "engines": 0, "logs": "l"}', "at least 1"),
        ('{"connection": "c", "engines": true, "logs": "l"}', "at least 1"),
        ('{"connection": "", "engines": 1, "logs": "l"}', "connection file"),
        ('{"connection": "c", "engines": 1, "logs": "l", "grace": -1}', "negative"),
        ('{"connection": "c", "engines": 1, "logs": "l", "prefer": "smoke"}', "ipc"),
        ('{"connection": "c", "engines": 1, "logs": "l", "restart": {"first": 0}}', "waits"),
        ('{"connection": "c", "engines": 1, "logs": "l", "restart": {"last": 0}}', "last"),
        ('{"connection": "c", "engines": 1, "logs": "l", "keys": 1}', "list of key pairs"),
        ('{"connection": "c", "engines": 1, "logs": "l", "keys": [{}]}', "'public'"),
        ('{"connection": "c", "engines": 1, "logs": "l", "environments": [{"A": 1}]}', "texts"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    """Always a ValueError."""
    with pytest.raises(ValueError, match=message):
        NannyConfig.from_json(text)


def test_keys_are_one_pair_for_each_slot() -> None:
    """Too few would leave a slot without one."""
    with pytest.raises(ValueError, match="1 key pairs"):
        NannyConfig("/c.json", 2, "/logs", keys=(KeyPair.generate(),))
