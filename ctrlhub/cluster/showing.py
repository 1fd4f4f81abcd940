"""What a cluster looks like: at a prompt, and in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ctrlhub.cluster.known_set import KnownSet


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown of a cluster; nobody is asked for it.

    Parameters
    ----------
    kind
        The name of its class.
    n
        How many engines it is to have.
    name
        The name that its profile was given, if it was.
    profile
        The profile in use.
    launcher
        How its engines are started.
    state
        How its hub is.
    pids
        Its processes.
    adapts
        What follows the queue; empty for nothing.
    sets
        What is known of its engines.
    dashboard
        HTML with the link to the dashboard; empty where there can be none.
    """

    kind: str
    n: int
    name: str | None
    profile: str | None
    launcher: str
    state: str
    pids: Mapping[str, Any]
    adapts: str
    sets: Mapping[str, KnownSet]
    dashboard: str = ""

    def line(self) -> str:
        """Return a line about it."""
        profile = f", profile={self.name!r}" if self.name else ""
        how = f", launcher={self.launcher!r}" if self.launcher != "local" else ""
        return f"<{self.kind}(n={self.n}{profile}{how}): {self.state}{self._counted()}>"

    def panel(self) -> str:
        """Return a panel: state, processes, and the sets of engines."""
        from ctrlhub.client.html import panel, table

        rows = [("engines", self.n), ("profile", self.profile or "private")]
        rows += [(name, pids) for name, pids in self.pids.items() if pids]
        if self.adapts:
            rows.append(("adapts", self.adapts))
        sets = [
            (each.name or "(none)", each.launcher or "?", f"{each.n} of {each.asked}", ", ".join(each.jobs))
            for each in self.sets.values()
        ]
        body = table(("", ""), rows)
        if sets:
            body += table(("set", "launcher", "engines", "jobs"), sets)
        return panel("Cluster", self.state, body + self.dashboard)

    def _counted(self) -> str:
        """Say how many engines each set has, where there is more to say than one number."""
        if not self.sets:
            return ""
        if len(self.sets) == 1:
            (only,) = self.sets.values()
            return "" if only.n == only.asked == self.n else f", {only.n} of {only.asked} engines"
        return ", " + ", ".join(f"{_name(each)}: {each.n} of {each.asked}" for each in self.sets.values())


def _name(known: KnownSet) -> str:
    """Return the name of a set, which an engine may have chosen: it is to do nothing to a terminal."""
    return known.name if known.name.isprintable() and known.name else repr(known.name)
