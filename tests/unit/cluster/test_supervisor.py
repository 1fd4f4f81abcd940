"""A supervisor's configuration."""

from __future__ import annotations

from pathlib import Path

from ctrlhub.cluster.supervisor import SupervisorConfig
from ctrlhub.controller.config import HubConfig


def test_config_survives_its_way_to_the_background() -> None:
    """What was typed is what the background process is told."""
    hub = HubConfig(profile="p", state_dir="/s", listen="::1", ports=(4000, 4010), max_engines=7)
    config = SupervisorConfig(hub, engines=3, timeout=2.5)

    assert "\n" not in config.to_json()
    assert SupervisorConfig.from_json(config.to_json()) == config


def test_config_names_the_profile() -> None:
    """The supervisor's profile is the hub's."""
    profile = SupervisorConfig(HubConfig(profile="p", state_dir="/s"), engines=1).profile

    assert profile.name == "p"
    assert profile.directory == Path("/s/profiles/p")
