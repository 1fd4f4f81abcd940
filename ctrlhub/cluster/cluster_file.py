"""``cluster.json``: what a cluster is, for other processes that find it by its profile."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctrlhub.cluster.errors import ClusterError
from ctrlhub.wire.places import DEFAULT_PROFILE, Profile
from ctrlhub.wire.private import StateError, make_private_dir, read_private, write_private

if TYPE_CHECKING:
    from ctrlhub.cluster.claim import Claim
    from ctrlhub.cluster.cluster import Cluster
    from ctrlhub.cluster.engine_sets import EngineSets

_MOST_BYTES = 1024 * 1024


class ClusterFile:
    """The part of a cluster that other processes find it by."""

    n: int
    launcher: str
    launcher_options: Mapping[str, Any]
    default_set: str
    _name: str | None
    _state: Path | None
    _claim: Claim | None
    _engine_sets: EngineSets | None

    @property
    def _place(self) -> Profile | None:
        """The profile in use, or the one that will be; None for a private one that is not there yet."""
        if self._claim is not None:
            return self._claim.profile
        return None if self._name is None else Profile.named(self._name, self._state)

    @property
    def cluster_file(self) -> str:
        """Where it is written down; empty where it has no profile and does not run."""
        place = self._place
        return "" if place is None else str(place.cluster)

    @property
    def cluster_id(self) -> str:
        """What ipyparallel calls the name of the profile."""
        place = self._place
        return "" if place is None else place.name

    def to_dict(self) -> dict[str, Any]:
        """Return what another process needs to know; no secrets."""
        place = self._place
        return {
            "cluster": {
                "profile": None if place is None else place.name,
                "directory": None if place is None else str(place.directory),
                "n": self.n,
                "launcher": self.launcher,
                "launcher_options": dict(self.launcher_options),
                "default_set": self.default_set,
            },
            "controller": {"pid": os.getpid()} if self._claim is not None else None,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Cluster:
        """Return the cluster that was described by `to_dict`: see `from_file`."""
        from ctrlhub.cluster.attached import AttachedCluster

        try:
            told = data["cluster"]
            place = Profile(str(told["profile"]), Path(told["directory"]))
        except (KeyError, TypeError) as error:
            raise ClusterError(f"this does not describe a cluster: {error!r}") from None
        return AttachedCluster(place, told)

    @classmethod
    def from_file(
        cls,
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
        from ctrlhub.cluster.attached import AttachedCluster

        place = _place_of(cluster_file or profile or cluster_id or DEFAULT_PROFILE, state_dir)
        found = AttachedCluster(place, _told(place))
        found.check_running()
        return found

    def write_cluster_file(self) -> None:
        """Write it, closed to others, and never seen half-written."""
        place = self._place
        if place is None:
            raise ClusterError("a cluster without a profile has a file only while it runs")
        make_private_dir(place.directory)
        write_private(place.cluster, json.dumps(self.to_dict()).encode() + b"\n")

    def remove_cluster_file(self) -> None:
        """Remove it, if it is there."""
        if self.cluster_file:
            Path(self.cluster_file).unlink(missing_ok=True)

    def update_cluster_file(self) -> None:
        """Write it if the cluster runs, else remove it."""
        if self._claim is None:
            self.remove_cluster_file()
        else:
            self.write_cluster_file()


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
