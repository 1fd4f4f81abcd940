"""The widget of one cluster: how it is, its engines, and buttons to start it, make it larger and stop it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ipywidgets import HTML, BoundedIntText, Button, HBox, ToggleButton, VBox

from ctrlhub.cluster.looks import ClusterLook, Phase
from ctrlhub.cluster.widgets.acting import Acts, what_happened
from ctrlhub.cluster.widgets.drawing import engines, heading, news
from ctrlhub.cluster.widgets.refreshing import Refresher

if TYPE_CHECKING:
    from ctrlhub.cluster.cluster import Cluster

INTERVAL = 1.0
"""Seconds from one look to the next, while somebody sees it."""

MOST = 100_000
"""More engines are refused here, as a slip of the keyboard."""


class ClusterWidget(VBox):  # type: ignore[misc]
    """Shows a cluster, and changes it. Nothing is asked of the hub while nobody sees it.

    Parameters
    ----------
    cluster
        Whose it is.

    Attributes
    ----------
    cluster : Cluster
        The same.
    count : BoundedIntText
        How many engines there are to be.
    go : Button
        Starts the cluster, or gives it `count` engines.
    end : Button
        Stops the cluster.
    web : Button
        Has the dashboard served.
    least, most : BoundedIntText
        Between what the number of engines follows the queue.
    follow : ToggleButton
        Whether it does.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.count = _number("engines", max(1, cluster.n))
        self.go = Button(description="Start", button_style="primary", tooltip="Start hub and engines")
        self.end = Button(description="Stop", tooltip="End hub and engines")
        self.least = _number("at least", 0)
        self.most = _number("at most", max(1, cluster.n))
        self.follow = ToggleButton(description="Adapt", tooltip="Follow the queue of tasks between these")
        self.web = Button(description="Dashboard", tooltip="Have the dashboard served, and linked here")
        self._head, self._engines, self._news = shown(), shown(), HTML()
        self._acts = Acts(self._changed)
        self._look_of: ClusterLook | None = None
        self._refresher = Refresher(self._look, INTERVAL)
        super().__init__(
            (
                self._head,
                HBox((self.count, self.go, self.end, self.web)),
                HBox((self.least, self.most, self.follow)),
                self._news,
                self._engines,
            ),
            _view_count=0,  # has the views counted
        )
        self.add_class("ctrlhub-cluster")
        self.go.on_click(lambda _: self._go())
        self.end.on_click(lambda _: self._acts.begin("stopping", self.cluster.stop))
        self.web.on_click(lambda _: self._acts.begin("starting the dashboard", lambda: self.cluster.dashboard_link))
        self.follow.observe(self._follow, "value")
        self.observe(lambda change: self._refresher.shown(change["new"] or 0), "_view_count")
        self._draw(cluster._look_here())

    @property
    def trouble(self) -> str:
        """What went wrong last; empty if what was done last went well."""
        return self._acts.trouble

    def close(self) -> None:
        """Look no more, and take the widget away; the cluster stays as it is."""
        self._refresher.close()
        parts = (self.count, self.go, self.end, self.web, self.least, self.most, self.follow)
        for each in (*parts, self._head, self._engines, self._news, *self.children):
            each.close()
        super().close()

    def nudge(self) -> None:
        """Have a look soon, also if nobody sees it."""
        self._refresher.nudge()

    # ------------------------------------------------------------ what is done

    def _go(self) -> None:
        n = self.count.value
        if self.cluster.phase is Phase.RUNNING:
            self._acts.begin(f"scaling to {n}", lambda: self.cluster.scale(n))
        else:
            self._acts.begin("starting", lambda: self._start(n))

    def _start(self, n: int) -> None:
        # No bar: this is shown here, and a thread's output belongs to no cell.
        self.cluster._start_quietly(n)

    def _follow(self, change: Any) -> None:
        adapts = self.cluster.adapts
        if change["new"] == bool(adapts):
            return  # it is so already: the button was brought up to date
        if not change["new"]:
            self._acts.begin("adapting no longer", lambda: self.cluster.adapt(None))
            return
        least, most = self.least.value, self.most.value
        self._acts.begin(f"adapting between {least} and {most}", lambda: self.cluster.adapt(least, most))

    # ------------------------------------------------------------ what is shown

    def _changed(self) -> None:
        if not self._refresher.closed:
            self._news.value = news(self._acts.doing, self._acts.trouble)
            self._refresher.nudge()

    def _look(self) -> None:
        try:
            look = self.cluster.look()
        except Exception as error:  # whatever it is, it is shown; the next look may fare better
            look = self.cluster._look_here()
            look = replace(look, described=f"{look.described}: {what_happened(error)}", engines=())
        if not self._refresher.closed:
            self._draw(look)

    def _draw(self, look: ClusterLook) -> None:
        if look == self._look_of and self.follow.value == bool(look.adapts):
            return
        before, self._look_of = self._look_of, look
        runs = look.phase is Phase.RUNNING
        _set(self._head, value=heading(look))
        _set(self._engines, value=engines(look))
        _set(self.go, description="Scale" if runs else "Start", disabled=look.phase is Phase.STARTING)
        _set(self.end, disabled=look.phase is Phase.ABSENT)
        _set(self.web, disabled=not runs or bool(look.link))
        _set(self.follow, disabled=not runs)
        if not self._acts.doing:
            _set(self.follow, value=bool(look.adapts))
        if before is not None and before.n != look.n and self.count.value == before.n:
            _set(self.count, value=look.n)  # somebody else has scaled it, and nobody is typing here


def shown() -> Any:
    """Return a widget for HTML, with tables as notebooks have them."""
    # As wide as its text: those tables stand in the middle of what they have.
    return HTML(layout={"width": "max-content", "max_width": "100%"}).add_class("jp-RenderedHTMLCommon")


def _number(description: str, value: int) -> Any:
    return BoundedIntText(value, min=0, max=MOST, description=description, layout={"width": "13em"})


def _set(widget: Any, **traits: Any) -> None:
    for name, value in traits.items():
        if getattr(widget, name) != value:
            setattr(widget, name, value)


