"""The hub's options: defaults, JSON, and what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ctrlhub.controller.config import LOG_LEVELS, HubConfig


def test_defaults() -> None:
    """What the documents promise."""
    config = HubConfig()
    assert (config.max_engines, config.beat, config.suspect, config.lost) == (511, 1, 3, 10)
    assert (config.hub_lease, config.session_ttl, config.listen) == (600, 600, None)
    assert config.interfaces == (
        "multiengine", "control", "start_hooks", "logs", "tasks", "query", "history",
        "sessions", "telemetry", "output",
    )  # fmt: skip


def test_json_is_one_line_and_goes_both_ways() -> None:
    """Everything that can be set arrives as it was."""
    config = HubConfig(
        profile="line\nbreak ü", listen="::1", ports=(4000, 4003), max_engines=1, beat=0.1,
        suspect=1, interfaces=("tasks",), log_level="debug",
    )  # fmt: skip
    text = config.to_json()
    assert "\n" not in text
    assert HubConfig.from_json(text) == config
    assert HubConfig.from_json("{}") == HubConfig()


def test_it_is_frozen() -> None:
    """Options do not change while the hub runs."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        HubConfig().max_engines = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    "options",
    [
        {"max_engines": 0}, {"max_engines": -1}, {"max_engines": 2.0}, {"max_engines": True},
        {"max_engines": "5"}, {"max_sessions": 0}, {"max_sessions": 2**23},
        {"max_outstanding": 0}, {"max_memory": -1}, {"max_memory": "4G"}, {"max_memory": 500 << 20}, {"history_records": -1}, {"history_bytes": -1}, {"history_age": 0},
        {"beat": 0}, {"beat": -1}, {"beat": 3.0}, {"suspect": 10.0},
        {"beat": "1"}, {"beat": None}, {"beat": float("nan")}, {"lost": float("nan")},
        {"lost": float("inf")}, {"hub_lease": 0}, {"hub_lease": float("nan")},
        {"session_ttl": -1}, {"session_ttl": float("nan")}, {"ports": (4000, 4002)},
        {"ports": (0, 100)}, {"ports": (-5, 100)}, {"ports": (65000, 65536)},
        {"ports": (5000, 4000)}, {"ports": (1,)}, {"ports": (1, 2, 3)}, {"ports": 4000},
        {"ports": ("1", "9")}, {"interfaces": ()}, {"interfaces": "tasks"},
        {"interfaces": (1,)}, {"interfaces": ("tasks", "tasks")}, {"interfaces": None},
        {"profile": None}, {"profile": 5}, {"listen": 5}, {"log_level": "LOUD"},
        {"log_level": 10}, {"state_dir": None},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_values_are_refused(options: dict[str, Any]) -> None:
    """By a ValueError that names the option, whatever the type was."""
    with pytest.raises(ValueError, match=f"{next(iter(options))}|heartbeat|interface"):
        HubConfig(**options)


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "5", '"x"', "{", '{"max_engines": "5"}', '{"ports": 5}', '{"ports": {}}',
     '{"beat": "fast"}', '{"interfaces": null}', '{"interfaces": [1]}', '{"unknown": 1}',
     '{"beat": NaN}', "[" * 100_000, "\0"],
)  # fmt: skip
def test_wrong_json_is_refused(text: str) -> None:
    """Always by a ValueError: whoever starts a hub prints it."""
    with pytest.raises(ValueError, match=r"."):
        HubConfig.from_json(text)


def test_an_unknown_option_is_named() -> None:
    """A typing error in a file is told, not ignored."""
    with pytest.raises(ValueError, match="max_engine, x"):
        HubConfig.from_json('{"x": 1, "max_engine": 5}')


@pytest.mark.parametrize("level", LOG_LEVELS)
def test_log_levels(level: str) -> None:
    """In either case."""
    assert HubConfig(log_level=level).log_level == level
    assert HubConfig(log_level=level.lower())
