"""Arguments of `Cluster` that come from ipyparallel, and are called otherwise here or mean nothing."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Mapping
from typing import Any
from warnings import warn

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.http_config import HttpConfig

CALLED = {"cluster_id": "profile", "engine_timeout": "timeout"}
"""What has another name here."""

LAUNCHER = "engines", "engine_launcher_class"
"""How else a launcher is given: by its name, or as a class or the name of one."""

_LAUNCHER_CLASS = re.compile("(EngineSet|Engine)?Launcher$")

IGNORED = {
    "delay": "engines start as soon as they can",
    "load_profile": "config.toml of its profile is read in any case",
    "profile_dir": "clusters are found by profile, wherever IPython keeps its files",
    "send_engines_connection_env": "engines read the connection file",
    "shutdown_atexit": "a Cluster ends with the program that made it; "
    "`ctrl-hub start` makes one that outlives it",
}
"""What is taken and ignored, and why."""

INSTEAD = {
    "controller": "hub and engines run on this host",
    "controller_args": "the hub's options are arguments of Cluster",
    "controller_ip": "listen='ADDRESS' has the hub listen for other hosts",
    "controller_location": "location='ADDRESS' says where other hosts find what listen= names",
    "controller_launcher_class": "hub and engines run on this host",
}
"""What is refused unless it says ``'local'``, and what to do instead."""

_OWN = (
    "n", "profile", "state_dir", "listen", "prefer", "max_engines", "launcher",
    "launcher_options", "wait_for", "timeout", "progress", "scheme", "task_order", "store",
)  # fmt: skip


def options_of(others: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hub's options among the arguments that are not `Cluster`'s own; one that is None says nothing.

    Raises
    ------
    TypeError
        There is no such argument, or it asks for what is done otherwise here.
    """
    known = {field.name for field in dataclasses.fields(HubConfig)} - {"listen", "max_engines", "store", "task_order"}
    options: dict[str, Any] = {}
    for name, value in others.items():
        if name == "log_level" and (value is None or type(value) is int):
            options |= {} if value is None else {name: logging.getLevelName(value)}
        elif name == "http":
            options |= {} if value is None else {name: http_of(value)}
        elif name in known:
            options |= {} if value is None else {name: value}
        elif name in INSTEAD:
            if value not in (None, "local", "Local"):
                raise TypeError(f"Cluster: {name}={value!r}: {INSTEAD[name]}")
        elif name in IGNORED:
            if value is not None:
                warn(f"Cluster: {name} is ignored: {IGNORED[name]}", stacklevel=3)
        else:
            listed = ", ".join((*_OWN, *sorted(known)))
            raise TypeError(f"Cluster has no argument {name!r}; it has: {listed}")
    return options


def http_of(value: Any) -> HttpConfig:
    """Return the options of the HTTP gateway: they are given whole, as a map, or as where it listens.

    Raises
    ------
    TypeError, ValueError
        It is none of these, or an option has a wrong value.
    """
    if isinstance(value, HttpConfig):
        return value
    if isinstance(value, Mapping):
        return HttpConfig.from_plain(value)
    if isinstance(value, str):
        return HttpConfig(listen=value)
    raise TypeError(f"http is where the gateway listens, or a map of its options, not {value!r:.80}")


def launcher_of(others: dict[str, Any], launcher: str | None) -> str | None:
    """Take out of others how ipyparallel names a launcher of engines, and return the launcher; None if none is given.

    Raises
    ------
    TypeError
        Two are given.
    """
    named = {name: others.pop(name, None) for name in LAUNCHER}
    for name, value in named.items():
        if value is None or value == "":
            continue
        text = value if isinstance(value, str) else getattr(value, "__name__", repr(value))
        found = _LAUNCHER_CLASS.sub("", text.rpartition(".")[2]).lower()
        if launcher not in (None, "local", found):
            raise TypeError(f"Cluster: {name}={value!r} is launcher={found!r} here: give one of them")
        launcher = found
    return launcher


def renamed(others: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Take the arguments that have another name here out of others; return them by that name.

    Raises
    ------
    TypeError
        One is given by both names, with two values.
    """
    found = {}
    for name, name_here in CALLED.items():
        value = others.pop(name, None)
        if value is None or value == "":
            continue
        if own.get(name_here) not in (None, value):
            raise TypeError(f"Cluster: {name} is {name_here} here: give one of them")
        found[name_here] = value
    return found
