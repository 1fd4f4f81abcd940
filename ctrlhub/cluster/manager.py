"""`ClusterManager`: the clusters there are, by name, as ipyparallel has it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ctrlhub.cluster.attached import AttachedCluster
from ctrlhub.cluster.cluster import Cluster
from ctrlhub.cluster.errors import ClusterError
from ctrlhub.cluster.listing import Listed, State, list_clusters
from ctrlhub.wire.places import DEFAULT_PROFILE
from ctrlhub.wire.places import state_dir as user_state_dir

_log = logging.getLogger(__name__)


class ClusterManager:
    """Clusters, by the names of their profiles: those that were made here, and those of others that run.

    Parameters
    ----------
    state_dir
        Where the state of clusters is kept, instead of the user's state directory.

    Attributes
    ----------
    clusters : dict
        The clusters, by key.
    """

    def __init__(self, state_dir: str | Path | None = None) -> None:
        self._state = None if state_dir is None else Path(state_dir).expanduser().absolute()
        self.clusters: dict[str, Cluster] = {}
        self._made = 0

    @property
    def state_dir(self) -> Path | None:
        """Where the state of clusters is kept; None for the user's state directory."""
        return self._state

    def keeps(self, directory: Path) -> bool:
        """Say whether a cluster's directory is in that state directory."""
        return directory.is_relative_to(self._state or user_state_dir())

    def list_clusters(self) -> list[Listed]:
        """Return what runs, or was killed and left something, of all profiles: as ``ctrl-hub list``."""
        return list_clusters(self._state)

    def load_clusters(
        self,
        *,
        profiles: Iterable[str] | None = None,
        profile: str | None = None,
        init_default_clusters: bool = False,
        **others: Any,
    ) -> dict[str, Cluster]:
        """Take in the clusters that run, and forget those of others that do not any more.

        Parameters
        ----------
        profiles, profile
            Which; all, if not given.
        init_default_clusters
            Have one of the default profile, not started, if none runs there.
        **others
            Kept for programs that pass directories of IPython's: they are ignored.
        """
        for name in others:
            _log.warning("load_clusters: %s is ignored: clusters are found by profile", name)
        wanted = None if profiles is None and profile is None else {*(profiles or ()), *filter(None, [profile])}
        running = {each.profile: each for each in self.list_clusters() if each.state is State.RUNNING}
        for key, cluster in tuple(self.clusters.items()):
            if isinstance(cluster, AttachedCluster) and key not in running:
                del self.clusters[key]
        ours = {cluster.cluster_id for cluster in self.clusters.values()}
        for name, listed in running.items():
            if name in ours or (wanted is not None and name not in wanted):
                continue
            try:
                self.clusters[name] = Cluster.from_file(listed.directory)
            except ClusterError as error:  # it has just ended
                _log.warning("cluster %r is left out: %s", name, error)
        if init_default_clusters and DEFAULT_PROFILE not in {*self.clusters, *running}:
            self.clusters[DEFAULT_PROFILE] = Cluster(profile=DEFAULT_PROFILE, state_dir=self._state)
        return self.clusters

    def new_cluster(self, **options: Any) -> tuple[str, Cluster]:
        """Make a cluster, not started, and return its key and it; the parameters are those of `Cluster`.

        Raises
        ------
        KeyError
            There is one of this profile.
        """
        options.setdefault("state_dir", self._state)
        cluster = Cluster(**options)
        key = cluster.cluster_id
        if not key:
            self._made += 1
            key = f"private-{self._made}"
        if key in self.clusters:
            raise KeyError(f"there is a cluster {key!r} already")
        self.clusters[key] = cluster
        return key, cluster

    def get_cluster(self, cluster_id: str) -> Cluster:
        """Return a cluster by its key; a `KeyError` if there is none."""
        return self.clusters[cluster_id]

    def remove_cluster(self, cluster_id: str) -> None:
        """Forget a cluster, whether it runs or not; a `KeyError` if there is none."""
        del self.clusters[cluster_id]

    def __repr__(self) -> str:
        return f"<ClusterManager: {', '.join(self.clusters) or 'no clusters'}>"
