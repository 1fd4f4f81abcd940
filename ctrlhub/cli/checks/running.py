"""The running cluster of a profile: whether it answers, in what state it is, and its clock."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ctrlhub.cli.checks.finding import Finding, ok, warning, wrong
from ctrlhub.cli.reaching import obstacle
from ctrlhub.cluster.claim import connection_of
from ctrlhub.cluster.listing import Listed, State
from ctrlhub.wire.places import Profile

SKEW = 1.0
"""Clocks that differ by more (seconds) are told: records have the times of several hosts."""

SLOW = 0.5
"""A hub that takes longer (seconds) to answer is told."""


def running(profile: Profile, listed: Listed | None, timeout: float) -> Iterator[Finding]:
    """Look at what runs.

    Parameters
    ----------
    profile
        The profile.
    listed
        What the locks say of its cluster; None for nothing.
    timeout
        How long (seconds) to wait for the hub.
    """
    if listed is None:
        yield ok("cluster", f"none of profile {profile.name} runs")
        return
    if listed.state is State.DEAD:
        yield warning("cluster", "it was killed, and has left something", f"`ctrl-hub stop --profile {profile.name}` ends what is left, `ctrl-hub clean` removes it")
        return
    from ctrlhub.client.client import Client
    from ctrlhub.wire.errors import CtrlHubError

    began = time.monotonic()
    try:
        with Client(profile.connection_client, timeout=timeout) as client:
            asked, clock = time.monotonic(), time.time()
            status = client.status()
            took = time.monotonic() - asked
    except CtrlHubError as error:
        yield wrong("hub", f"{error} (after {time.monotonic() - began:.1f} s)", f"`ctrl-hub logs --hub --supervisor --profile {profile.name}` says more")
        return
    yield answer(status, took)
    yield clocks(status["hub"].get("time"), clock, took)
    yield from reachable(profile, timeout)
    yield from troubles(status)
    yield engines(status["engines"])


def answer(status: Mapping[str, Any], took: float) -> Finding:
    """Judge who answered, and how fast."""
    from ctrlhub import __version__

    hub = status["hub"]
    shown = f"pid {hub['pid']}, version {hub['version']}, answers in {took * 1e3:.0f} ms"
    if hub["version"] != __version__:
        return warning("hub", shown, f"here is version {__version__}: start the cluster again to have the same")
    if took > SLOW:
        return warning("hub", shown, "its host is busy, or the way to it is long")
    return ok("hub", shown)


def clocks(hub: float | None, here: float, took: float) -> Finding:
    """Judge the difference between the hub's clock and ours, as far as the time of the answer tells."""
    if hub is None:
        return ok("clock", "this hub does not tell its time")
    off = hub - (here + took / 2)
    unsure = took / 2
    if abs(off) - unsure > SKEW:
        return warning("clock", f"the hub's is {abs(off):.1f} s {'ahead of' if off > 0 else 'behind'} this host's", "synchronise them (NTP, chrony): times of requests are those of several hosts")
    return ok("clock", f"the hub's agrees with this host's to {max(abs(off), unsure):.3f} s")


def reachable(profile: Profile, timeout: float) -> Iterator[Finding]:
    """Look whether the hub's ports can be reached from here, by the addresses that others are given."""
    info = connection_of(profile)
    if info is None or not info.tcp:
        return
    addresses = [*info.tcp.values(), *([info.bulk] if info.bulk else [])]
    tried = {address: obstacle(address, timeout) for address in addresses}
    closed = [f"{address} ({why})" for address, why in tried.items() if why]
    if closed:
        yield wrong("ports", f"not to be reached from here: {', '.join(closed)}", "engines and clients on other hosts need them: look at the firewall, and at --listen")
    else:
        yield ok("ports", f"{', '.join(addresses)} can be reached from here")


def troubles(status: Mapping[str, Any]) -> Iterator[Finding]:
    """Say what the hub itself says is wrong."""
    hub, store = status["hub"], status.get("store") or {}
    for trouble in hub.get("trouble", []):
        yield warning("hub", trouble, "see `ctrl-hub status`")
    if store.get("trouble"):
        yield wrong("store", f"nothing can be stored: {store['trouble']}", "requests are refused until that is mended")
    if hub.get("refused"):
        yield warning("hub", f"{hub['refused']} messages of peers were refused", "`ctrl-hub logs --hub` names the peers")


def engines(found: Sequence[Mapping[str, Any]]) -> Finding:
    """Judge the engines."""
    if not found:
        return warning("engines", "there are none", "`ctrl-hub engines start` or `ctrl-hub engine -n N` starts some")
    suspect = [str(each["id"]) for each in found if each["state"] == "suspect"]
    failed = [str(each["id"]) for each in found if each["failed_hooks"]]
    if suspect:
        return warning("engines", f"{len(found)}, of which {', '.join(suspect)} have not been heard of for a while", "their hosts are busy or out of reach: `ctrl-hub logs --engine N`")
    if failed:
        return warning("engines", f"{len(found)}, of which {', '.join(failed)} get no tasks", "a start hook failed on them: `ctrl-hub status` says which")
    return ok("engines", f"{len(found)}")
