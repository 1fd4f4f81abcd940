"""The page of ``ctrl-hub status --watch``."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from ctrlhub.cli.watching import Seen, page


def status(engines: int = 2, done: int = 0, **more: Any) -> dict[str, Any]:
    """Return a status as the hub says it."""
    return {
        "profile": "default",
        "hub": {"pid": 7, "started": 100.0, "version": "1", "ports": {}, "refused": 0, "trouble": [], **more},
        "tasks": {"queued": 12345, "running": 2, "done": done, "failed": 1},
        "store": {"kind": "memory", "trouble": ""},
        "engines": [
            {"id": n, "pid": 1000 + n, "host": f"node{n % 2}", "state": "busy" if n % 4 else "idle",
             "running": 0, "queued": 1, "engine_set": "slurm",
             "cpu": 0.5 if n else None, "rss": 3 << 19 if n else None}
            for n in range(engines)
        ],
    }  # fmt: skip


def shown(seen: Seen, before: Seen | None = None, height: int = 40) -> str:
    """Return what stands on the screen."""
    console = Console(file=io.StringIO(), width=100, height=height, color_system=None)
    console.print(page(seen, before, height))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_engines_in_a_table() -> None:
    """Each with its state, and what the hub does above it."""
    text = shown(Seen(status(), 0.0))

    assert "12,345 queued, 2 running, 0 done, 1 failed" in text
    assert "engines  2  1 busy  1 idle" in text
    assert [line.split() for line in text.splitlines() if "node" in line] == [
        ["0", "1000", "node0", "slurm", "idle", "0", "1", "-", "-"],
        ["1", "1001", "node1", "slurm", "busy", "0", "1", "50%", "2", "MiB"],
    ]


def test_how_many_in_a_second() -> None:
    """From two answers of the same hub."""
    before = Seen(status(done=100), 10.0)
    assert "(250/s)" in shown(Seen(status(done=600), 12.0), before)
    assert "/s)" not in shown(Seen(status(done=600, started=200.0), 12.0), before)
    assert "/s)" not in shown(Seen(status(done=600), 12.0))


def test_more_engines_than_lines_are_shown_by_host() -> None:
    """The page fits the screen."""
    text = shown(Seen(status(engines=200), 0.0), height=30)

    assert [line.split() for line in text.splitlines() if line.lstrip().startswith("node")] == [
        ["node0", "100", "50", "50", "0", "100", "4950%", "148", "MiB"],
        ["node1", "100", "0", "100", "0", "100", "5000%", "150", "MiB"],
    ]
    assert len(text.splitlines()) <= 30


@pytest.mark.parametrize("height", [1, 10, 24])
def test_any_screen(height: int) -> None:
    """Also a small one, and no engines."""
    assert "default" in shown(Seen(status(engines=0), 0.0), height=height)


def test_a_hub_that_does_not_answer() -> None:
    """What was known stays on the screen, and it is said that the hub is away."""
    text = shown(Seen(None, 12.0, "the hub does not answer"), Seen(status(), 10.0))
    assert "the hub does not answer" in text
    assert "node1" in text
    assert shown(Seen(None, 0.0, "no answer")).strip() == "no answer"


def test_names_of_others_do_nothing_to_the_terminal() -> None:
    """A host may call itself what it likes."""
    wild = status(engines=1, trouble=["\x1b]0;gotcha\x07"])
    wild["engines"][0]["host"] = "\x1b[2J[red]x"
    text = shown(Seen(wild, 0.0))
    assert "\x1b" not in text
    assert "\\x1b[2J[red]x" in text
