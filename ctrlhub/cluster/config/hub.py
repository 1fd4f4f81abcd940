"""What settings mean to a hub: the fields of its options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

FIELDS: Mapping[str, str] = {"port_range": "ports", "scheme": "task_scheme"}
"""What is called otherwise in `HubConfig`; its defaults hold for what is None."""


def hub_values(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `HubConfig` that somebody has given."""
    return {FIELDS.get(key, key): value for key, value in given.items() if value is not None}


def http_values(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the gateway's options that somebody has given; files as whole paths."""
    values = {key: value for key, value in given.items() if value is not None}
    for key in ("certificate", "key"):
        if key in values:
            values[key] = str(Path(values[key]).expanduser().absolute())
    return values
