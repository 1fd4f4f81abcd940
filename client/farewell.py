"""What becomes of requests whose hub has ended, as far as their client knows. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ctrlhub.client.ledger import Ledger
from ctrlhub.wire.errors import CtrlHubError

KEPT = "; it had accepted this, which is kept for the next hub, where Client(session={}) has it"
UNSURE = (
    "; it had not said that it has accepted this: submit it again with a new Client, unless there is "
    "another hub where Client(session={}) has it"
)


LOST = "; what it held is lost: submit again what has not ended, with a new Client"
NOT_SENT = "; what it was not sent yet can be submitted again, with a new Client"


def fates(
    ledger: Ledger[Any], error: CtrlHubError, session: int
) -> Iterator[tuple[list[int], CtrlHubError]]:
    """Yield the requests of a hub that had a store, and what each of them ends with.

    Parameters
    ----------
    ledger
        The requests.
    error
        Says that the hub has ended.
    session
        The client's session.
    """
    unsure = ledger.unaccepted()
    kept = ledger.requests.keys() - set(unsure)
    for numbers, what in ((sorted(kept), KEPT), (unsure, UNSURE)):
        yield numbers, type(error)(f"{error}{what.format(session)}")
