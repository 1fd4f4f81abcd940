"""Cookies: what a browser has once it has shown a token. Signed, with an end; no I/O, no clock.

A cookie names its token by id, so it ends with the token, and with the key that signs it. There is nothing
to be kept of a browser that has logged in, and a gateway that is started again knows it.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import sha256

MOST_TEXT = 256
VERSION = "1"


@dataclass(frozen=True, slots=True)
class Login:
    """What a cookie says.

    Attributes
    ----------
    token
        The id of the token that was shown.
    nonce
        Random: tells this login from others of the same token.
    expires
        Until when it is good (Unix time, seconds).
    """

    token: str
    nonce: str
    expires: int

    def signed(self, key: bytes) -> str:
        """Return the cookie's value."""
        said = f"{VERSION}.{self.token}.{self.nonce}.{self.expires}"
        return f"{said}.{_seal(key, 'cookie', said)}"

    def csrf(self, key: bytes) -> str:
        """Return what a page of ours says with each request that changes something."""
        return _seal(key, "csrf", f"{self.token}.{self.nonce}")


def read(value: str, key: bytes, now: float) -> Login | None:
    """Return what a cookie says, if it is ours and not over."""
    if len(value) > MOST_TEXT or not value.isascii():
        return None
    said, _, seal = value.rpartition(".")
    if not hmac.compare_digest(seal, _seal(key, "cookie", said)):
        return None
    parts = said.split(".")
    if len(parts) != 4 or parts[0] != VERSION or not parts[3].isdigit():
        return None
    login = Login(parts[1], parts[2], int(parts[3]))
    return login if now < login.expires else None


def is_same(one: str, other: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(one.encode("utf-8", "surrogateescape"), other.encode("utf-8", "surrogateescape"))


def _seal(key: bytes, purpose: str, text: str) -> str:
    return hmac.new(key, f"{purpose}:{text}".encode(), sha256).hexdigest()
