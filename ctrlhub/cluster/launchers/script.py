"""Lines of shell that scripts of all launchers have in common."""

from __future__ import annotations

import shlex

from ctrlhub.cluster.launchers.options import LauncherOptions


def shell_lines(options: LauncherOptions) -> list[str]:
    """Return what comes before the engines: the environment, and the user's own lines."""
    exports = []
    for each in options.environment:
        name, _, value = each.partition("=")
        exports.append(f"export {name}={shlex.quote(value)}")
    return [*exports, *options.prologue]
