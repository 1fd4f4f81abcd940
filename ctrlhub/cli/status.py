"""``ctrl-hub status``: what a running cluster is doing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ctrlhub.cli.asking import connected
from ctrlhub.cli.configured import configured
from ctrlhub.cli.options import json_option, profile_option, state_dir_option
from ctrlhub.cli.text import cores, moment, size, table


@click.command()
@profile_option
@json_option
@state_dir_option
@click.option(
    "--watch",
    is_flag=False,
    flag_value="2",
    type=click.FloatRange(min=0.1),
    metavar="[SECONDS]",
    help="Bring it up to date every 2 seconds, or so often, until Ctrl-C.",
)
@configured("status.timeout")
def status(
    profile: str, as_json: bool, state_dir: Path | None, watch: float | None, timeout: float
) -> None:
    """Show hub, engines and tasks of a running cluster."""
    with connected(profile, state_dir, timeout) as client:
        if watch is not None:
            from ctrlhub.cli.watching import watch as keep_watching

            keep_watching(client.status, _text, watch, as_json=as_json)
        found = client.status()
    click.echo(json.dumps(found, indent=2) if as_json else _text(found))


def _text(found: Mapping[str, Any]) -> str:
    hub, engines, tasks = found["hub"], found["engines"], found["tasks"]
    ports = ", ".join(f"{stream} {port}" for stream, port in hub["ports"].items())
    lines = [
        f"profile  {found['profile']}",
        f"hub      pid {hub['pid']}, version {hub['version']}, since {moment(hub['started'])}",
        f"ports    {ports or 'none: this user on this host only'}",
        f"tasks    {tasks['queued']} queued, {tasks['running']} running; since this hub runs "
        f"{tasks['done']} done, {tasks['failed']} failed",
        *_http(hub.get("http")),
        *_store(found.get("store", {})),
        *_refused(hub.get("refused", 0)),
        *(f"TROUBLE  {each}" for each in hub.get("trouble", [])),
        f"engines  {len(engines)}",
    ]
    columns = {"id": "id", "pid": "pid", "host": "host", "state": "state", "running": "running", "queued": "queued"}
    if any(each.get("engine_set") for each in engines):
        columns["set"] = "engine_set"
    columns |= {"cpu": "cpu", "memory": "rss"} if any(each.get("rss") for each in engines) else {}
    if engines:
        rows = [[_cell(name, each.get(name)) for name in columns.values()] for each in engines]
        lines += ["", *table(tuple(columns), rows)]
    return "\n".join(lines + _hooks(found.get("start_hooks", [])))


def _cell(name: str, value: Any) -> Any:
    """Return how a value of an engine is shown."""
    shown = {"cpu": cores, "rss": size}.get(name)
    return shown(value) if shown is not None else value or ("-" if name == "engine_set" else value)


def _http(http: dict[str, Any] | None) -> list[str]:
    """Show where the HTTP gateway is, if there is one."""
    if http is None:
        return []
    shown = http["url"] or http["state"]
    deaths = f", started again {http['deaths']} times" if http["deaths"] else ""
    return [f"http     {shown} (pid {http['pid'] or '-'}{deaths})"]


def _store(store: dict[str, Any]) -> list[str]:
    """Show where requests and results are, and what is wrong there."""
    if not store or store["kind"] == "memory":
        return []
    shown = f"store    {store['requests']} requests, {store['bytes']:,} bytes in {store['where']}"
    return [shown, *([f"         NOTHING CAN BE STORED: {store['trouble']}"] if store["trouble"] else [])]


def _refused(count: int) -> list[str]:
    """Show whether peers say what they may not, or nonsense."""
    return [f"refused  {count} messages: see the hub's log"] if count else []


def _hooks(hooks: list[dict[str, Any]]) -> list[str]:
    """Show what each engine runs first, and where that failed."""
    if not hooks:
        return []
    columns = ("start hook", "action", "bytes", "state")
    rows = [[hook[name] for name in ("name", "action", "bytes", "state")] for hook in hooks]
    lines = ["", *table(columns, rows)]
    for hook in hooks:
        for number, why in hook["failed"].items():
            lines.append(f"engine {number} gets no tasks: start hook {hook['name']!r} failed: {why}")
    return lines


COMMANDS = {"status": status}
