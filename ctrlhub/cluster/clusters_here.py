"""The clusters that a program can choose among: its own, and those of this user that run elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctrlhub.cluster import starting
from ctrlhub.cluster.checking import checked_launcher
from ctrlhub.cluster.cluster import Cluster
from ctrlhub.cluster.engine_sets import LOCAL
from ctrlhub.cluster.errors import ClusterError
from ctrlhub.cluster.listing import Listed
from ctrlhub.cluster.manager import ClusterManager
from ctrlhub.controller.config import HubConfig
from ctrlhub.wire.places import DEFAULT_PROFILE, Profile

if TYPE_CHECKING:
    from ctrlhub.cluster.wanted import Wanted



@dataclass(frozen=True, slots=True)
class Choice:
    """A cluster that can be chosen.

    Parameters
    ----------
    key
        What stands for it: stays the same as long as it is there.
    label
        What people see.
    """

    key: str
    label: str


class ClustersHere:
    """Finds clusters, and starts others.

    Parameters
    ----------
    manager
        Knows those that were made here.
    """

    def __init__(self, manager: ClusterManager) -> None:
        self._manager = manager
        self._own: dict[str, Cluster] = {}
        self._others: dict[str, Profile] = {}
        self._met = 0

    def listed(self) -> list[Listed]:
        """Return what runs, or was killed and left something."""
        return self._manager.list_clusters()

    def choices(self, found: Sequence[Listed]) -> list[Choice]:
        """Return what can be chosen, of what was listed and of what was made here."""
        self._meet()
        by_place = {cluster.directory: key for key, cluster in self._own.items()}
        chosen = []
        for each in found:
            key = by_place.pop(each.directory, str(each.directory))
            if key not in self._own:
                self._others[key] = Profile(each.profile, each.directory)
            chosen.append(Choice(key, f"{each.profile} ({each.state})"))
        listed = {each.key for each in chosen}
        rest = [key for key in self._own if key not in listed]
        return chosen + [Choice(key, f"{self._name(key)} ({self._own[key].phase})") for key in rest]

    def cluster(self, key: str) -> Cluster:
        """Return a chosen cluster.

        Raises
        ------
        ClusterError
            It is not there any more.
        """
        self._meet()
        if key in self._own:
            return self._own[key]
        if key not in self._others:
            raise ClusterError("this cluster is not there any more")
        from ctrlhub.cluster.attached import attached_to  # which is a Cluster

        return attached_to(self._others[key])

    def made(self, wanted: Wanted) -> tuple[str, Cluster]:
        """Make a cluster that ends with this program, and return its key and it; it is not started.

        Raises
        ------
        ValueError, TypeError
            Something that is wanted makes no sense.
        ClusterError
            There is one of this profile here already.
        """
        try:
            _, cluster = self._manager.new_cluster(
                n=wanted.n, profile=wanted.profile, launcher=wanted.launcher,
                launcher_options=wanted.options, progress=False,
            )  # fmt: skip
        except KeyError as error:
            raise ClusterError(f"{error.args[0]}: choose it, and start it there") from None
        return self._met_as(cluster), cluster

    def start_lasting(self, wanted: Wanted) -> str:
        """Start a cluster that outlives this program, as ``ctrl-hub start`` does, and return its key.

        Raises
        ------
        AlreadyRunning
            The profile has a hub.
        StartFailed
            It did not become ready; nothing of it is left running.
        ValueError
            Something that is wanted makes no sense.
        """
        from ctrlhub.cluster.daemon import start_in_background
        from ctrlhub.cluster.supervisor import SupervisorConfig

        listen = None
        if wanted.launcher != LOCAL or wanted.options:
            listen = checked_launcher(wanted.launcher, wanted.options, None)
        name = wanted.profile or DEFAULT_PROFILE
        hub = HubConfig(profile=name, state_dir=str(self._manager.state_dir or ""), listen=listen)
        start_in_background(
            SupervisorConfig(hub, wanted.n, launcher=wanted.launcher, options=dict(wanted.options))
        )
        place = Profile.named(name, self._manager.state_dir)
        self._others[str(place.directory)] = place
        return str(place.directory)

    def _name(self, key: str) -> str:
        return self._own[key].profile or "private"

    def _meet(self) -> None:
        """Take in the clusters that were made in this program, and let go of what neither runs nor was made here."""
        kept = {*map(id, self._manager.clusters.values()), *map(id, starting.running)}
        self._own = {key: cluster for key, cluster in self._own.items() if id(cluster) in kept}
        known = {*map(id, self._own.values())}
        for cluster in (*self._manager.clusters.values(), *tuple(starting.running)):
            if id(cluster) not in known and isinstance(cluster, Cluster) and self._is_of(cluster):
                self._met_as(cluster)
                known.add(id(cluster))

    def _is_of(self, cluster: Cluster) -> bool:
        """Say whether it belongs here: to the state directory that is looked at."""
        return cluster.directory is None or self._manager.keeps(cluster.directory)

    def _met_as(self, cluster: Cluster) -> str:
        self._met += 1
        key = f"here-{self._met}"
        self._own[key] = cluster
        return key


