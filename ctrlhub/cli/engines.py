"""``ctrl-hub engines``: sets of engines, wherever they run."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ctrlhub.cli.engines_here import restart_here, sets_here, stop_here
from ctrlhub.cli.helping import PanelGroup
from ctrlhub.cli.options import find_profile, json_option, profile_option, state_dir_option
from ctrlhub.cli.text import moment, table

if TYPE_CHECKING:
    from ctrlhub.cluster.launchers.base import Launcher
    from ctrlhub.cluster.launchers.sets import SetRecords
    from ctrlhub.wire.places import Profile


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Say which profile is meant."""
    return profile_option(state_dir_option(command))


@click.group(cls=PanelGroup)
def engines() -> None:
    """Start, list and stop sets of engines, here or elsewhere.

    A set is a number of engines that were started together: one job of a batch system, say.
    """


@engines.command("list")
@place_options
@json_option
def list_sets(profile: str, state_dir: Path | None, as_json: bool) -> None:
    """List the sets of engines of a profile, and how they are."""
    from ctrlhub.cluster.launchers.sets import known_sets

    place = find_profile(profile, state_dir)
    found = known_sets(place)
    states = _states(found)
    rows = [{**described_set(each), **state} for each, state in zip(found.launchers, states, strict=True)]
    rows = [*sets_here(place, found).values(), *rows]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif not rows:
        click.echo("no sets of engines")
    else:
        columns = ("set", "launcher", "n", "state", "started", "reason")
        shown = [[_shown(name, row[name]) for name in columns] for row in rows]
        click.echo("\n".join(table(columns, shown)))
    _complain(found)


def _shown(column: str, value: Any) -> Any:
    return moment(value) if column == "started" and value is not None else value


def _states(found: SetRecords) -> list[dict[str, Any]]:
    from ctrlhub.cluster.launchers.base import Phase
    from ctrlhub.cluster.launchers.sets import in_parallel

    states: dict[str, dict[str, Any]] = {}

    def ask(launcher: Launcher) -> None:
        state = launcher.state()
        states[launcher.spec.key] = {"state": state.phase.value, "reason": state.reason, "log": state.log}

    errors = in_parallel(found.launchers, ask)
    for launcher, error in zip(found.launchers, errors, strict=True):
        if error is not None:
            states[launcher.spec.key] = {"state": Phase.UNKNOWN.value, "reason": str(error), "log": ""}
    return [states[each.spec.key] for each in found.launchers]


def described_set(launcher: Launcher) -> dict[str, Any]:
    """Describe a set, or a part of one, for scripts."""
    spec = launcher.spec
    return {
        "set": spec.key,
        "launcher": spec.launcher,
        "n": spec.n,
        "started": spec.created,
        "owner": spec.owner.value,
        "handle": launcher.handle,
    }


def _complain(found: SetRecords) -> None:
    for trouble in found.troubles:
        click.echo(f"ctrl-hub: {trouble}", err=True)


@engines.command()
@click.argument("names", metavar="[SET]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All sets of the profile.")
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long they may take to end in good order.",
)
@place_options
@json_option
def stop(
    names: tuple[str, ...],
    everything: bool,
    patience: float,
    profile: str,
    state_dir: Path | None,
    as_json: bool,
) -> None:
    """End sets of engines, running or queued, and see to it that nothing is left.

    With one set in the profile it need not be named.
    """
    from ctrlhub.cluster.launchers.sets import known_sets, stop_sets

    place = find_profile(profile, state_dir)
    found = known_sets(place)
    here = sets_here(place, found)
    chosen = list(found.launchers) if everything else _chosen(found, names, here)
    chosen_here = _chosen_here(here, found, names, everything)
    _complain(found)
    if chosen_here:
        stop_here(place, chosen_here)
    stop_sets(chosen, patience)
    if as_json:
        ended = [here[name] for name in chosen_here] + [described_set(each) for each in chosen]
        click.echo(json.dumps(ended, indent=2))
        return
    for key in [*chosen_here, *(each.spec.key for each in chosen)]:
        click.echo(f"engines {key}: stopped")


def _chosen_here(
    here: Mapping[str, Any], found: SetRecords, names: tuple[str, ...], everything: bool
) -> list[str]:
    """Return those of a cluster's own sets that are named, or the only one if there is no other."""
    if everything or (not names and not found.launchers):
        return list(here)
    return [name for name in dict.fromkeys(names) if name in here]


def _chosen(
    found: SetRecords, names: tuple[str, ...], here: Collection[str] = ()
) -> list[Launcher]:
    """Return the sets that are named, or the only one; but none of those that the cluster has itself."""
    from ctrlhub.cluster.errors import ClusterError

    known = sorted({each.spec.name for each in found.launchers} | set(here))
    if not names:
        if len(known) > 1:
            raise click.UsageError(f"which of {', '.join(known)}? Name one or several, or --all")
        if not known:
            raise ClusterError("there are no sets of engines")
        return list(found.launchers)
    chosen: list[Launcher] = []
    for name in (each for each in names if each not in here):
        parts = found.named(name)
        if not parts:
            raise ClusterError(f"there is no set {name!r}; there are: {', '.join(known) or 'none'}")
        chosen += [each for each in parts if each not in chosen]
    return chosen


@engines.command()
@click.argument("names", metavar="[SET]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All sets of the profile.")
@place_options
@json_option
def restart(
    names: tuple[str, ...], everything: bool, profile: str, state_dir: Path | None, as_json: bool
) -> None:
    """End sets of engines, and start the same again.

    A set that was scaled has as many engines as it was scaled to.
    """
    from ctrlhub.cluster.launchers.sets import known_sets, restart_set, restart_whole

    place = find_profile(profile, state_dir)
    found = known_sets(place)
    here = sets_here(place, found)
    _complain(found)
    chosen = list(found.launchers) if everything else _chosen(found, names, here)
    chosen_here = _chosen_here(here, found, names, everything)
    if chosen_here:
        restart_here(place, chosen_here)
    fresh = [here[name] for name in chosen_here]
    for name in () if as_json else chosen_here:
        click.echo(f"engines {name}: started again")
    for name in dict.fromkeys(each.spec.name for each in chosen):
        parts = [each for each in chosen if each.spec.name == name]
        is_whole = len(parts) == len(found.named(name))
        for again in [restart_whole(parts)] if is_whole else map(restart_set, parts):
            fresh.append(described_set(again))
            if not as_json:
                click.echo(f"engines {again.spec.key}: started again, {again.described()}")
    if as_json:
        click.echo(json.dumps(fresh, indent=2))


@engines.command()
@click.argument("number", metavar="SIGNAL")
@click.argument("names", metavar="[SET]...", nargs=-1)
@place_options
@json_option
def signal(
    number: str, names: tuple[str, ...], profile: str, state_dir: Path | None, as_json: bool
) -> None:
    """Send a signal to sets of engines, by their launcher: TERM has them end in good order."""
    from signal import Signals

    from ctrlhub.cluster.launchers.sets import known_sets

    try:
        known = (
            Signals(int(number))
            if number.isdecimal()
            else Signals[f"SIG{number.upper().removeprefix('SIG')}"]
        )
    except (KeyError, ValueError):
        raise click.UsageError(f"{number!r} is no signal: use a number, or a name such as TERM") from None
    found = known_sets(find_profile(profile, state_dir))
    sent = []
    for each in _chosen(found, names):
        each.signal(known)
        sent.append({**described_set(each), "signal": known.name})
        if not as_json:
            click.echo(f"engines {each.spec.key}: sent {known.name}")
    if as_json:
        click.echo(json.dumps(sent, indent=2))


@engines.command()
@click.argument("names", metavar="[SET]...", nargs=-1)
@click.option("-n", "--lines", type=click.IntRange(min=1), default=20, show_default=True, metavar="N",
              help="How many lines of the end of each.")  # fmt: skip
@click.option("--files", is_flag=True, help="Only name the files.")
@place_options
@json_option
def logs(
    names: tuple[str, ...], lines: int, files: bool, profile: str, state_dir: Path | None, as_json: bool
) -> None:
    """Show the end of the logs of sets: of the job, its nannies and its engines.

    Those of a set that is gone are there until another has its name; --json names the files.
    """
    from ctrlhub.cluster.launchers.sets import known_sets

    place = find_profile(profile, state_dir)
    found = known_sets(place)
    chosen = _logs_of(place, found, names)
    if as_json:
        click.echo(json.dumps([str(log) for log in chosen], indent=2))
        return
    for log in chosen:
        if files:
            click.echo(str(log))
            continue
        with open(log, encoding="utf-8", errors="replace") as file:
            last = deque(file, lines)
        if last:
            click.echo(f"==> {log.relative_to(place.logs)} <==")
            click.echo("".join(last).rstrip("\n"))


def _logs_of(place: Profile, found: SetRecords, names: tuple[str, ...]) -> list[Path]:
    """Return the logs of sets, also of those that are named and gone."""
    from ctrlhub.cluster.launchers.sets import left_logs

    left = {name: left_logs(place, name) for name in names if not found.named(name)}
    unknown = tuple(name for name in names if not left.get(name))
    known = _chosen(found, unknown) if unknown or not names else []
    return [log for logs in left.values() for log in logs] + [log for each in known for log in each.logs()]


@engines.command()
@place_options
@click.option("--remote", is_flag=True, help="For engines on other hosts: leave out this host's sockets.")
def token(profile: str, state_dir: Path | None, remote: bool) -> None:
    """Print the connection for engines as one word, for `ctrl-hub engine --token-stdin`.

    It is a secret: whoever has it can register engines, which see what tasks hold. Hand it over by a
    pipe, a private file or an environment variable (CTRLHUB_TOKEN), never on a command line.
    """
    from ctrlhub.cluster.launchers.sets import engine_token

    click.echo(engine_token(find_profile(profile, state_dir), remote))
