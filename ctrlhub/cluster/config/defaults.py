"""What a `Cluster` has where its arguments do not say: what environment and files say to ``ctrl-hub start``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ctrlhub.cluster.config.files import NAME, load, user_file
from ctrlhub.cluster.config.hub import http_values, hub_values
from ctrlhub.cluster.config.launcher import OF_LAUNCHERS, options_known_to, pairs, plain
from ctrlhub.cluster.config.resolving import Layers, Origin
from ctrlhub.cluster.config.settings import SETTINGS
from ctrlhub.controller.http_config import HttpConfig
from ctrlhub.wire.places import Profile

FOR_ONE = ("hub.store", "hub.port_range", "http.listen")
"""What only one cluster can have at a time: not for those without a profile, of which there may be several."""

ELSEWHERE = ("listen", "location", "ssh", "engine_ssh")
"""Fields of `HubConfig` that are about peers on other hosts."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What is configured.

    Parameters
    ----------
    hub
        Fields of `HubConfig`.
    engines
        How many engines.
    timeout
        Seconds within which they must be registered.
    launcher
        How they are started.
    launcher_options
        Options of launchers: `options_for` says which concern one.
    """

    hub: Mapping[str, Any] = field(default_factory=dict)
    engines: int | None = None
    timeout: float | None = None
    launcher: str | None = None
    launcher_options: Mapping[str, Any] = field(default_factory=dict)

    def on_this_host(self) -> Defaults:
        """Return what of it is for a cluster of which nothing is on another host."""
        hub = {name: value for name, value in self.hub.items() if name not in ELSEWHERE}
        return replace(self, hub=hub, launcher=None, launcher_options={})

    def options_for(self, launcher: str) -> dict[str, Any]:
        """Return those options that a launcher has.

        Raises
        ------
        ValueError
            There is no such launcher.
        """
        if not self.launcher_options:
            return {}
        known = options_known_to(launcher)
        return {name: value for name, value in self.launcher_options.items() if name in known}


def defaults_of(profile: Profile | None, environ: Mapping[str, str]) -> Defaults:
    """Return what environment and files say.

    Parameters
    ----------
    profile
        The cluster's, whose file is read; None for a private cluster.
    environ
        Variables of the environment.

    Raises
    ------
    ConfigError
        A file cannot be used.
    ValueError
        A variable has a wrong value.
    """
    of_profile = {} if profile is None else load(profile.directory / NAME)
    layers = Layers(environ, of_profile, load(user_file(environ)))
    said = {
        setting.name: resolved.value
        for setting in SETTINGS
        if (resolved := layers.resolve(setting)).origin is not Origin.DEFAULT
        and (profile is not None or setting.name not in FOR_ONE)
    }

    def of(section: str) -> dict[str, Any]:
        return {each.key: said[each.name] for each in SETTINGS if each.section == section and each.name in said}

    hub, http, launcher = hub_values(of("hub")), http_values(of("http")), of("launcher")
    hub |= {f"log_{key}": value for key, value in of("log").items()}
    if http:
        hub["http"] = HttpConfig(**http)
    options = {name: plain(name, launcher[name]) for name in OF_LAUNCHERS if launcher.get(name) not in (None, ())}
    return Defaults(
        hub, said.get("start.engines"), said.get("start.timeout"), launcher.get("launcher"),
        {**options, **pairs(launcher.get("options", ()))},
    )  # fmt: skip
