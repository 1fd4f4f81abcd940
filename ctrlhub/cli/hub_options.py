"""The options of a hub, for the commands that start one."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from ctrlhub.cli.configured import configured
from ctrlhub.cli.options import profile_option, state_dir_option
from ctrlhub.cluster.config.hub import http_values, hub_values
from ctrlhub.cluster.config.settings import of_section

_SETTINGS = of_section("hub")
_HTTP = of_section("http")
_LOG = of_section("log")

def with_hub_config(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the hub's options, and what they mean as its argument `hub`: a `HubConfig`."""

    @wraps(command)
    def run(*args: Any, profile: str, state_dir: Path | None, **others: Any) -> None:
        from ctrlhub.controller.config import HubConfig
        from ctrlhub.controller.http_config import HttpConfig

        log = {each.argument: others.pop(each.argument) for each in _LOG}
        http = {each.key: others.pop(each.argument) for each in _HTTP}
        given = {each.key: others.pop(each.key) for each in _SETTINGS}
        if given["port_range"] is not None and given["listen"] is None:
            raise click.UsageError("--port-range needs --listen: without it there are no TCP ports")
        if given["location"] is not None and given["listen"] is None:
            raise click.UsageError("--location needs --listen: without it there is no TCP to be found")
        values = hub_values(given | log)
        state = "" if state_dir is None else str(state_dir.expanduser().absolute())
        try:
            values["http"] = HttpConfig(**http_values(http))
            hub = HubConfig(profile=profile, state_dir=state, **values)
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        command(*args, hub=hub, **others)

    with_options = configured(*(each.name for each in (*_SETTINGS, *_HTTP, *_LOG)))(run)
    return profile_option(state_dir_option(with_options))
