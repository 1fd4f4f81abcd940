"""What a cluster looks like: at a prompt, and in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ctrlhub.cluster.cluster import Cluster
    from ctrlhub.cluster.engine_sets import KnownSet


def shown(cluster: Cluster, n: int, name: str | None, state: str) -> str:
    """Return a line about a cluster; nobody is asked."""
    profile = f", profile={name!r}" if name else ""
    how = f", launcher={cluster.launcher!r}" if cluster.launcher != "local" else ""
    return f"<{type(cluster).__name__}(n={n}{profile}{how}): {state}{_counted(cluster)}>"


def shown_in_html(cluster: Cluster, state: str) -> str:
    """Return a panel: state, processes, and the sets of engines."""
    from ctrlhub.client.html import panel, table

    rows = [("engines", cluster.n), ("profile", cluster.profile or "private")]
    rows += [(name, pids) for name, pids in cluster.pids.items() if pids]
    if cluster._adapter is not None and cluster._adapter.running:
        rows.append(("adapts", repr(cluster._adapter)))
    sets = [
        (each.name or "(none)", each.launcher or "?", f"{each.n} of {each.asked}", ", ".join(each.jobs))
        for each in _known(cluster).values()
    ]
    body = table(("", ""), rows)
    if sets:
        body += table(("set", "launcher", "engines", "jobs"), sets)
    return panel("Cluster", state, body)


def _counted(cluster: Cluster) -> str:
    """Say how many engines each set has, where there is more to say than one number."""
    known = _known(cluster)
    if not known:
        return ""
    if len(known) == 1:
        (only,) = known.values()
        return "" if only.n == only.asked == cluster.n else f", {only.n} of {only.asked} engines"
    return ", " + ", ".join(f"{_name(each)}: {each.n} of {each.asked}" for each in known.values())


def _name(known: KnownSet) -> str:
    """Return the name of a set, which an engine may have chosen: it is to do nothing to a terminal."""
    return known.name if known.name.isprintable() and known.name else repr(known.name)


def _known(cluster: Cluster) -> dict[str, KnownSet]:
    sets = cluster._engine_sets
    if sets is None or cluster._client is None or cluster._client.closed:
        return {}
    return sets.known_here()
