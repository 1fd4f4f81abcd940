"""`Cluster`: a hub and engines on this host that live as long as the program that made them."""

from __future__ import annotations

import atexit
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ctrlhub.cluster.arguments import options_of, renamed
from ctrlhub.cluster.claim import Claim
from ctrlhub.cluster.clients import Clients
from ctrlhub.cluster.coroutines import Coroutines
from ctrlhub.cluster.ephemeral import discard, private_profile, private_state, sweep
from ctrlhub.cluster.errors import ClusterError
from ctrlhub.cluster.keeper import Keeper
from ctrlhub.cluster.local import LocalProcesses, available_cores, routed
from ctrlhub.cluster.local_nanny import Prefer
from ctrlhub.controller.config import HubConfig
from ctrlhub.wire.errors import TooManyEngines
from ctrlhub.wire.options import checked_resources
from ctrlhub.wire.places import Profile

if TYPE_CHECKING:
    from ctrlhub.client.client import Client

LOOPBACK = "127.0.0.1"

_NOT_RUNNING = "this cluster is not running: call start(), or use it in `with`"

_running: set[Cluster] = set()
"""Kept here although nobody else may: ``Cluster(n=4).start_and_connect_sync()`` returns a client, whose
hub must not go when the expression has been evaluated."""


class Cluster(Coroutines):
    """A hub and engines on this host; a context manager that gives a connected `Client`.

    They end with `stop`, at the latest with this process, however that ends. Without a profile the
    cluster is private: nobody else finds it, and it leaves nothing behind.

    A nanny that dies is replaced, and its engines with it. A hub is not: everything outstanding
    fails with `HubUnavailable`, and the cluster is over (``ctrl-hub start`` runs a hub that is
    started again).

    Parameters
    ----------
    n
        How many engines; as many as there are cores, if not given.
    profile
        The name under which ``Client(profile=...)`` and ``ctrl-hub status`` find the cluster.
    state_dir
        Where its state is kept, instead of the user's state directory.
    listen
        An address for TCP with CURVE, by which peers on other hosts reach the hub.
    prefer
        ``"ipc"`` or ``"tcp"``: how client and engines reach the hub, where both ways are open.
        With ``"tcp"`` and no `listen` the hub listens on the loopback interface.
    max_engines
        The most engines that the hub registers.
    resources
        What the engines have, for tasks that ask for it (`LoadBalancedView.resources`): such as
        ``{"gpu": 1}`` for each of them, or a list of maps, one for each engine.
    timeout
        Seconds within which everything must be ready.
    scheme, task_order
        Which engine gets the next tasks, and which task of a client is next: `task_scheme` and
        `task_order` of `HubConfig`.
    store
        Where requests and results live. In memory, since this hub is not started again: a store on
        disk (``"sqlite"``) is for who starts another one with this profile, and wants the history.
    **options
        Further options of the hub: the fields of `HubConfig`.

    Raises
    ------
    TooManyEngines
        If `n` is more than `max_engines`.

    Examples
    --------
    >>> with Cluster(n=2) as client:  # doctest: +SKIP
    ...     client[:].apply_sync(lambda: 6 * 7)
    [42, 42]
    """

    def __init__(
        self,
        n: int | None = None,
        *,
        profile: str | None = None,
        state_dir: str | os.PathLike[str] | None = None,
        listen: str | None = None,
        prefer: Prefer | None = None,
        max_engines: int = 511,
        resources: Mapping[str, float] | Sequence[Mapping[str, float]] = (),
        timeout: float | None = None,
        scheme: str | None = None,
        task_order: str = "fifo",
        store: str = "memory",
        **options: Any,
    ) -> None:
        called = renamed(options, {"profile": profile, "timeout": timeout})
        profile, timeout = called.get("profile", profile), called.get("timeout", timeout)
        if prefer not in (None, "ipc", "tcp"):
            raise ValueError(f"prefer must be 'ipc' or 'tcp', not {prefer!r}")
        if prefer == "tcp" and listen is None:
            listen = LOOPBACK
        self._name = profile
        self._state = None if state_dir is None else Path(state_dir).expanduser().absolute()
        if scheme is not None:
            options = {**options, "task_scheme": scheme}
        # Made here so that a wrong option is an error of this line.
        self._hub = HubConfig(
            listen=listen,
            max_engines=max_engines,
            store=store,
            task_order=task_order,
            **options_of(options),
        )
        self.n = _checked(min(available_cores(), max_engines) if n is None else n, max_engines)
        self._resources = _checked_resources(resources, self.n)
        if profile is not None:
            Profile.named(profile, self._state)
        self._prefer = prefer
        self._timeout = 60.0 if timeout is None else timeout
        self._owner = os.getpid()
        self._claim: Claim | None = None
        self._processes: LocalProcesses | None = None
        self._keeper: Keeper | None = None
        self._client: Client | None = None
        self._clients = Clients()

    @property
    def profile(self) -> str | None:
        """The name of the profile in use: the one given, or a private one while it runs."""
        return self._name if self._claim is None else self._claim.profile.name

    @property
    def client(self) -> Client:
        """The client that was connected by `start`.

        Raises
        ------
        ClusterError
            If the cluster is not running.
        """
        if self._client is None:
            raise ClusterError(_NOT_RUNNING)
        return self._client

    @property
    def pids(self) -> Mapping[str, Any]:
        """The processes: ``{"hub": pid, "nannies": [pid]}``; None and [] while there are none."""
        hub = self._processes.hub if self._processes else None
        nanny = self._processes.nanny if self._processes else None
        return {"hub": hub.pid if hub else None, "nannies": [nanny.pid] if nanny else []}

    def start(self) -> Client:
        """Start hub and engines, wait until all are registered, and return a connected client.

        Returns
        -------
        Client
            The same as `client`; of a cluster that is running already, the one it has.

        Raises
        ------
        AlreadyRunning
            If the profile has a hub.
        StartFailed
            If not everything was ready in time, or something died; nothing is left running.
        """
        if self._client is not None and not self._client.closed:
            return self._client
        self.stop()  # what is left of the time before
        self._owner = os.getpid()
        sweep(self._state)
        claim = Claim(self._choose_profile())
        claim.take()
        self._claim = claim
        _running.add(self)
        try:
            self._processes = self._start_processes(claim.profile)
            self._clients = Clients()
            self._client = self._processes.connect()
            self._client.cluster = self
            self._clients.add(self._client)
            self._keeper = Keeper(self._processes, self._clients.hub_ended)
        except BaseException:
            self.stop()
            raise
        return self._client

    def stop(self) -> None:
        """Close the client and end everything; harmless when nothing runs."""
        if self._claim is None or os.getpid() != self._owner:
            return
        if self._keeper is not None:
            self._keeper.stop()
        try:
            if self._client is not None:
                self._client.close()
        finally:
            if self._processes is not None:
                self._processes.stop()
            self._claim.give_back()
            if self._name is None:
                discard(self._claim.profile)
        # Forgotten when it is done: after Ctrl-C another `stop` goes on where this one was.
        self._keeper = self._client = self._processes = self._claim = None
        _running.discard(self)

    def connect_client_sync(self, **options: Any) -> Client:
        """Connect another client to the running cluster.

        Parameters
        ----------
        **options
            As for `Client`.
        """
        if self._claim is None:
            raise ClusterError(_NOT_RUNNING)
        from ctrlhub.client.client import Client
        from ctrlhub.wire.connection import ConnectionInfo

        self._clients.check()
        info = ConnectionInfo.load(self._claim.profile.connection_client)
        options.setdefault("cluster", self)
        return self._clients.add(Client(routed(info, self._prefer), **options))

    def start_cluster_sync(self) -> Cluster:
        """Start hub and engines: `start`, as ipyparallel calls it."""
        self.start()
        return self

    def stop_cluster_sync(self) -> None:
        """End everything: `stop`, as ipyparallel calls it."""
        self.stop()

    def start_and_connect_sync(self, n: int | None = None, activate: bool = False) -> Client:
        """Start everything and return a client: `start`, as ipyparallel calls it.

        Parameters
        ----------
        n
            How many engines, instead of those given at first.
        activate
            Make `%px` and the other magics those of this client.
        """
        if n is not None and self._claim is None:
            self.n = _checked(n, self._hub.max_engines)
        client = self.start()
        if activate:
            client.activate()
        return client

    def __enter__(self) -> Client:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        name = f", profile={self._name!r}" if self._name else ""
        hub = self._processes.hub if self._processes else None
        if hub is None:
            state = "not running"
        elif hub.ended() is None:
            state = f"running, hub pid {hub.pid}"
        else:
            state = f"over, its hub {hub.how_it_ended()}"
        return f"<Cluster(n={self.n}{name}): {state}>"

    def _repr_html_(self) -> str:
        """Show state and processes (Jupyter asks for it)."""
        from ctrlhub.client.html import panel, table

        hub = self._processes.hub if self._processes else None
        rows = [("engines", self.n), ("profile", self.profile or "private")]
        rows += [(name, pids) for name, pids in self.pids.items() if pids]
        state = (
            "not running"
            if hub is None
            else "running"
            if hub.ended() is None
            else hub.how_it_ended()
        )
        return panel("Cluster", state, table(("", ""), rows))

    def _choose_profile(self) -> Profile:
        if self._name is None:
            return private_profile(self._state)
        return Profile.named(self._name, self._state)

    def _start_processes(self, profile: Profile) -> LocalProcesses:
        state = self._state if self._name is not None else private_state(self._state)
        hub = replace(self._hub, profile=profile.name, state_dir=str(state or ""))
        processes = LocalProcesses(
            profile,
            hub,
            self.n,
            prefer=self._prefer,
            resources=self._resources,
            timeout=self._timeout,
        )
        # Known before anything is started, so that a failure half-way stops what there is.
        self._processes = processes
        processes.start()
        return processes


def _checked(n: int, max_engines: int) -> int:
    if type(n) is not int or n < 0:
        raise ValueError(f"n must be an integer of at least 0, not {n!r}")
    if n > max_engines:
        raise TooManyEngines(f"{n} engines are more than max_engines={max_engines}")
    return n


def _checked_resources(
    resources: Mapping[str, float] | Sequence[Mapping[str, float]], n: int
) -> tuple[Mapping[str, float], ...]:
    found = (resources,) if isinstance(resources, Mapping) else tuple(resources)
    if len(found) not in (0, 1, n):
        raise ValueError(f"resources are one map for all, or one for each of {n} engines")
    for each in found:
        checked_resources(each)
    return found


def _stop_all() -> None:
    for cluster in tuple(_running):
        cluster.stop()


atexit.register(_stop_all)
