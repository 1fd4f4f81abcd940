"""The codes with which a gateway closes a WebSocket, whatever is spoken on it. Those from 4000 on are ours."""

from __future__ import annotations

MALFORMED = 1007
"""Something came that is not spoken here."""

TOO_LARGE = 1009
"""A message was larger than is taken."""

FAILED = 1011
"""The gateway itself failed; its log says how."""

ENDING = 1012
"""The gateway ends: come again."""

NO_ROOM = 1013
"""There is no room for what is wanted: come again later."""

REVOKED = 4401
"""The token was revoked, or has expired."""

TOO_SLOW = 4408
"""Who is at the other end does not take what it is sent, answers no ping, or does not end what it has begun to say."""

FLOOD = 4429
"""More messages or pings came than are taken in that time."""

CODES = frozenset({MALFORMED, TOO_LARGE, FAILED, ENDING, NO_ROOM, REVOKED, TOO_SLOW, FLOOD})
"""All of them; docs/gateway.md has the same."""
