"""``/metrics``: the figures of hub, engines and gateway, for Prometheus."""

from __future__ import annotations

from asyncio import timeout

from ctrlhub.gateway.handlers import Handler, Refusal
from ctrlhub.wire.errors import CtrlHubError
from ctrlhub.wire.telemetry import Telemetry

OPEN_METRICS = "application/openmetrics-text"

MISSING = "this needs prometheus-client where the hub runs: pip install 'ctrl-hub[metrics]'"

PATIENCE = 3.0
"""How long (seconds) a scrape waits for the hub: it has a deadline of its own, ten seconds as a rule."""


class Metrics(Handler):
    """Tells what is measured; also while the hub is away, which it then says."""

    async def get(self) -> None:
        """Tell it, as OpenMetrics to who asks for that, and else in the older format."""
        try:
            from ctrlhub.gateway.exposition import exposed
        except ImportError as error:
            if error.name is None or error.name.partition(".")[0] != "prometheus_client":
                raise
            raise Refusal(503, "not_installed", MISSING) from None
        accepts = self.request.headers.get("Accept", "")
        kind, text = exposed(await self._figures(), self.gateway, open_metrics=OPEN_METRICS in accepts)
        self.set_header("Content-Type", kind)
        self.set_header("Cache-Control", "no-store")
        self.finish(text)

    async def _figures(self) -> Telemetry | None:
        try:
            async with timeout(PATIENCE):
                return await self.gateway.telemetry.now()
        except (CtrlHubError, TimeoutError):  # the log has it, and `ctrlhub_hub_up` says so
            return None
