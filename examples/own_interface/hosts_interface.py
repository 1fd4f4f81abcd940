"""An interface of one's own: where the engines are, and how many have come since the hub began."""

from collections import Counter

from ctrlhub import IControllerBase
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.interfaces.base import Context, Interface, exposed


class Hosts(Interface):
    """Tells engines by host."""

    name = "hosts"

    def __init__(self, controller: IControllerBase, context: Context) -> None:
        super().__init__(controller, context)
        self._came: Counter[str] = Counter()
        self.follow_engines(self._engine_came, lambda number: None)

    def _engine_came(self, number: int) -> None:
        self._came[self.engine(number).session.host] += 1

    @exposed
    def on(self, caller: Session, host: str) -> list[int]:
        """Return the ids of the engines that are on a host now."""
        return [n for n in sorted(self.engines) if self.engine(n).session.host == host]

    @exposed
    def came(self, caller: Session) -> dict[str, int]:
        """Return for each host how many engines have come."""
        return dict(self._came)
