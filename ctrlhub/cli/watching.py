"""A status that is brought up to date: a table on a terminal, else the same text again and again."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ctrlhub.cli.text import cores, moment, plain, size

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.table import Table

_COLOURS = {"idle": "green", "busy": "cyan", "draining": "yellow", "suspect": "red"}
_AROUND = 14
"""So many lines of the screen are not the engines'."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen at some moment.

    Parameters
    ----------
    status
        What the hub said; None where it did not answer.
    when
        The moment (seconds, of a clock that does not jump).
    trouble
        Why it did not.
    """

    status: Mapping[str, Any] | None
    when: float
    trouble: str = ""


def watch(
    ask: Callable[[], Mapping[str, Any]],
    shown: Callable[[Mapping[str, Any]], str],
    seconds: float,
    *,
    as_json: bool,
) -> NoReturn:
    """Show the status until Ctrl-C, or until there is no hub any more.

    Parameters
    ----------
    ask
        Asks the hub.
    shown
        Writes its answer as text.
    seconds
        The pause between two questions.
    as_json
        Write each answer as a line of JSON.
    """
    if as_json:
        _repeat(ask, seconds, lambda seen: json.dumps(seen.status or {"trouble": seen.trouble}))
    if not sys.stdout.isatty():
        _repeat(ask, seconds, lambda seen: _text(seen, shown))
    from rich.console import Console

    console = Console()
    if console.is_dumb_terminal:
        _repeat(ask, seconds, lambda seen: _text(seen, shown))
    _live(console, ask, seconds)


def _look(ask: Callable[[], Mapping[str, Any]]) -> Seen:
    from ctrlhub.wire.errors import HubUnavailable

    try:
        return Seen(ask(), time.monotonic())
    except HubUnavailable as error:  # it may be on its way back
        return Seen(None, time.monotonic(), str(error))


def _repeat(ask: Callable[[], Mapping[str, Any]], seconds: float, write: Callable[[Seen], str]) -> NoReturn:
    while True:
        click.echo(write(_look(ask)))
        time.sleep(seconds)


def _text(seen: Seen, shown: Callable[[Mapping[str, Any]], str]) -> str:
    said = shown(seen.status) if seen.status is not None else f"TROUBLE  {seen.trouble}"
    return f"{moment(time.time())}\n{said}\n"


def _live(console: Console, ask: Callable[[], Mapping[str, Any]], seconds: float) -> NoReturn:
    from rich.live import Live

    before, seen = None, _look(ask)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(page(seen, before, console.height), refresh=True)
            time.sleep(seconds)
            before, seen = seen if seen.status is not None else before, _look(ask)


# ---------------------------------------------------------------- the page


def page(seen: Seen, before: Seen | None, height: int) -> Group:
    """Make what stands on the screen.

    Parameters
    ----------
    seen
        What is.
    before
        What was, at the last question that was answered.
    height
        How many lines the screen has.
    """
    from rich.console import Group
    from rich.text import Text

    status = seen.status if seen.status is not None else before.status if before is not None else None
    lines = []
    if seen.trouble:
        lines.append(Text(plain(seen.trouble), "bold red"))
    if status is None:
        return Group(*lines)
    parts: list[Any] = [*lines, _head(status, _rate(seen, before)), Text("")]
    engines = status["engines"]
    parts.append(_by_host(engines) if len(engines) > max(4, height - _AROUND) else _each(engines))
    parts.append(Text("Ctrl-C ends this; the cluster goes on", "dim"))
    return Group(*parts)


def _rate(seen: Seen, before: Seen | None) -> float | None:
    """Return how many tasks have ended in a second."""
    if before is None or before.status is None or seen.status is None:
        return None
    if seen.status["hub"]["started"] != before.status["hub"]["started"] or seen.when <= before.when:
        return None  # another hub counts anew
    ended = [of["tasks"]["done"] + of["tasks"]["failed"] for of in (before.status, seen.status)]
    return float(ended[1] - ended[0]) / (seen.when - before.when)


def _head(status: Mapping[str, Any], rate: float | None) -> Table:
    from rich.table import Table
    from rich.text import Text

    hub, tasks, store = status["hub"], status["tasks"], status.get("store") or {}
    head = Table.grid(padding=(0, 2))
    head.add_row("profile", status["profile"])
    head.add_row("hub", f"pid {hub['pid']}, version {hub['version']}, since {moment(hub['started'])}")
    ended = f"{tasks['done']:,} done, {tasks['failed']:,} failed"
    speed = "" if rate is None else f" ({rate:,.0f}/s)"
    head.add_row("tasks", f"{tasks['queued']:,} queued, {tasks['running']:,} running, {ended}{speed}")
    if store and store["kind"] != "memory":
        head.add_row("store", f"{store['requests']:,} requests, {store['bytes']:,} bytes")
    troubles = [*hub.get("trouble", []), *filter(None, [store.get("trouble", "")])]
    if hub.get("refused"):
        troubles.append(f"{hub['refused']} messages were refused: see the hub's log")
    for trouble in troubles:
        head.add_row(Text("trouble", "bold red"), Text(plain(trouble), "red"))
    states = _counts(status["engines"])
    shown = Text(f"{len(status['engines'])}")
    for state, count in states.items():
        shown.append(f"  {count} {state}", _COLOURS.get(state, ""))
    head.add_row("engines", shown)
    return head


def _counts(engines: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for engine in engines:
        counts[engine["state"]] = counts.get(engine["state"], 0) + 1
    return dict(sorted(counts.items()))


def _each(engines: Sequence[Mapping[str, Any]]) -> Table:
    from rich.text import Text

    numbers = ("id", "pid", "running", "queued", "cpu", "memory")
    table = _table("id", "pid", "host", "set", "state", "running", "queued", "cpu", "memory", right=numbers)
    for engine in engines:
        state = engine["state"]
        cells = (
            engine["id"], engine["pid"], engine["host"], engine.get("engine_set") or "-",
            state, engine["running"], engine["queued"], cores(engine.get("cpu")), size(engine.get("rss")),
        )  # fmt: skip
        table.add_row(*(Text(plain(each), _COLOURS.get(state, "") if each is state else "") for each in cells))
    return table


def _by_host(engines: Sequence[Mapping[str, Any]]) -> Table:
    """Make one line for each host: of many engines it is not each that is looked at."""
    from rich.text import Text

    numbers = ("engines", "idle", "busy", "other", "queued", "cpu", "memory")
    table = _table("host", *numbers, right=numbers)
    hosts: dict[str, list[Mapping[str, Any]]] = {}
    for engine in engines:
        hosts.setdefault(engine["host"], []).append(engine)
    for host, those in sorted(hosts.items()):
        counts = _counts(those)
        idle, busy = counts.get("idle", 0), counts.get("busy", 0)
        queued = sum(each["queued"] for each in those)
        cells = (len(those), idle, busy, len(those) - idle - busy, queued)
        used = cores(_sum(each.get("cpu") for each in those)), size(_sum(each.get("rss") for each in those))
        table.add_row(Text(plain(host)), *map(str, cells), *used)
    return table


def _sum(values: Iterable[float | None]) -> float | None:
    """Return the sum of those that are known; None if none is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _table(*columns: str, right: Sequence[str]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column.upper(), justify="right" if column in right else "left", no_wrap=True)
    return table
