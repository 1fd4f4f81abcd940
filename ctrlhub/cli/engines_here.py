"""Sets of engines that came with a cluster, without a launcher that has them on record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ctrlhub.cluster.attached import AttachedCluster
    from ctrlhub.cluster.launchers.sets import SetRecords
    from ctrlhub.wire.places import Profile


@contextmanager
def cluster_of(place: Profile) -> Iterator[AttachedCluster]:
    """Attach to the cluster that runs in a profile, and leave it as it is."""
    from ctrlhub.cluster.attached import running_cluster

    attached = running_cluster(place.directory, None)
    with attached:
        yield attached


def sets_here(place: Profile, found: SetRecords) -> dict[str, dict[str, Any]]:
    """Describe the sets whose engines are registered, and which are not on record; by name.

    Where no hub can be asked there are none that one could do anything with.
    """
    from ctrlhub.cluster.errors import ClusterError
    from ctrlhub.wire.errors import CtrlHubError

    if not place.connection_client.exists():
        return {}
    try:
        with cluster_of(place) as cluster:
            known = cluster.engines
    except (ClusterError, CtrlHubError) as error:
        click.echo(f"ctrl-hub: the hub cannot be asked which engines it has: {error}", err=True)
        return {}
    recorded = {each.spec.name for each in found.launchers}
    return {
        name: {
            "set": name, "launcher": each.launcher, "n": each.n, "started": None,
            "owner": "cluster", "handle": {}, "state": "running", "reason": "", "log": "",
        }
        for name, each in known.items()
        if name not in recorded and each.n
    }  # fmt: skip


def stop_here(place: Profile, names: Iterable[str]) -> None:
    """End the engines of such sets; the cluster stays."""
    with cluster_of(place) as cluster:
        for name in names:
            cluster.stop_engines_sync(name)


def restart_here(place: Profile, names: Iterable[str]) -> None:
    """Put fresh processes in the places of the engines of such sets."""
    with cluster_of(place) as cluster:
        for name in names:
            cluster.restart_engines_sync(name)
