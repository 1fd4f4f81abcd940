"""The widget of all clusters of this user: a list, a form to start another one, and the one that is chosen."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from ipywidgets import HTML, Accordion, Dropdown, VBox

from ctrlhub.cluster.attached import AttachedCluster
from ctrlhub.cluster.clusters_here import Choice, ClustersHere
from ctrlhub.cluster.manager import ClusterManager
from ctrlhub.cluster.wanted import Wanted
from ctrlhub.cluster.widgets.acting import Acts, what_happened
from ctrlhub.cluster.widgets.drawing import clusters, news
from ctrlhub.cluster.widgets.form import StartForm
from ctrlhub.cluster.widgets.one import ClusterWidget, shown
from ctrlhub.cluster.widgets.refreshing import Refresher

if TYPE_CHECKING:
    from ctrlhub.cluster.cluster import Cluster

INTERVAL = 2.0
"""Seconds from one look at which clusters there are to the next, while somebody sees it."""

NOTHING = ""
"""The choice of no cluster."""


class ClustersWidget(VBox):  # type: ignore[misc]
    """Lists clusters, starts others, and shows the one that is chosen.

    Parameters
    ----------
    manager
        Finds them.

    Attributes
    ----------
    chosen : Dropdown
        Which cluster is shown.
    form : StartForm
        Starts another one.
    """

    def __init__(self, manager: ClusterManager) -> None:
        self._clusters = ClustersHere(manager)
        self._list, self._news = shown(), HTML()
        self._acts = Acts(self._changed)
        self._refresher = Refresher(self._look, INTERVAL)
        self._widgets: dict[str, ClusterWidget] = {}
        self._taking = threading.Lock()
        """For `_widgets`, which acts, looks and the kernel change, each in a thread of its own."""
        self._listing = threading.RLock()
        self._is_listing = False
        self._tried = NOTHING
        self.chosen = Dropdown(options=[("choose one", NOTHING)], description="cluster")
        self._detail = VBox()
        self.form = StartForm(self._start, self._acts.refuse)
        self._more = Accordion((self.form,), titles=("Start another cluster",), selected_index=None)
        super().__init__((self._list, self._news, self.chosen, self._detail, self._more), _view_count=0)
        self.chosen.observe(self._choose, "value")
        self.observe(lambda change: self._refresher.shown(change["new"] or 0), "_view_count")
        self._look()

    @property
    def cluster(self) -> Cluster | None:
        """The cluster that is chosen: ``widget.cluster.client`` is connected to it; None for none."""
        shown = self._shown
        return None if shown is None else shown.cluster

    @property
    def trouble(self) -> str:
        """What went wrong last; empty if what was done last went well."""
        return self._acts.trouble

    @property
    def _shown(self) -> ClusterWidget | None:
        return self._widgets.get(self.chosen.value or NOTHING)

    def close(self) -> None:
        """Look no more, and take it away: clusters stay as they are, those of others are left."""
        self._refresher.close()
        with self._taking:  # what comes later finds it closed
            widgets, self._widgets = self._widgets, {}
        for each in widgets.values():
            each.close()
            if isinstance(each.cluster, AttachedCluster):
                each.cluster.leave()
        for part in (self._list, self._news, self.chosen, self._detail, self.form, self._more):
            part.close()
        super().close()

    # ------------------------------------------------------------ what is done

    def _start(self, wanted: Wanted) -> None:
        what = f"starting {wanted.n} engines of {wanted.profile or 'a private profile'}"
        self._acts.begin(what, partial(self._start_here if not wanted.lasts else self._start_lasting, wanted))

    def _start_here(self, wanted: Wanted) -> None:
        key, cluster = self._clusters.made(wanted)
        try:
            self._show(key, cluster)
            cluster.start()
        finally:
            self._refresher.nudge()

    def _start_lasting(self, wanted: Wanted) -> None:
        key = self._clusters.start_lasting(wanted)
        self._show(key, self._clusters.cluster(key))

    def _choose(self, change: Any) -> None:
        self._tried = NOTHING
        if not self._is_listing:  # else the look that is going on sees to it
            self._attend()

    def _attend(self) -> None:
        """Show the cluster that is chosen."""
        key = self.chosen.value or NOTHING
        if key == NOTHING or key in self._widgets:
            self._put()
        elif key != self._tried:
            self._tried = key
            self._acts.begin("attaching", lambda: self._show(key, self._clusters.cluster(key)))

    def _show(self, key: str, cluster: Cluster) -> None:
        """Have a cluster shown, as if it had been chosen."""
        if not self._takes(key, cluster) and isinstance(cluster, AttachedCluster):
            cluster.leave()
        if not self._refresher.closed:
            self._list_choices(key)
            self._put()

    def _takes(self, key: str, cluster: Cluster) -> bool:
        """Take a cluster in; False if there is no need of it, since another has come before, or all is over."""
        with self._taking:
            there = self._widgets.get(key)
            if there is not None:
                return there.cluster is cluster
            if self._refresher.closed:
                return False
            self._widgets[key] = ClusterWidget(cluster)
            return True

    def _put(self) -> None:
        shown = self._shown
        children = () if shown is None else (shown,)
        if self._detail.children != children:
            self._detail.children = children

    # ------------------------------------------------------------ what is shown

    def _changed(self) -> None:
        if not self._refresher.closed:
            self._news.value = news(self._acts.doing, self._acts.trouble)
            self._refresher.nudge()
            if (shown := self._shown) is not None:
                shown.nudge()

    def _look(self) -> None:
        if self._refresher.closed:
            return
        try:
            self._list_choices()
            self._attend()
        except Exception as error:  # whatever it is, it is shown; the next look may fare better
            self._news.value = news(self._acts.doing, what_happened(error))

    def _list_choices(self, wanted: str | None = None) -> None:
        with self._listing:
            self._list_now(wanted)

    def _list_now(self, wanted: str | None) -> None:
        found = self._clusters.listed()
        text = clusters(found)
        if self._list.value != text:
            self._list.value = text
        choices = [Choice(NOTHING, "choose one"), *self._clusters.choices(found)]
        options = tuple((each.label, each.key) for each in choices)
        value = self.chosen.value if wanted is None else wanted
        if tuple(self.chosen.options) == options and value == self.chosen.value:
            return
        keys = {each.key for each in choices}
        self._is_listing = True
        try:
            with self.chosen.hold_sync():
                self.chosen.options = options
                self.chosen.value = value if value in keys else NOTHING
        finally:
            self._is_listing = False
