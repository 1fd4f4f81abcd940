"""`Cluster`: a hub on this host, and engines, that live as long as the program that made them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ctrlhub.cluster.arguments import launcher_of, options_of, renamed
from ctrlhub.cluster.checking import (
    checked_count,
    checked_launcher,
    checked_resources_of,
    checked_wait,
)
from ctrlhub.cluster.clients import Clients
from ctrlhub.cluster.config.defaults import Defaults, defaults_of
from ctrlhub.cluster.displaying import Displaying
from ctrlhub.cluster.engine_sets import LOCAL, EngineSets
from ctrlhub.cluster.ephemeral import discard
from ctrlhub.cluster.errors import ClusterError
from ctrlhub.cluster.local import available_cores, routed
from ctrlhub.cluster.local_nanny import Prefer
from ctrlhub.cluster.own_nannies import OwnNannies
from ctrlhub.cluster.starting import running
from ctrlhub.controller.config import HubConfig
from ctrlhub.wire.places import DEFAULT_PROFILE, Profile

if TYPE_CHECKING:
    from ctrlhub.client.client import Client

LOOPBACK = "127.0.0.1"

STORE = "memory"
"""Where requests and results live, if nobody says: this hub is not started again."""

TIMEOUT = 60.0
"""Seconds within which engines must be registered, if nobody says."""

NOT_RUNNING = "this cluster is not running: call start(), or use it in `with`"


class Cluster(Displaying):
    """A hub on this host, with engines here or elsewhere; a context manager that gives a `Client`.

    They end with `stop`, at the latest with this process, however that ends. Without a profile the
    cluster is private: nobody else finds it, and it leaves nothing behind.

    A nanny that dies is replaced, and its engines with it. A hub is not: everything outstanding
    fails with `HubUnavailable`, and the cluster is over (``ctrl-hub start`` runs a hub that is
    started again).

    What no argument says (or None does) is as the environment says, else as ``config.toml`` of the profile and that of
    the user do, as for ``ctrl-hub start``; else it has its default. A private cluster does not take from there what only
    one cluster can have: a store, a range of ports, the gateway's port.

    Parameters
    ----------
    n
        How many engines; as many as there are cores, if nobody says.
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
    launcher
        How engines are started: ``"local"`` on this host, or the name of another launcher, such as
        ``"slurm"`` (`ctrl-hub engines launchers` lists them). The hub then listens for other hosts, if
        `listen` does not say where at the address by which this host reaches others.
    launcher_options
        The launcher's options, such as ``{"queue": "short"}``.
    wait_for
        With so many engines the work begins; the others come as they can. None waits for all.
    timeout
        Seconds within which that must be reached.
    progress
        Show a progress bar meanwhile; None does in IPython.
    scheme, task_order
        Which engine gets the next tasks, and which task of a client is next: `task_scheme` and
        `task_order` of `HubConfig`.
    store
        Where requests and results live. In memory, if nobody says, since this hub is not started again: a store on
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
        max_engines: int | None = None,
        resources: Mapping[str, float] | Sequence[Mapping[str, float]] = (),
        launcher: str | None = None,
        launcher_options: Mapping[str, Any] | None = None,
        wait_for: int | None = None,
        timeout: float | None = None,
        progress: bool | None = None,
        scheme: str | None = None,
        task_order: str | None = None,
        store: str | None = None,
        **options: Any,
    ) -> None:
        called = renamed(options, {"profile": profile, "timeout": timeout})
        profile, timeout = called.get("profile", profile), called.get("timeout", timeout)
        self._name = profile
        self._state = None if state_dir is None else Path(state_dir).expanduser().absolute()
        configured = self._configured()
        self.launcher = launcher_of(options, launcher) or configured.launcher or LOCAL
        self.launcher_options = configured.options_for(self.launcher) | dict(launcher_options or {})
        given = {
            "listen": listen, "max_engines": max_engines, "task_scheme": scheme, "task_order": task_order, "store": store,
        }  # fmt: skip
        said = {name: value for name, value in given.items() if value is not None}
        values = {"store": STORE, **configured.hub, **said, **options_of(options)}
        listen = values.get("listen")
        if self.launcher != LOCAL or self.launcher_options:
            listen = checked_launcher(self.launcher, self.launcher_options, listen)
        self.default_set = self.launcher
        if prefer not in (None, "ipc", "tcp"):
            raise ValueError(f"prefer must be 'ipc' or 'tcp', not {prefer!r}")
        if prefer == "tcp" and listen is None:
            listen = LOOPBACK
        # Made here so that a wrong option is an error of this line.
        self._hub = HubConfig(**{**values, "listen": listen})
        most = self._hub.max_engines
        n = configured.engines if n is None else n
        self.n = checked_count(min(available_cores(), most) if n is None else n, most)
        self._resources = checked_resources_of(resources, self.n)
        if self._resources and (self.launcher != LOCAL or self.launcher_options):
            raise ValueError(
                "resources are told to engines that a Cluster starts on this host by itself: for others say "
                "`ctrl-hub engine --resources` where they are started"
            )
        self._prefer = prefer
        self._timeout = next(each for each in (timeout, configured.timeout, TIMEOUT) if each is not None)
        self._wait_for = checked_wait(wait_for)
        self._progress = progress
        self._owner = os.getpid()
        self._claim = None
        self._processes = None
        self._keeper = None
        self._client = None
        self._clients = Clients()
        self._own = OwnNannies()
        self._engine_sets = None

    def _configured(self) -> Defaults:
        """Return what holds where no argument says something."""
        return defaults_of(None if self._name is None else Profile.named(self._name, self._state), os.environ)

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
            raise ClusterError(NOT_RUNNING)
        return self._client

    @property
    def pids(self) -> Mapping[str, Any]:
        """The processes: ``{"hub": pid, "nannies": [pid]}``; None and [] while there are none."""
        hub = self._processes.hub if self._processes else None
        return {"hub": hub.pid if hub else None, "nannies": self._own.pids if hub else []}

    @property
    def _sets(self) -> EngineSets:
        if self._engine_sets is None:
            raise ClusterError(NOT_RUNNING)
        return self._engine_sets

    def start(self) -> Client:
        """Start hub and engines, wait until enough are registered, and return a connected client.

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
            if self.n and not self._sets.known():  # `start_controller` began it
                self.default_set = self.start_engines_sync()
                self._await_engines()
            return self._client
        self._begin(self.n)
        return self.client

    def stop(self) -> None:
        """Close the client and end everything; harmless when nothing runs."""
        if self._claim is None or os.getpid() != self._owner:
            return
        self.adapt(None)
        if self._keeper is not None:
            self._keeper.stop()
        self._own.leave_as_they_are()
        try:
            # First: what waits in a queue must not begin any more.
            if self._engine_sets is not None:
                self._engine_sets.stop_launched()
        finally:
            self._end_processes()
        # Forgotten when it is done: after Ctrl-C another `stop` goes on where this one was.
        self._claim.give_back()
        if self._name is None:
            discard(self._claim.profile)
        self._keeper = self._client = self._processes = self._claim = self._engine_sets = None
        running.discard(self)

    def _end_processes(self) -> None:
        try:
            if self._client is not None:
                self._client.close()
        finally:
            # The nannies first: their engines' goodbyes need a hub, and linger for want of one.
            self._own.end_all()
            if self._processes is not None:
                self._processes.stop()

    def connect_client_sync(self, **options: Any) -> Client:
        """Connect another client to the running cluster.

        Parameters
        ----------
        **options
            As for `Client`.
        """
        if self._claim is None:
            raise ClusterError(NOT_RUNNING)
        from ctrlhub.client.client import Client
        from ctrlhub.wire.connection import ConnectionInfo

        self._clients.check()
        info = ConnectionInfo.load(self._claim.profile.connection_client)
        options.setdefault("cluster", self)
        return self._clients.add(Client(routed(info, self._prefer), **options))

    def start_cluster_sync(self, n: int | None = None) -> Self:
        """Start hub and engines: `start`, as ipyparallel calls it; with `n` engines, if given."""
        self._have(n)
        self.start()
        return self

    def start_controller_sync(self) -> Self:
        """Start the hub alone; engines follow with `start_engines_sync`, or with `start`."""
        if self._client is None or self._client.closed:
            self._begin(0)
        return self

    def stop_controller_sync(self) -> None:
        """End the hub, and with it everything: engines without a hub have nothing to wait for."""
        self.stop()

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
        self._have(n)
        client = self.start()
        if activate:
            client.activate()
        return client

    def _have(self, n: int | None) -> None:
        if n is not None and self._claim is None:
            self.n = checked_count(n, self._hub.max_engines)

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Cluster:
        """Return the cluster that was described by `to_dict`: see `from_file`."""
        from ctrlhub.cluster.attached import cluster_of  # which is a Cluster

        return cluster_of(data)

    @staticmethod
    def from_file(
        cluster_file: str | os.PathLike[str] | None = None,
        *,
        profile: str | None = None,
        cluster_id: str | None = None,
        state_dir: str | os.PathLike[str] | None = None,
    ) -> Cluster:
        """Return a cluster that runs already, of whatever process: also one of ``ctrl-hub start``.

        It is not ours: with the end of this process, or of ``with``, nothing ends but its client.

        Parameters
        ----------
        cluster_file
            Its `cluster_file`, the directory of its profile, or the name of that.
        profile, cluster_id
            The same: the name of its profile. The default profile, if nothing is given.
        state_dir
            Where its state is kept, instead of the user's state directory.

        Raises
        ------
        ClusterError
            No cluster runs there.
        """
        from ctrlhub.cluster.attached import running_cluster

        return running_cluster(cluster_file or profile or cluster_id or DEFAULT_PROFILE, state_dir)

    def __enter__(self) -> Client:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
