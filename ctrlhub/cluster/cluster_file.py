"""``cluster.json``: what a cluster is, for other processes that find it by its profile."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctrlhub.cluster.errors import ClusterError
from ctrlhub.wire.places import Profile
from ctrlhub.wire.private import make_private_dir, write_private

if TYPE_CHECKING:
    from ctrlhub.cluster.claim import Claim
    from ctrlhub.cluster.engine_sets import EngineSets


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
