"""What a cluster looks like, at a prompt and in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ctrlhub.client.dashboard import Dashboard
from ctrlhub.cluster.looks import ClusterLook, Phase, engines_from
from ctrlhub.cluster.showing import Shown
from ctrlhub.cluster.starting import Starting
from ctrlhub.wire.private import StateError

if TYPE_CHECKING:
    from ctrlhub.client.client import Client
    from ctrlhub.cluster.cluster import Cluster


class Displaying(Starting):
    """The part of a cluster that is looked at."""

    _widget: Any = None

    @property
    def profile(self) -> str | None:
        """The name of the profile in use."""
        raise NotImplementedError

    @property
    def pids(self) -> Mapping[str, Any]:
        """The processes."""
        raise NotImplementedError

    # ------------------------------------------------------------ how it is

    @property
    def directory(self) -> Path | None:
        """Where its state is; None for a private one that does not run."""
        place = self._place
        return None if place is None else place.directory

    @property
    def phase(self) -> Phase:
        """How far it is: not running, starting, running, or over."""
        if self._claim is None:
            return Phase.ABSENT
        if self._client is None:
            return Phase.STARTING
        hub = self._processes.hub if self._processes else None
        return Phase.OVER if self._client.closed or hub is None or hub.ended() is not None else Phase.RUNNING

    @property
    def adapts(self) -> str:
        """What follows the queue of tasks (`adapt`), described; empty for nothing."""
        adapter = self._adapter
        return repr(adapter) if adapter is not None and adapter.running else ""

    def look(self) -> ClusterLook:
        """Return how it is at this moment; its hub is asked, if it runs.

        Raises
        ------
        HubUnavailable
            The hub does not answer.
        """
        here = self._look_here()
        return here if here.phase is not Phase.RUNNING else self._look_with(self.client)

    def _look_with(self, client: Client) -> ClusterLook:
        return self._made_look(engines_from(client.roster.asked().values()))

    def _look_here(self) -> ClusterLook:
        """Return the same as far as it is known here: nobody is asked."""
        client = self._client
        known = () if client is None or client.closed else client.roster.known().values()
        return self._made_look(engines_from(known))

    def _made_look(self, engines: Any) -> ClusterLook:
        return ClusterLook(
            self.profile, self.phase, self._wanted_now(), self.launcher, self._hub_state(), self.adapts, engines,
            self._dashboard.known_link(),
        )  # fmt: skip

    def _wanted_now(self) -> int:
        """Return how many engines there are to be: what follows the queue may want others than were asked for."""
        adapter = self._adapter
        if adapter is None or not adapter.running or adapter.wanted is None:
            return self.n
        return adapter.wanted

    @property
    def _dashboard(self) -> Dashboard:
        return Dashboard(self.profile or "", self.directory)

    @property
    def dashboard_link(self) -> str:
        """The link to the dashboard: see `Client.dashboard_link`.

        Raises
        ------
        ClusterError
            The cluster is not running.
        """
        return self.client.dashboard_link

    def _hub_state(self) -> str:
        hub = self._processes.hub if self._processes else None
        if hub is None:
            return self._without_a_hub() if self._claim is None else "starting"
        if hub.ended() is None:
            return f"running, hub pid {hub.pid}"
        return f"over, its hub {hub.how_it_ended()}"

    def _without_a_hub(self) -> str:
        place = self._place
        try:
            other = None if place is None else place.hub_lock().holder()
        except StateError:
            other = None  # whoever starts it is told what is wrong with the place
        return "not running" if other is None else f"not started here; one of this profile runs (hub pid {other})"

    # ------------------------------------------------------------ what is shown

    def __repr__(self) -> str:
        return self._shown().line()

    def _repr_html_(self) -> str:
        """Show state, sets of engines and processes: where there are no widgets."""
        return self._shown().panel()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Show the widget where there are widgets, else a table, else a line (Jupyter asks for it)."""
        from ctrlhub.client.ipython import is_notebook
        from ctrlhub.client.progress import is_quiet
        from ctrlhub.cluster.widgets.opening import has_widgets

        plain = {"text/plain": repr(self), "text/html": self._repr_html_()}
        if not is_notebook() or is_quiet() or not has_widgets():
            return plain
        bundle = self.widget()._repr_mimebundle_(include=include, exclude=exclude)
        return {**bundle, **plain} if isinstance(bundle, dict) else plain

    def widget(self) -> Any:
        """Return the widget that shows this cluster, live, and changes it; the same one each time.

        Raises
        ------
        ImportError
            ipywidgets is not there.
        """
        if self._widget is None or self._widget.comm is None:
            from ctrlhub.cluster.widgets.opening import widget_of

            self._widget = widget_of(cast("Cluster", self))
        return self._widget

    def _shown(self) -> Shown:
        sets = self._engine_sets
        is_connected = self._client is not None and not self._client.closed
        return Shown(
            type(self).__name__, self.n, self._name, self.profile, self.launcher, self._hub_state(), self.pids,
            self.adapts, sets.known_here() if sets is not None and is_connected else {},
            self._dashboard.note() if is_connected else "",
        )  # fmt: skip

    def _start_quietly(self, n: int) -> None:
        """Start it, with `n` engines, and show no bar."""
        bar, self._progress = self._progress, False
        try:
            self.start_and_connect_sync(n)
        finally:
            self._progress = bar
