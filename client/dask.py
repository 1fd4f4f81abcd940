"""A Dask cluster on the engines."""

from __future__ import annotations

import logging
import platform
from collections.abc import Iterable, Mapping
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import ref

from ctrlhub.client.connection import Connection
from ctrlhub.client.control import process_of
from ctrlhub.client.targets import Targets
from ctrlhub.wire.errors import CtrlHubError, EngineError

if TYPE_CHECKING:
    import distributed

    from ctrlhub.client.direct_view import DirectView

LOOPBACK = "127.0.0.1"

Engines: TypeAlias = Mapping[int, Mapping[str, Any]]
"""What is known of engines, by id."""

_log = logging.getLogger(__name__)


class DaskStarter:
    """The part of a client that starts and stops a Dask cluster."""

    _connection: Connection
    _dask: DaskCluster | None = None

    def _resolve(self, targets: Targets) -> list[int]:
        raise NotImplementedError

    def direct_view(self, targets: Targets = "all", **flags: Any) -> DirectView:
        """Return a view on explicit engines."""
        raise NotImplementedError

    def become_dask(
        self,
        targets: Targets = "all",
        port: int = 0,
        nanny: bool = False,
        scheduler_args: Mapping[str, Any] | None = None,
        **worker_args: Any,
    ) -> distributed.Client:
        """Start a Dask cluster: a scheduler in this process, and a worker in each engine's.

        Engines stay what they are, and go on working beside. All connections are encrypted, with
        keys made for this cluster. Engines that come later, or in the place of others, join by
        themselves; those that end leave it. Called again, it has further engines join. The cluster
        lasts until `stop_dask`, or the end of this process.

        Parameters
        ----------
        targets
            The engines: those of these ids, or all, also those to come.
        port
            Where the scheduler listens; 0 for any port. If all engines are on this host, nothing
            listens to others.
        nanny
            Have each worker in a process of its own, a child of the engine's.
        scheduler_args
            Arguments of `distributed.Scheduler`.
        **worker_args
            Arguments of `distributed.Worker`. Without `nthreads` each has one thread.

        Returns
        -------
        distributed.Client
            Connected to it, and Dask's default client.

        Raises
        ------
        ImportError
            Dask is not installed, here or on an engine: ``pip install 'ctrl-hub[dask]'``.
        NoEnginesRegistered, InvalidEngineID
            The engines are not there.

        Examples
        --------
        >>> dask = client.become_dask()  # doctest: +SKIP
        >>> dask.submit(pow, 2, 3).result()  # doctest: +SKIP
        8
        """
        from ctrlhub import dask_worker

        ids = self._resolve(targets)
        if self._dask is None or self._dask.has_ended:
            engines = self._connection.engines()
            hosts = [engines.get(number, {}).get("host") for number in ids]
            self._dask = DaskCluster(hosts, port, dict(scheduler_args or {}))
        dask = self._dask
        dask.options = dask.worker_options({"nanny": nanny, **worker_args})
        dask.want(None if targets == "all" else ids, self._connection.engines())
        started = self.direct_view(ids).apply_async(dask_worker.start, dask.address, dask.options)
        dask.engines.update(zip(ids, started.get(), strict=True))
        myself = ref(self)  # who is asked about engines does not keep the client

        def changed(engines: Engines) -> None:
            client = myself()
            if client is not None:
                client._engines_changed(engines)

        self._connection.on_engines(changed)
        changed(self._connection.engines())  # who came in between
        return dask.client

    def _engines_changed(self, engines: Engines) -> None:
        """Have engines join that have come."""
        dask = self._dask
        if dask is not None and (due := dask.take_due(engines)):
            # In a thread: this one brings the answers.
            Thread(target=self._join_later, args=(dask, due), name="ctrlhub-dask", daemon=True).start()

    def _join_later(self, dask: DaskCluster, ids: list[int]) -> None:
        from ctrlhub import dask_worker

        try:
            started = self.direct_view(ids).apply_async(
                dask_worker.start, dask.address, dask.options
            )
            dask.engines.update(zip(ids, started.get(), strict=True))
        except CtrlHubError as error:  # also what is raised there
            if self._dask is dask:
                _log.warning("engines %s did not join the Dask cluster: %s", ids, error)

    def stop_dask(self, targets: Targets = "all") -> None:
        """End the Dask cluster, or the workers of some engines. Without a cluster nothing happens.

        Parameters
        ----------
        targets
            The engines whose workers end; with those of all the scheduler ends, too.
        """
        dask = self._dask
        if dask is None:
            return
        there = set(self._connection.current_engines())
        chosen = there if targets == "all" else set(self._resolve(targets))
        ending = sorted(chosen & set(dask.engines))
        is_all = targets == "all" or set(ending) == set(dask.engines)
        try:
            if ending:
                self._stop_workers(ending)
        finally:
            dask.leave(ending)
            if is_all:
                self._dask = None
                self._connection.on_engines(None)
                dask.close()

    def _stop_workers(self, ids: list[int]) -> None:
        from ctrlhub import dask_worker

        stopped = self.direct_view(ids).apply_async(dask_worker.stop)
        for outcome in stopped.get(return_exceptions=True):
            # One that has died meanwhile has taken its worker along.
            if isinstance(outcome, BaseException) and not isinstance(outcome, EngineError):
                raise outcome

    become_distributed = become_dask
    stop_distributed = stop_dask


class DaskCluster:
    """A Dask scheduler in this process, with a client.

    Parameters
    ----------
    hosts
        Where workers will be.
    port
        Where to listen.
    options
        Further arguments of the scheduler.

    Attributes
    ----------
    engines : dict
        The addresses of the workers, by engine.
    options : dict
        The arguments of the workers to come.
    """

    def __init__(self, hosts: Iterable[str | None], port: int, options: dict[str, Any]) -> None:
        try:
            import distributed
        except ImportError as error:
            raise ImportError(
                "Dask is not installed here: pip install 'ctrl-hub[dask]', here and for the engines"
            ) from error
        self.engines: dict[int, str] = {}
        self.options: dict[str, Any] = {}
        self._wanted: set[int] | None = set()
        self._processes: dict[int, Any] = {}
        self._lock = Lock()
        self._host = LOOPBACK if set(hosts) <= {platform.node()} else None
        self._security = options.pop("security", None) or distributed.Security.temporary()
        # Its web pages tell everybody who can reach them what runs: they have to be asked for.
        pages = options.pop("dashboard_address", None)
        self._cluster = distributed.LocalCluster(
            n_workers=0,
            processes=False,
            protocol=options.pop("protocol", "tls://"),
            host=options.pop("host", self._host),
            scheduler_port=options.pop("port", port),
            dashboard_address=f"{LOOPBACK}:0" if pages is None else pages,
            security=self._security,
            scheduler_kwargs={"dashboard": pages is not None, **options},
        )
        self.client = distributed.Client(self._cluster)

    @property
    def address(self) -> str:
        """Where the scheduler listens."""
        address: str = self._cluster.scheduler_address
        return address

    def want(self, ids: Iterable[int] | None, engines: Engines) -> None:
        """Take note of which engines are to be workers, None for all; those there are will be."""
        with self._lock:
            if ids is None:
                self._wanted = None
            elif self._wanted is not None:
                self._wanted |= {*ids}
            chosen = engines if ids is None else ids
            self._processes.update({n: process_of(engines[n]) for n in chosen if n in engines})

    def leave(self, ids: Iterable[int]) -> None:
        """Take note of engines that are workers no more."""
        for number in ids:
            self.engines.pop(number, None)
            if self._wanted is not None:
                self._wanted.discard(number)

    def take_due(self, engines: Engines) -> list[int]:
        """Return the engines that are to be asked to join, once; forget those that have gone."""
        with self._lock:
            for number in tuple(self._processes):
                if process_of(engines.get(number)) != self._processes[number]:
                    del self._processes[number]
                    self.engines.pop(number, None)
            due = [
                number
                for number in engines
                if number not in self._processes
                and (self._wanted is None or number in self._wanted)
            ]
            self._processes.update({number: process_of(engines[number]) for number in due})
            return due

    @property
    def has_ended(self) -> bool:
        """Whether somebody has closed it, or its client."""
        states = self._cluster.status.name, self.client.status
        return states != ("running", "running")

    def worker_options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a worker."""
        return {"nthreads": 1, "host": self._host, "security": self._security, **given}

    def close(self) -> None:
        """End client and scheduler."""
        self.client.close()
        self._cluster.close()
