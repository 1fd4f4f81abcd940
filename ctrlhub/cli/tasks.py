"""``ctrl-hub tasks``, ``explain`` and ``cancel``: the requests of all clients."""

from __future__ import annotations

import heapq
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ctrlhub.cli.asking import connected, request_id
from ctrlhub.cli.configured import configured
from ctrlhub.cli.exits import Exit
from ctrlhub.cli.options import json_option, profile_option, state_dir_option
from ctrlhub.cli.text import duration, moment, plain, table

if TYPE_CHECKING:
    from ctrlhub.client.client import Client

STATES = ("queued", "running", "ok", "error", "aborted")
"""What a request may be, as records say it."""
UNFINISHED = ("queued", "running")
KINDS = {"task": "task", "command": "multiengine"}
"""Kinds of requests, and the streams on which they travel."""

_KEYS = (
    "msg_id", "client", "stream", "action", "label", "status", "engine_id", "submitted", "started",
    "completed", "error",
)  # fmt: skip
MOST_LATEST = 1000
"""The most records that the hub chooses among by itself."""
_LONGEST = 60
"""An error is cut to so many characters in a table."""


def _records(client: Client, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield records that fit, page by page: there may be millions."""
    history = client.interface("history")
    after: int | None = 0
    while after is not None:
        page = history.select(query=query, keys=list(_KEYS), after=after)
        yield from page["records"]
        after = page["after"]


@click.command()
@click.option("--state", "states", type=click.Choice(STATES), multiple=True, help="Only these; can be given several times.")
@click.option("--kind", type=click.Choice(list(KINDS)), help="Only tasks, for any engine, or commands, for certain ones.")
@click.option("--session", type=click.IntRange(min=1), metavar="N", help="Only those of one client.")
@click.option("--engine", type=click.IntRange(min=0), metavar="N", help="Only those that an engine has, or had.")
@click.option("--label", metavar="PATTERN", help="Only those whose label fits, such as 'fit-*'.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, metavar="N", help="The last N of them.")
@configured("status.timeout")
@profile_option
@json_option
@state_dir_option
def tasks(
    states: tuple[str, ...],
    kind: str | None,
    session: int | None,
    engine: int | None,
    label: str | None,
    limit: int,
    timeout: float,
    profile: str,
    as_json: bool,
    state_dir: Path | None,
) -> None:
    """List requests of all clients, the last ones last.

    Those that wait or run, and those that have ended as far as the hub remembers them.
    """
    query: dict[str, Any] = {}
    if states:
        query["status"] = {"$in": list(states)}
    if kind is not None:
        query["stream"] = KINDS[kind]
    if session is not None:
        query["client"] = session
    if engine is not None:
        query["engine_id"] = engine
    if label is not None:
        query["label"] = {"$glob": label}
    with connected(profile, state_dir, timeout) as client:
        found, counts = _last(client, query, limit)
    if as_json:
        click.echo(json.dumps({"tasks": found, "counts": dict(counts)}, indent=2))
    elif not found:
        click.echo("no requests")
    else:
        click.echo("\n".join(_table(found)))
        total = counts.total()
        shown = f"the last {len(found)} of {total}: " if total > len(found) else ""
        click.echo("\n" + shown + ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state]))


def _last(client: Client, query: Mapping[str, Any], limit: int) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Return the last of the records that fit, the last one last, and how many there are, by status.

    The hub counts them, and sends for each page those alone that may be among the last.
    """
    history, counts = client.interface("history"), Counter[str]()
    if limit > MOST_LATEST:  # so many are sent as they come
        found = heapq.nlargest(limit, _counted(_records(client, query), counts), key=_submitted)
        return found[::-1], counts
    last: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = history.latest(query=query, keys=list(_KEYS), limit=limit, after=after)
        counts.update(page["counts"])
        last = sorted([*last, *page["records"]], key=_submitted)[-limit:]
        after = page["after"]
    return last, counts


def _counted(records: Iterator[dict[str, Any]], counts: Counter[str]) -> Iterator[dict[str, Any]]:
    for record in records:
        counts[record["status"]] += 1
        yield record


def _submitted(record: Mapping[str, Any]) -> Any:
    from ctrlhub.wire.ids import number_of

    return record["submitted"], number_of(record["msg_id"])


def _table(found: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [
        (
            each["msg_id"],
            _kind(each),
            each["status"],
            each["engine_id"],
            moment(each["submitted"]),
            _took(each),
            each["label"] or each["action"],
            _cut(each["error"] or ""),
        )
        for each in found
    ]
    return table(("id", "kind", "state", "engine", "submitted", "took", "what", "error"), rows)


def _kind(record: Mapping[str, Any]) -> str:
    return next((kind for kind, stream in KINDS.items() if stream == record["stream"]), record["stream"])


def _took(record: Mapping[str, Any]) -> str | None:
    if record["started"] is None or record["completed"] is None:
        return None
    return duration(record["completed"] - record["started"])


def _cut(text: str) -> str:
    line = text.splitlines()[0] if text else ""
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."


# ---------------------------------------------------------------- explain


@click.command()
@click.argument("task", metavar="TASK", callback=request_id)
@configured("status.timeout")
@profile_option
@json_option
@state_dir_option
@click.pass_context
def explain(
    ctx: click.Context,
    task: str,
    timeout: float,
    profile: str,
    as_json: bool,
    state_dir: Path | None,
) -> None:
    """Say why a request does not run, or how it ended.

    TASK is its id, such as 7-42: `ctrl-hub tasks` lists them, and a result in Python has msg_ids.
    """
    with connected(profile, state_dir, timeout) as client:
        found = _explained(client, task)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo(f"{task}: {plain(found['why'])}")
        click.echo("".join(f"  {name:<10} {text}\n" for name, text in _described(found["record"])), nl=False)
    if found["record"] is None:
        ctx.exit(Exit.ERROR)


def _explained(client: Client, task: str) -> dict[str, Any]:
    from ctrlhub.wire.ids import number_of

    number = number_of(task)
    records = client.interface("history").records(requests=[[number, number]])["records"]
    record = records[0] if records else None
    if record is not None and record["stream"] == KINDS["command"]:
        why = _why_command(client, record)
    elif record is not None and record["error"] and record["status"] not in UNFINISHED:
        why = f"it has ended: {_cut(record['error'])}"
    else:
        why = str(client.interface("tasks").explain(request=number)["why"])
    return {"id": task, "why": why, "record": record}


def _why_command(client: Client, record: Mapping[str, Any]) -> str:
    if record["status"] not in UNFINISHED:
        return f"it has ended: {_cut(record['error'])}" if record["error"] else "it has ended well"
    engine = record["engine_id"]
    queued = client.queue_status(verbose=True).get(engine, {}).get("queue", [])
    if record["msg_id"] not in queued:
        return f"engine {engine} has it"
    ahead = queued.index(record["msg_id"])
    if not ahead:
        return f"it is the first command that engine {engine} has: it runs there, or waits for the task that does"
    before = "one command" if ahead == 1 else f"{ahead} commands"
    return f"it waits for {before} before it on engine {engine}, {queued[0]} first"


def _described(record: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    if record is None:
        return
    yield "kind", f"{_kind(record)} ({record['action']})"
    yield "state", record["status"]
    if record["label"]:
        yield "label", plain(record["label"])
    yield "session", str(record["client"])
    if record["engine_id"] is not None:
        yield "engine", str(record["engine_id"])
    for name in ("submitted", "started", "completed"):
        if record[name] is not None:
            yield name, moment(record[name])
    took = _took(record)
    if took is not None:
        yield "took", took
    if record["error"]:
        yield "error", "\n             ".join(map(plain, record["error"].splitlines()))


# ---------------------------------------------------------------- cancel


@click.command()
@click.argument("task", metavar="[TASK]...", nargs=-1, callback=request_id)
@click.option("--session", type=click.IntRange(min=1), metavar="N", help="All of one client.")
@click.option("--all", "everything", is_flag=True, help="All that wait or run.")
@click.option("--label", metavar="PATTERN", help="All whose label fits, such as 'fit-*'.")
@click.option("--queued", is_flag=True, help="Of these only what does not run yet.")
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long tasks may go on after the interrupt, before their engines are started again.  "
    "[default: as they were submitted with]",
)
@click.option("--yes", is_flag=True, help="Do not ask whether that is meant.")
@configured("status.timeout")
@profile_option
@json_option
@state_dir_option
@click.pass_context
def cancel(
    ctx: click.Context,
    task: tuple[str, ...],
    session: int | None,
    everything: bool,
    label: str | None,
    queued: bool,
    grace: float | None,
    yes: bool,
    timeout: float,
    profile: str,
    as_json: bool,
    state_dir: Path | None,
) -> None:
    """Cancel requests that wait or run.

    What waits is cancelled at once, what runs by an interrupt. TASK is an id, such as 7-42. Their clients get them as cancelled, and go on.
    """
    chosen = everything or session is not None or label is not None
    if bool(task) == chosen:
        raise click.UsageError("name requests by their ids, or say --session N, --label PATTERN or --all")
    if task and queued:
        raise click.UsageError("--queued goes with --session, --label or --all")
    with connected(profile, state_dir, timeout) as client:
        ids = list(task)
        if chosen:
            query: dict[str, Any] = {"status": {"$in": list(UNFINISHED[:1] if queued else UNFINISHED)}}
            if session is not None:
                query["client"] = session
            if label is not None:
                query["label"] = {"$glob": label}
            ids = [record["msg_id"] for record in _records(client, query)]
            if ids and not yes:
                _confirm(len(ids))
        done = client.cancel_requests(ids, grace=grace) if ids else {}
    if as_json:
        click.echo(json.dumps({"asked": len(ids), **done}, indent=2))
    else:
        click.echo(_what_became(done))
    if done.get("unknown"):
        ctx.exit(Exit.ERROR)


def _confirm(count: int) -> None:
    """Ask whether that is meant."""
    if not sys.stdin.isatty():
        raise click.UsageError(f"that are {count} requests: say --yes, since nobody can be asked here")
    click.confirm(f"cancel {count} requests?", abort=True, err=True)


def _what_became(done: Mapping[str, Sequence[str]]) -> str:
    said = {
        "cancelled": "cancelled",
        "interrupted": "interrupted; they end when they heed it",
        "finished": "had ended already",
        "unknown": "not known to the hub",
    }
    lines = []
    for how, ids in done.items():
        if ids:
            few = ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")
            lines.append(f"{len(ids)} {said[how]}: {few}")
    return "\n".join(lines) or "nothing to cancel"


COMMANDS = {"tasks": tasks, "explain": explain, "cancel": cancel}
