"""Sealing what goes over a bulk connection: AES-256-GCM, whose keys come from a secret of the session.

The secret comes over CURVE. Each connection has keys of its own, one for each direction, which follow
from the secret and from what both sides have drawn for it (HKDF, RFC 5869); so what was recorded of
one connection opens nothing on another. The nonce is the number of the record: what is left out,
repeated or in another order does not open.

`cryptography` is loaded when the first connection is made: most processes never make one.
"""

from __future__ import annotations

import hmac
import importlib.util
from typing import Any

from ctrlhub.wire.errors import AuthenticationError
from ctrlhub.wire.messages import Buffer

SECRET_BYTES = 32
TAG_BYTES = 16
"""By how much what is sealed is longer."""

MOST_RECORDS = 1 << 32
"""No key seals more: a connection that has sent so many ends, and another is made."""

_LABEL = b"ctrl-hub bulk 1 "


def can_seal() -> bool:
    """Tell whether this installation has the cipher."""
    return importlib.util.find_spec("cryptography") is not None


class Keys:
    """The keys of one connection.

    Parameters
    ----------
    secret
        That of the session.
    drawn
        All that was said so far, in which each side has drawn something new.
    """

    def __init__(self, secret: bytes, drawn: bytes) -> None:
        extracted = hmac.digest(drawn, secret, "sha256")
        self.to_hub = _expand(extracted, b"to hub")
        self.to_peer = _expand(extracted, b"to peer")


def _expand(key: bytes, purpose: bytes) -> bytes:
    return hmac.digest(key, _LABEL + purpose + b"\x01", "sha256")


class Seal:
    """Seals the records of one direction, or opens them; each once, in order.

    Parameters
    ----------
    key
        That of the direction.
    """

    def __init__(self, key: bytes) -> None:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher: Any = AESGCM(key)
        self._invalid = InvalidTag
        self._writes_into = hasattr(AESGCM, "encrypt_into")  # younger than what is required
        self._count = 0

    def close(self, head: bytes, body: Buffer, room: bytearray | None = None) -> Buffer:
        """Seal a body; `head` travels beside it, readable, and cannot be changed either.

        It is written into `room`, where there is some and the library can.
        """
        nonce = self._nonce()
        nbytes = memoryview(body).nbytes + TAG_BYTES
        if self._writes_into and room is not None and nbytes <= len(room):
            place = memoryview(room)[:nbytes]
            self._cipher.encrypt_into(nonce, body, head, place)
            return place
        return self._cipher.encrypt(nonce, body, head)

    def open(self, head: bytes, body: Buffer, room: bytearray | None = None) -> Buffer:
        """Open a body, as `close` into `room`.

        Raises
        ------
        AuthenticationError
            It is not what the other side has sealed, or not the next.
        """
        nonce = self._nonce()
        nbytes = memoryview(body).nbytes - TAG_BYTES
        try:
            if self._writes_into and room is not None and 0 <= nbytes <= len(room):
                place = memoryview(room)[:nbytes]
                self._cipher.decrypt_into(nonce, body, head, place)
                return place
            return self._cipher.decrypt(nonce, body, head)
        except self._invalid:
            raise AuthenticationError("what came on a bulk connection is not authentic") from None

    @property
    def is_used_up(self) -> bool:
        """Whether the key must seal no more."""
        return self._count >= MOST_RECORDS

    def _nonce(self) -> bytes:
        if self.is_used_up:
            raise AuthenticationError("a bulk connection has lasted too long: make another")
        number, self._count = self._count, self._count + 1
        return number.to_bytes(12, "big")
