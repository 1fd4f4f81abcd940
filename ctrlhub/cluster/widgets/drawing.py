"""The texts of widgets: HTML in which everything that others choose is text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape

from ctrlhub.client.html import link, panel, table
from ctrlhub.cluster.listing import Listed
from ctrlhub.cluster.looks import ClusterLook, EngineLook

_FIRST = ("suspect", "draining", "busy")
"""The states of engines that are shown first."""


def heading(look: ClusterLook) -> str:
    """Return the head of a cluster's widget: what it is, how it is, where its dashboard is."""
    name = f"Cluster {look.profile}" if look.profile else "Cluster"
    extra = f"<div>{escape(look.counted())}</div>" if look.engines or look.phase == "running" else ""
    if look.adapts:
        extra += f"<div>{escape(look.adapts.strip('<>'))}</div>"
    if look.link:
        extra += f"<div>{link(look.link, 'dashboard')}</div>"
    return panel(name, look.described, extra)


def engines(look: ClusterLook) -> str:
    """Return a table of engines, those first that are not idle."""
    if not look.engines:
        return ""
    rows = [
        (each.id, each.state, each.engine_set, each.host, each.pid, each.running, each.queued)
        for each in sorted(look.engines, key=_order)
    ]
    return table(("engine", "state", "set", "host", "pid", "runs", "waits"), rows)


def _order(engine: EngineLook) -> tuple[int, int]:
    return (_FIRST.index(engine.state) if engine.state in _FIRST else len(_FIRST)), engine.id


def clusters(found: Sequence[Listed]) -> str:
    """Return a table of clusters."""
    if not found:
        return panel("Clusters", "none are running")
    rows = [(each.profile, each.state, each.kind, each.host or "", _moment(each.started)) for each in found]
    return panel("Clusters", "", table(("profile", "state", "kind", "host", "since"), rows))


def options(described: Sequence[tuple[str, str, str]]) -> str:
    """Return what a launcher can be told."""
    return f"<details><summary>which there are</summary>{table(('name', 'default', 'meaning'), described)}</details>"


def news(doing: str, trouble: str) -> str:
    """Return what is being done, and what went wrong."""
    text = f'<div role="status">{escape(doing)} …</div>' if doing else ""
    if trouble:
        style = "white-space: pre-wrap; overflow: auto; max-height: 16em; border-left: 3px solid; padding-left: 0.5em"
        text += f'<pre role="alert" style="{style}">{escape(trouble)}</pre>'
    return text


def _moment(when: float | None) -> str:
    return "" if when is None else datetime.fromtimestamp(when).isoformat(sep=" ", timespec="seconds")
