"""How a cluster begins: a hub on this host, its engines, and a client that is connected to it."""

from __future__ import annotations

import atexit
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctrlhub.cluster.arrival import Arrival
from ctrlhub.cluster.claim import Claim
from ctrlhub.cluster.clients import Clients
from ctrlhub.cluster.cluster_file import ClusterFile
from ctrlhub.cluster.coroutines import Coroutines
from ctrlhub.cluster.engine_sets import LOCAL, EngineSets
from ctrlhub.cluster.ephemeral import end_left_sets, private_profile, private_state, sweep
from ctrlhub.cluster.errors import StartFailed
from ctrlhub.cluster.keeper import Keeper
from ctrlhub.cluster.local import LocalProcesses
from ctrlhub.cluster.local_nanny import LocalNanny, Prefer
from ctrlhub.cluster.log_options import LogOptions
from ctrlhub.cluster.own_nannies import OwnNannies
from ctrlhub.cluster.parts_check import PartsCheck
from ctrlhub.cluster.serving_http import serve_http
from ctrlhub.controller.config import HubConfig
from ctrlhub.wire.places import Profile

if TYPE_CHECKING:
    from ctrlhub.client.client import Client

STOPPED = "this cluster was stopped while it was starting"

running: set[Starting] = set()
"""Kept here although nobody else may: ``Cluster(n=4).start_and_connect_sync()`` returns a client, whose
hub must not go when the expression has been evaluated."""


class Starting(ClusterFile, Coroutines):
    """The part of a cluster that starts it."""

    n: int
    launcher: str
    launcher_options: Mapping[str, Any]
    default_set: str
    _name: str | None
    _state: Path | None
    _hub: HubConfig
    _prefer: Prefer | None
    _resources: tuple[Mapping[str, float], ...]
    _timeout: float
    _wait_for: int | None
    _progress: bool | None
    _owner: int
    _claim: Claim | None
    _processes: LocalProcesses | None
    _keeper: Keeper | None
    _client: Client | None
    _clients: Clients
    _own: OwnNannies
    _engine_sets: EngineSets | None

    def _begin(self, n: int) -> None:
        """Start the hub and so many engines, and connect."""
        self.stop()  # what is left of the time before
        self._owner = os.getpid()
        sweep(self._state)
        claim = Claim(self._choose_profile())
        claim.take()
        self._claim = claim
        running.add(self)
        try:
            end_left_sets(claim.profile)
            self._clients = Clients()
            here = n if self.launcher == LOCAL and not self.launcher_options else 0
            self._client = self._start_processes(claim.profile, here)
            self._client.cluster = self
            self._clients.add(self._client)
            hub = self._processes.hub if self._processes else None
            assert hub is not None
            ended, cut = self._clients.hub_ended, self._own.cut_lifelines
            self._keeper = Keeper(hub, claim.profile, ended, cut)
            serve_http(self._client, self._hub.http)
            if n > here:
                self.default_set = self._sets.start(n, self.launcher, self.launcher_options)
                self._await_engines()
            self.update_cluster_file()
            if self._claim is not claim or self._client.closed:
                raise StartFailed(STOPPED)
        except BaseException as error:
            was_stopped = self._claim is not claim
            self.stop()
            if was_stopped and isinstance(error, Exception):
                raise StartFailed(STOPPED) from error
            raise

    def _await_engines(self) -> None:
        wait = min(self.n, self.n if self._wait_for is None else self._wait_for)
        assert self._processes is not None
        name = self.default_set
        parts = PartsCheck(self._sets.launched(name))
        arrival = Arrival(self.client, wait, name, check=self._processes.check, parts=parts)
        self._processes.await_engines(arrival, wait, progress=self._progress, why=parts.why)

    def _choose_profile(self) -> Profile:
        if self._name is None:
            return private_profile(self._state)
        return Profile.named(self._name, self._state)

    def _start_processes(self, profile: Profile, n: int) -> Client:
        state = self._state_of(profile)
        hub = replace(self._hub, profile=profile.name, state_dir=str(state or ""))
        processes = LocalProcesses(
            profile,
            hub,
            n,
            prefer=self._prefer,
            resources=self._resources,
            timeout=self._timeout,
        )
        # Known before anything is started, so that a failure half-way stops what there is.
        self._processes = processes
        self._own = OwnNannies()
        processes.start()
        self._engine_sets = EngineSets(
            profile, lambda: self.client, self._own, self._make_nanny, LogOptions.of(self._hub)
        )
        self._engine_sets.remember(self.default_set, self.launcher, self.launcher_options)
        enough = min(n, n if self._wait_for is None else self._wait_for)
        client = processes.connect(enough=enough, progress=self._progress)
        # Until here a nanny that dies is a reason to fail, and not to start another.
        if processes.nanny is not None:
            self._own.keep(processes.first)
        return client

    def _make_nanny(self, engine_set: str, n: int) -> LocalNanny:
        assert self._claim is not None
        having = self._resources if len(self._resources) < 2 else ()
        return LocalNanny(
            self._claim.profile, n, self._prefer, having, self._timeout, self._hub.hub_lease,
            engine_set=engine_set, logs=LogOptions.of(self._hub),
        )  # fmt: skip

    def _state_of(self, profile: Profile) -> Path | None:
        return self._state if self._name is not None else private_state(self._state)


def _stop_all() -> None:
    failed: list[Exception] = []
    for cluster in tuple(running):
        try:
            cluster.stop()
        except Exception as error:  # the others are to end nevertheless
            failed.append(error)
    if failed:
        raise ExceptionGroup("clusters of this program could not be stopped", failed)


atexit.register(_stop_all)
