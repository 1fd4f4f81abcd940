"""Who may come in by a WebSocket: one client, with the role of its token. No I/O.

The hub knows of a peer of a gateway what the gateway vouches for, since it comes over the gateway's own
sockets. So a registration is looked at here: it must ask for the token's role, and it gets a name that
no other kind of peer can have, whatever it says. All else is the hub's to judge.
"""

from __future__ import annotations

from dataclasses import replace

from ctrlhub.wire.codec import decode, encode, kind_of
from ctrlhub.wire.errors import AuthenticationError, CtrlHubError
from ctrlhub.wire.messages import Register, Role, Stream

MOST_REGISTER = 64 * 1024
"""The largest registration (bytes), which alone is read here."""


class Doorman:
    """Looks at what one peer says on the hub stream.

    Parameters
    ----------
    role
        What its token allows.
    """

    def __init__(self, role: Role) -> None:
        self._role = role
        self._known: tuple[str, bytes] | None = None

    def look_at(self, stream: Stream, header: bytes) -> bytes:
        """Return a header as the hub is to get it.

        Raises
        ------
        AuthenticationError
            It is a registration that is not to be had with this token, or on this connection.
        """
        if stream is not Stream.HUB or kind_of(header) != Register.kind:
            return header
        if len(header) > MOST_REGISTER:
            raise AuthenticationError(f"a registration has at most {MOST_REGISTER} bytes")
        try:
            message = decode(header)
        except CtrlHubError:
            return header  # the hub cannot read it either, and says so
        if type(message) is not Register:
            return header
        return bytes(encode(self._checked(message))[0])

    def _checked(self, message: Register) -> Register:
        try:
            role = Role(message.role)
        except ValueError:
            role = None
        if role is not self._role:
            raise AuthenticationError(
                f"this token is for clients of role {self._role.value!r}, not {message.role[:40]!r}"
            )
        known = (message.key, message.incarnation)
        if self._known not in (None, known):
            raise AuthenticationError("a WebSocket is one peer's: open another one")
        self._known = known
        # Neither another's name, nor memory of this machine; and nothing large comes whole.
        return replace(
            message,
            key=f"web-{role.value}:{message.key}",
            segment=(),
            node="",
            bulk=False,
            parts=True,
        )
