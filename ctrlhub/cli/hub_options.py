"""The options of a hub, for the commands that start one."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from ctrlhub.cli.options import (
    history_age_option,
    history_bytes_option,
    history_records_option,
    listen_option,
    max_engines_option,
    max_memory_option,
    ports_option,
    profile_option,
    scheme_option,
    state_dir_option,
    store_option,
    task_order_option,
)

_OPTIONS = (
    profile_option,
    listen_option,
    ports_option,
    max_engines_option,
    scheme_option,
    task_order_option,
    store_option,
    max_memory_option,
    history_records_option,
    history_bytes_option,
    history_age_option,
    state_dir_option,
)

_LIMITS = ("max_memory", "history_records", "history_bytes", "history_age")
"""Options named as in `HubConfig`, whose defaults hold where they are not given."""


def with_hub_config(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the hub's options, and what they mean as its argument `hub`: a `HubConfig`."""

    @wraps(command)
    def run(
        *args: Any,
        profile: str,
        listen: str | None,
        ports: tuple[int, int] | None,
        max_engines: int,
        scheme: str,
        task_order: str,
        store: str,
        state_dir: Path | None,
        **others: Any,
    ) -> None:
        from ctrlhub.controller.config import HubConfig

        limits = {name: others.pop(name) for name in _LIMITS}
        if ports is not None and listen is None:
            raise click.UsageError("--port-range needs --listen: without it there are no TCP ports")
        try:
            hub = HubConfig(
                profile=profile,
                state_dir="" if state_dir is None else str(state_dir.expanduser().absolute()),
                listen=listen,
                ports=ports,
                max_engines=max_engines,
                task_scheme=scheme,
                task_order=task_order,
                store=store,
                **{name: value for name, value in limits.items() if value is not None},
            )
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        command(*args, hub=hub, **others)

    for option in reversed(_OPTIONS):
        option(run)
    return run
