"""What can be wrong with a dashboard."""

from __future__ import annotations

from ctrlhub.wire.errors import CtrlHubError


class NoBokeh(CtrlHubError):
    """The plots need Bokeh, and it is not installed."""

    def __init__(self) -> None:
        super().__init__("the dashboard needs Bokeh: pip install 'ctrl-hub[dashboard]' where the hub runs, and reload the page")
