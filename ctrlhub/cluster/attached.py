"""A cluster that somebody else started, as `Cluster.from_file` gives it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ctrlhub.cluster.claim import connection_of
from ctrlhub.cluster.cluster import Cluster
from ctrlhub.cluster.engine_sets import LOCAL, EngineSets
from ctrlhub.cluster.errors import ClusterError
from ctrlhub.cluster.listing import kind_of
from ctrlhub.cluster.looks import Phase
from ctrlhub.cluster.record import SupervisorRecord
from ctrlhub.wire.connection import Here
from ctrlhub.wire.places import Profile
from ctrlhub.wire.private import StateError, read_private

if TYPE_CHECKING:
    from ctrlhub.client.client import Client

_MOST_BYTES = 1024 * 1024


class AttachedCluster(Cluster):
    """A running cluster of another process: to connect to, to make larger and smaller, and to stop.

    Parameters
    ----------
    place
        Its profile.
    told
        What it has written down.
    """

    def __init__(self, place: Profile, told: Mapping[str, Any]) -> None:
        super().__init__(0)
        self._found = place
        self._name = place.name
        self._engine_sets = EngineSets(place, lambda: self.client)
        told = told or self._supervised()
        self.launcher = str(told.get("launcher") or LOCAL)
        self.launcher_options = dict(told.get("launcher_options") or {})
        self.default_set = str(told.get("default_set") or self.launcher)
        self.n = int(told.get("n") or 0)
        self._engine_sets.remember(self.default_set, self.launcher, self.launcher_options)

    def _supervised(self) -> Mapping[str, Any]:
        """Return what is known of the first set of ``ctrl-hub start``."""
        from ctrlhub.cluster.launchers.spec import Owner

        specs = (each.spec for each in self._sets.launched())
        first = next((spec for spec in specs if spec.owner is Owner.SUPERVISOR), None)
        if first is None:
            record = SupervisorRecord.load(self._found.supervisor)
            if record is None:
                return {}
            return {"n": record.engines, "launcher": record.launcher, "launcher_options": record.options}
        options = {"launcher_options": first.options, "default_set": first.name}
        return {"launcher": first.launcher, "n": first.n, **options}

    @property
    def _place(self) -> Profile:
        return self._found

    @property
    def profile(self) -> str:
        """The name of its profile."""
        return self._found.name

    @property
    def pids(self) -> Mapping[str, Any]:
        """The hub: ``{"hub": pid, "nannies": []}``; nannies are their owner's to know."""
        return {"hub": self._found.hub_lock().holder(), "nannies": []}

    @property
    def client(self) -> Client:
        """A client of ours, connected when it is first asked for."""
        if self._client is None or self._client.closed:
            self._client = self.connect_client_sync()
        return self._client

    def check_running(self) -> None:
        """Make sure that it runs.

        Raises
        ------
        ClusterError
            It does not.
        """
        place = self._found
        owners = place.supervisor_lock(), place.owner_lock(), place.hub_lock()
        # A home that hosts share shows the connection file of a hub elsewhere, and no locks.
        if all(lock.holder() is None for lock in owners) and connection_of(place) is None:
            raise ClusterError(
                f"no cluster of profile {place.name!r} is running in {place.directory}: "
                f"`ctrl-hub list` shows those that are, `ctrl-hub start --profile {place.name}` starts one"
            )

    def start(self) -> Client:
        """Return a connected client: it runs already."""
        self.check_running()
        return self.client

    def start_controller_sync(self) -> Self:
        """Do nothing: it runs already."""
        self.check_running()
        return self

    def stop(self) -> None:
        """End it, wherever it was started on this host, as ``ctrl-hub stop`` does.

        Raises
        ------
        StopFailed
            It belongs to another program, or runs on another host.
        """
        from ctrlhub.cluster.stopping import stop_cluster

        self.leave()
        stop_cluster(self._found)

    def leave(self) -> None:
        """Close our client, and leave the cluster as it is."""
        self.adapt(None)
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def connect_client_sync(self, **options: Any) -> Client:
        """Connect another client; the parameters are those of `Client`."""
        from ctrlhub.client.client import Client

        self.check_running()
        options.setdefault("cluster", self)
        return Client(self._found.connection_client, **options)

    def update_cluster_file(self) -> None:
        """Leave it to the owner."""

    def remove_cluster_file(self) -> None:
        """Remove it if nothing runs any more; else it is the owner's.

        Raises
        ------
        ClusterError
            The cluster runs.
        """
        if self._found.owner_lock().holder() is not None:
            raise ClusterError(f"the cluster of profile {self.profile!r} runs: its owner has use for the file")
        super().remove_cluster_file()

    def __exit__(self, *_: object) -> None:
        self.leave()

    async def __aexit__(self, *_: object) -> None:
        from asyncio import to_thread

        await to_thread(self.leave)

    @property
    def phase(self) -> Phase:
        """How far it is."""
        place = self._found
        if place.hub_lock().holder() is not None:
            return Phase.RUNNING
        if place.supervisor_lock().holder() is not None or place.owner_lock().holder() is not None:
            return Phase.STARTING
        # A home that hosts share shows the connection file of a hub elsewhere, and no locks.
        info = connection_of(place)
        if info is not None and info.host != Here.find().host:
            return Phase.RUNNING
        return Phase.OVER if info is not None or place.supervisor.exists() else Phase.ABSENT

    def _hub_state(self) -> str:
        hub = self._found.hub_lock().holder()
        return "not running" if hub is None else f"running, hub pid {hub}, {kind_of(self._found)}"


def cluster_of(data: Mapping[str, Any]) -> AttachedCluster:
    """Return the cluster that was described by `Cluster.to_dict`.

    Raises
    ------
    ClusterError
        That describes none.
    """
    try:
        told = data["cluster"]
        place = Profile(str(told["profile"]), Path(told["directory"]))
    except (KeyError, TypeError) as error:
        raise ClusterError(f"this does not describe a cluster: {error!r}") from None
    return AttachedCluster(place, told)


def running_cluster(named: str | os.PathLike[str], state_dir: str | os.PathLike[str] | None) -> AttachedCluster:
    """Return the cluster that runs in a profile: as `Cluster.from_file`.

    Raises
    ------
    ClusterError
        None runs there.
    """
    place = _place_of(named, state_dir)
    found = attached_to(place)
    found.check_running()
    return found


def attached_to(place: Profile) -> AttachedCluster:
    """Return the cluster of a profile, whether it runs or was killed.

    Raises
    ------
    ClusterError
        What it has written down cannot be used.
    """
    return AttachedCluster(place, _told(place))


def _place_of(named: str | os.PathLike[str], state_dir: str | os.PathLike[str] | None) -> Profile:
    path = Path(named).expanduser()
    if len(path.parts) == 1 and not path.exists():
        return Profile.named(str(named), None if state_dir is None else Path(state_dir))
    directory = (path if path.is_dir() else path.parent).absolute()
    return Profile(directory.name, directory)


def _told(place: Profile) -> Mapping[str, Any]:
    """Return what the cluster has written down; nothing where it has not (``ctrl-hub start``)."""
    try:
        told = json.loads(read_private(place.cluster, _MOST_BYTES))["cluster"]
        return told if isinstance(told, Mapping) else {}
    except FileNotFoundError:
        return {}
    except (StateError, ValueError, KeyError, TypeError) as error:
        raise ClusterError(f"{place.cluster} cannot be used: {error}") from error
