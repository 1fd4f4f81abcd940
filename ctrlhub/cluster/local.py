"""A hub and a nanny with its engines, as children of this process.

Hub and nanny are started in the same moment and find each other: the nanny prepares its engines while
the hub binds, and whoever waits for both imports what it needs to connect meanwhile.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ctrlhub.cluster.arrival import Arrival
from ctrlhub.cluster.child import TERMINATE_AFTER, Child
from ctrlhub.cluster.claim import connection_of
from ctrlhub.cluster.errors import StartFailed
from ctrlhub.cluster.local_nanny import LocalNanny, Prefer
from ctrlhub.cluster.log_options import LogOptions
from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.heap import allocator
from ctrlhub.wire.errors import CtrlHubError, HubUnavailable
from ctrlhub.wire.places import Profile

if TYPE_CHECKING:
    from ctrlhub.client.client import Client
    from ctrlhub.wire.connection import ConnectionInfo

LOOK = 0.003
"""Seconds between two looks for the connection file of a hub that is starting."""

JOIN = 10.0
"""Seconds that one attempt to join the hub lasts: after each, hub and nanny are looked after."""


def available_cores() -> int:
    """Return the number of cores that this process may use, as system and scheduler say."""
    from ctrlhub.engine.given import Node

    return Node().cores()


def routed(info: ConnectionInfo, prefer: Prefer | None) -> ConnectionInfo:
    """Leave of the ways to a hub the preferred one, if there is a preference."""
    if prefer == "tcp":
        return replace(info, ipc={}, ssh="")
    if prefer == "ipc":
        return replace(info, tcp={}, bulk="", ssh="")
    return info


def plan_of(profile: Profile, hub: HubConfig, engines: int) -> str:
    """Return the commands that `LocalProcesses` starts, and what they are told, for ``--dry-run``."""
    python = shlex.join([sys.executable, "-P", "-m"])
    lines = [f"{python} ctrlhub.controller  # the hub", f"# standard input: {hub.to_json()}"]
    if engines:
        lines.append(f"{python} ctrlhub.engine  # a nanny, which starts engines: {engines}")
        lines.append(f"# standard input: that number, keys, and the way to the hub: {profile.connection_engine}")
    return "\n".join([*lines, ""])


class LocalProcesses:
    """The hub of a profile, and the nanny of its engines on this host.

    Parameters
    ----------
    profile
        The profile, which the caller has claimed.
    hub
        The hub's options, those of the profile included.
    engines
        How many engines; with none there is no nanny.
    prefer
        How the engines reach the hub, where both ways are open.
    resources
        What the engines have: as `NannyConfig` takes it.
    timeout
        How long (seconds) the nanny waits for the hub to begin.
    keys
        Where the engines' keys are kept beyond this process; None for nowhere.
    """

    def __init__(
        self,
        profile: Profile,
        hub: HubConfig,
        engines: int,
        *,
        prefer: Prefer | None = None,
        resources: tuple[Mapping[str, float], ...] = (),
        timeout: float = 60.0,
        keys: Path | None = None,
    ) -> None:
        self.profile = profile
        self.engines = engines
        self._hub_config = hub.to_json()
        self._log_bytes = hub.log_max_bytes
        self._prefer = prefer
        self._timeout = timeout
        self.hub: Child | None = None
        self.first = LocalNanny(
            profile, engines, prefer, resources, wait=timeout, hub_lease=hub.hub_lease, keys=keys,
            logs=LogOptions.of(hub),
        )

    @property
    def nanny(self) -> Child | None:
        """The nanny of the engines that it begins with."""
        return self.first.child

    @property
    def children(self) -> list[Child]:
        """What was started, hub first."""
        return [child for child in (self.hub, self.nanny) if child is not None]

    def start(self) -> None:
        """Start hub and nanny; does not wait for either."""
        self.start_hub()
        if self.engines:
            self.start_nanny()

    def start_hub(self) -> Child:
        """Start the hub."""
        log = self.profile.logs / "hub.log"
        self.hub = Child("hub", "ctrlhub.controller", self._hub_config, log, allocator(), self._log_bytes)
        return self.hub

    def start_nanny(self) -> Child:
        """Start the nanny, which starts the engines."""
        return self.first.start()

    def hub_worked(self, hub: Child, now: float) -> float:
        """Return for how long (seconds) a hub that has died had served; it left its connection file."""
        info = connection_of(self.profile)
        return 0.0 if info is None or info.hub_pid != hub.pid else time.time() - info.hub_started

    def check(self) -> None:
        """Make sure that what was started runs.

        Raises
        ------
        StartFailed
            If it does not; with the last lines of its log.
        """
        for child in self.children:
            if child.ended() is not None:
                raise StartFailed(f"the {child.name} {child.how_it_ended()}", child.log_tail())

    def connect(
        self,
        check: Callable[[], None] | None = None,
        *,
        enough: int | None = None,
        progress: bool | None = False,
    ) -> Client:
        """Wait until the hub listens and engines are registered; return a client.

        Parameters
        ----------
        check
            Called again and again meanwhile; what it raises ends the wait. By default `check`.
        enough
            For so many engines; None is all.
        progress
            As in `await_engines`.

        Raises
        ------
        StartFailed
            If that takes longer than the timeout, or the hub does not let us in.
        """
        check = check or self.check
        deadline = time.monotonic() + self._timeout
        try:
            client = self._connect_to_hub(check, deadline)
            try:
                wanted = self.engines if enough is None else enough
                arrival = Arrival(client, wanted, check=check)
                self.await_engines(arrival, wanted, progress=progress, deadline=deadline)
            except BaseException:
                client.close()
                raise
        except StartFailed:
            raise
        except CtrlHubError as error:
            check()  # what died is the reason, and not what came of it
            raise self._no_hub(str(error)) from error
        return client

    def stop(self, patience: float = TERMINATE_AFTER) -> None:
        """End both, and wait until they have ended."""
        # The nanny first: its engines' goodbyes need a hub, and linger for want of one.
        for child in reversed(self.children):
            child.end(patience)
        self.hub = self.first.child = None

    def _connect_to_hub(self, check: Callable[[], None], deadline: float) -> Client:
        from ctrlhub.client.client import Client

        info = routed(self._await_connection_file(check, deadline), self._prefer)
        while True:
            check()
            left = deadline - time.monotonic()
            try:
                return Client(info, join_timeout=min(JOIN, max(left, LOOK)))
            except HubUnavailable:
                if time.monotonic() >= deadline:
                    raise

    def await_engines(
        self,
        arrival: Arrival,
        n: int,
        *,
        progress: bool | None = False,
        deadline: float | None = None,
        why: Callable[[], str] = str,
    ) -> None:
        """Wait until so many engines are registered.

        Parameters
        ----------
        arrival
            The wait.
        n
            How many.
        progress
            Show a bar; None does in IPython.
        deadline
            Until when; by default for as long as the timeout.
        why
            Says what the others wait for, if they are too few.

        Raises
        ------
        StartFailed
            There are fewer at the end.
        """
        left = self._timeout if deadline is None else deadline - time.monotonic()
        with _bar(n, progress) as show:
            if not arrival.wait(left, show):
                raise self._too_few(arrival.there(), n, why())

    def _await_connection_file(self, check: Callable[[], None], deadline: float) -> ConnectionInfo:
        from ctrlhub.wire.connection import ConnectionInfo

        path = self.profile.connection_client
        # Whoever claimed the profile removed a file that was there, so this is our hub's.
        while not path.exists():
            check()
            if time.monotonic() >= deadline:
                raise self._no_hub("it wrote no connection file")
            time.sleep(LOOK)
        return ConnectionInfo.load(path)

    def _no_hub(self, why: str) -> StartFailed:
        log = self.hub.log_tail() if self.hub else ""
        return StartFailed(f"the hub was not ready within {self._timeout:g} s: {why}", log)

    def _too_few(self, registered: int, n: int, why: str = "") -> StartFailed:
        log = self.nanny.log_tail() if self.nanny else ""
        return StartFailed(
            f"{registered} of {n} engines registered within {self._timeout:g} s"
            f"{', ' + why if why else ''} (logs in {self.profile.logs})",
            log,
        )


@contextmanager
def _bar(n: int, progress: bool | None) -> Iterator[Callable[[int], None]]:
    """Give what shows how many of so many engines there are."""
    from ctrlhub.client.ipython import running_shell

    if not (running_shell() is not None if progress is None else progress) or not n:
        yield lambda there: None
        return
    from ctrlhub.client.progress import Progress

    with Progress(n, "engines", unit="engine") as bar:
        yield bar.show

