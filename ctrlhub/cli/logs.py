"""``ctrl-hub logs``: what hub, nannies and engines have written, also of those that are dead."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ctrlhub.cli.asking import engine_ids
from ctrlhub.cli.options import find_profile, json_option, profile_option, state_dir_option

if TYPE_CHECKING:
    from ctrlhub.cluster.log_files import LogFile
    from ctrlhub.cluster.tailing import Tail

POLL = 0.2
"""So often (seconds) files are looked at that are followed."""
NEW = 2.0
"""So often (seconds) it is looked for logs that have come since."""


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written, until Ctrl-C.")
@click.option("-n", "--lines", type=click.IntRange(min=0), default=20, show_default=True, metavar="N", help="How many lines of the end of each.")
@click.option("--hub", "writers", flag_value="hub", multiple=True, help="The hub's.")
@click.option("--nanny", "writers", flag_value="nanny", multiple=True, help="Those of nannies, which start engines.")
@click.option("--supervisor", "writers", flag_value="supervisor", multiple=True, help="That of `ctrl-hub start --daemonize`.")
@click.option("--engines", "writers", flag_value="engine", multiple=True, help="Those of all engines.")
@click.option("--engine", "engine", callback=engine_ids, multiple=True, metavar="N", help="That of an engine; 0-3 and 0,2 are several.")
@click.option("--raw", is_flag=True, help="Lines of JSON as they are.")
@click.option("--files", is_flag=True, help="Only name the files.")
@profile_option
@json_option
@state_dir_option
def logs(
    follow: bool,
    lines: int,
    writers: tuple[str, ...],
    engine: list[int],
    raw: bool,
    files: bool,
    profile: str,
    as_json: bool,
    state_dir: Path | None,
) -> None:
    """Show the logs of hub, nannies and engines.

    All but those of engines, if none is chosen. They are in the profile, and are shown whether or not
    anything of it runs; --json names the files.
    """
    from ctrlhub.cluster.log_files import log_files
    from ctrlhub.wire.errors import HubNotFound

    place = find_profile(profile, state_dir)

    def chosen() -> list[LogFile]:
        return [each for each in log_files(place) if _is_chosen(each, writers, engine)]

    found = chosen()
    if as_json:
        click.echo(json.dumps([_plain(each) for each in found], indent=2))
        return
    if not found and not follow:
        which = f"engine {', '.join(map(str, engine))}" if engine else ", ".join(writers) or "any part"
        raise HubNotFound(f"there are no logs of {which} of profile {profile!r} in {place.logs}")
    if files:
        click.echo("\n".join(str(each.path) for each in found))
        return
    shown = _Shown(lines, raw=raw)
    shown.take(found)
    shown.show(last=not follow)
    if follow:
        _follow(shown, chosen)


def _is_chosen(log: LogFile, writers: Sequence[str], engines: Sequence[int]) -> bool:
    if not writers and not engines:
        return log.writer != "engine"
    # The log of a set of engines is that of its nannies, and of who started them.
    writer = "nanny" if log.writer == "set" else log.writer
    return writer in writers or log.engine in engines


def _plain(log: LogFile) -> dict[str, Any]:
    return {
        "path": str(log.path),
        "writer": log.writer.value,
        "name": log.name,
        "engine": log.engine,
        "bytes": log.path.stat().st_size,
    }


class _Shown:
    """The files that are shown, each line with whose it is where there are several."""

    def __init__(self, lines: int, *, raw: bool) -> None:
        from ctrlhub.cluster.log_lines import readable

        self._lines = lines
        self._reads: Callable[[str], str] = str if raw else readable
        self._tails: dict[Path, tuple[str, Tail]] = {}

    def take(self, logs: Sequence[LogFile]) -> None:
        """Take in those that are new."""
        from ctrlhub.cluster.tailing import Tail

        for log in logs:
            if log.path not in self._tails:
                self._tails[log.path] = log.name, Tail(log.path, self._lines)

    def show(self, *, last: bool = False) -> None:
        """Show what has come; with `last`, also lines without an end."""
        width = max((len(name) for name, _ in self._tails.values()), default=0)
        for name, tail in self._tails.values():
            for line in tail.finish() if last else tail.read():
                text = self._reads(line)
                click.echo(text if len(self._tails) == 1 else f"{name:<{width}} | {text}")


def _follow(shown: _Shown, chosen: Callable[[], list[LogFile]]) -> None:
    looked = time.monotonic()
    while True:
        time.sleep(POLL)  # a file tells nobody that it was written to
        if time.monotonic() >= looked + NEW:
            looked = time.monotonic()
            shown.take(chosen())
        shown.show()


COMMANDS = {"logs": logs}
