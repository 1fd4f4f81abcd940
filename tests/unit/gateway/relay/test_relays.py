"""All peers of a gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from ctrlhub.gateway.access.room import KEPT_FOR_ADMINS
from ctrlhub.gateway.relay.framings import FRAMINGS
from ctrlhub.gateway.relay.relays import MOST_PEERS, Relays
from ctrlhub.wire.errors import ConnectionFileError, LimitExceeded
from ctrlhub.wire.messages import Role
from ctrlhub.wire.places import Profile
from ctrlhub.wire.web import MSGPACK


def test_there_are_so_many_at_most(tmp_path: Path) -> None:
    """Another one is refused, with the reason; there is room again when one has gone."""
    relays, profile = Relays(), Profile("none", tmp_path)

    class Gone:
        def over(self) -> None:
            """Be gone."""

    for role, most in ((Role.VIEW, MOST_PEERS - KEPT_FOR_ADMINS), (Role.ADMIN, MOST_PEERS)):
        peers: list[Any] = [Gone() for _ in range(most - len(relays.peers))]
        relays.peers.update(peers)
        with pytest.raises(LimitExceeded, match=f"{most} peers"):
            relays.begin(profile, cast(Any, None), FRAMINGS[MSGPACK], role)
        relays.end(peers[0])
        with pytest.raises(ConnectionFileError):  # so it was let in: here is no hub
            relays.begin(profile, cast(Any, None), FRAMINGS[MSGPACK], role)
