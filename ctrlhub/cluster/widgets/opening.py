"""`ctrlhub.widget`: clusters in a notebook."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctrlhub.cluster.cluster import Cluster


def has_widgets() -> bool:
    """Say whether there can be widgets."""
    return find_spec("ipywidgets") is not None


def widget(state_dir: str | os.PathLike[str] | None = None) -> Any:
    """Show the clusters of this user in a notebook: to start, to stop, and to make larger and smaller.

    Parameters
    ----------
    state_dir
        Where the state of clusters is kept, instead of the user's state directory.

    Returns
    -------
    ClustersWidget
        A widget of ipywidgets. Its `cluster` is the one that is chosen; `close` takes it away.

    Raises
    ------
    ImportError
        ipywidgets is not there.

    Examples
    --------
    >>> shown = ctrlhub.widget()  # doctest: +SKIP
    >>> shown.cluster.client[:].apply_sync(os.getpid)  # doctest: +SKIP
    [7001, 7002]
    """
    _need_widgets("ctrlhub.widget()")
    from ctrlhub.cluster.manager import ClusterManager
    from ctrlhub.cluster.widgets.several import ClustersWidget

    return ClustersWidget(ClusterManager(None if state_dir is None else os.fspath(state_dir)))


def widget_of(cluster: Cluster) -> Any:
    """Make the widget of one cluster: `Cluster.widget`."""
    _need_widgets("Cluster.widget()")
    from ctrlhub.cluster.widgets.one import ClusterWidget

    return ClusterWidget(cluster)


def _need_widgets(what: str) -> None:
    if not has_widgets():
        raise ImportError(f"{what} needs ipywidgets: pip install 'ctrl-hub[jupyter]'")
