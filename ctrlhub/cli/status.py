"""``ctrl-hub status``: what a running cluster is doing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ctrlhub.cli.asking import connected
from ctrlhub.cli.configured import configured
from ctrlhub.cli.options import json_option, profile_option, state_dir_option
from ctrlhub.cli.text import moment, table


@click.command()
@profile_option
@json_option
@state_dir_option
@configured("status.timeout")
def status(profile: str, as_json: bool, state_dir: Path | None, timeout: float) -> None:
    """Show hub, engines and tasks of a running cluster."""
    found = _ask(profile, state_dir, timeout)
    click.echo(json.dumps(found, indent=2) if as_json else _text(found))


def _ask(profile: str, state_dir: Path | None, timeout: float) -> dict[str, Any]:
    with connected(profile, state_dir, timeout) as client:
        return client.status()


def _text(found: dict[str, Any]) -> str:
    hub, engines, tasks = found["hub"], found["engines"], found["tasks"]
    ports = ", ".join(f"{stream} {port}" for stream, port in hub["ports"].items())
    lines = [
        f"profile  {found['profile']}",
        f"hub      pid {hub['pid']}, version {hub['version']}, since {moment(hub['started'])}",
        f"ports    {ports or 'none: this user on this host only'}",
        f"tasks    {tasks['queued']} queued, {tasks['running']} running; since this hub runs "
        f"{tasks['done']} done, {tasks['failed']} failed",
        *_store(found.get("store", {})),
        *_refused(hub.get("refused", 0)),
        *(f"TROUBLE  {each}" for each in hub.get("trouble", [])),
        f"engines  {len(engines)}",
    ]
    columns = ("id", "pid", "host", "state", "running", "queued")
    if engines:
        lines += ["", *table(columns, [[each[name] for name in columns] for each in engines])]
    return "\n".join(lines + _hooks(found.get("start_hooks", [])))


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
