"""Tokens: what they are, which one a request has, and what stands of them in a file. No I/O, no clock.

One of each role is made at the first start, and kept as it is, so that `ctrl-hub dashboard` can show it;
of those that are made for others only a hash is kept. Every token is long and random, so its hash needs no
salt; all hashes are compared, each in constant time, whichever is right.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from typing import Any

from ctrlhub.gateway.access.roles import ROLES, Role

MOST = 1000
"""So many tokens there may be."""

MOST_TEXT = 512
"""No token is longer (characters)."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_SECRET = re.compile(r"[A-Za-z0-9_-]{40,128}")


@dataclass(frozen=True, slots=True)
class Token:
    """One token.

    Attributes
    ----------
    id
        What it is called in cookies: random, and never used again.
    name
        What people call it.
    role
        What its bearer may do.
    hash
        SHA-256 of the token, in hexadecimal.
    created
        When it was made (Unix time, seconds).
    expires
        Until when it is good; None for ever.
    secret
        The token itself; empty where only its hash is kept.
    """

    id: str
    name: str
    role: Role
    hash: str
    created: float
    expires: float | None = None
    secret: str = field(default="", repr=False)

    def is_good(self, now: float) -> bool:
        """Tell whether it has not expired."""
        return self.expires is None or now < self.expires


@dataclass(frozen=True, slots=True)
class TokenBook:
    """All tokens, and the key that signs cookies.

    Attributes
    ----------
    tokens
        The tokens, the oldest first.
    cookie_key
        Signs cookies; whoever has it makes any.
    """

    tokens: tuple[Token, ...] = ()
    cookie_key: bytes = field(default=b"", repr=False)

    def find(self, secret: str, now: float) -> Token | None:
        """Return the token that this is, if it is a good one. All are compared."""
        if len(secret) > MOST_TEXT:
            return None
        digest = hash_of(secret)
        found = None
        for token in self.tokens:
            if hmac.compare_digest(token.hash, digest):
                found = token
        return found if found is not None and found.is_good(now) else None

    def of_id(self, id: str, now: float) -> Token | None:
        """Return the good token of this id."""
        for token in self.tokens:
            if token.id == id and token.is_good(now):
                return token
        return None

    def good(self, now: float) -> Set[str]:
        """Return the ids of the tokens that are good."""
        return {token.id for token in self.tokens if token.is_good(now)}

    def shown(self, role: Role) -> Token | None:
        """Return the token of a role that can be shown."""
        return next((each for each in self.tokens if each.secret and each.role is role), None)

    def with_token(self, token: Token, now: float) -> TokenBook:
        """Return the book with a further token, without those that have expired.

        Raises
        ------
        ValueError
            One with this name is there, the name is none, or there are too many.
        """
        if not _NAME.fullmatch(token.name):
            raise ValueError(
                f"{token.name!r:.80} is no name of a token: 1 to 64 letters, digits and _ . @ -, "
                "beginning with a letter or digit"
            )
        kept = tuple(each for each in self.tokens if each.is_good(now))
        if any(each.name == token.name for each in kept):
            raise ValueError(f"there is a token {token.name!r} already: revoke it, or choose another name")
        if len(kept) >= MOST:
            raise ValueError(f"there are {MOST} tokens: revoke some")
        return replace(self, tokens=(*kept, token))

    def without(self, name: str) -> TokenBook:
        """Return the book without a token.

        Raises
        ------
        LookupError
            There is none of this name.
        """
        kept = tuple(each for each in self.tokens if each.name != name)
        if len(kept) == len(self.tokens):
            raise LookupError(f"there is no token {name!r:.80}: `ctrl-hub token list` shows what there is")
        return replace(self, tokens=kept)

    def to_json(self) -> bytes:
        """Return what stands in the file."""
        tokens = [asdict(token) for token in self.tokens]
        return json.dumps({"cookie_key": self.cookie_key.hex(), "tokens": tokens}, indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> TokenBook:
        """Return what stands in a file.

        Raises
        ------
        ValueError
            It is not what `to_json` writes.
        """
        try:
            said = json.loads(data)
            key = bytes.fromhex(said["cookie_key"])
            tokens = tuple(_token(each) for each in said["tokens"])
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise ValueError(f"not a file of tokens ({error!r:.200})") from None
        if len(key) < 32:
            raise ValueError("not a file of tokens (the key of cookies is too short)")
        return cls(tokens, key)


def hash_of(secret: str) -> str:
    """Return the hash of a token."""
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def made(
    name: str, role: Role, secret: str, id: str, now: float, expires: float | None = None, *, kept: bool
) -> Token:
    """Return a new token; `kept` keeps the secret in it.

    Raises
    ------
    ValueError
        The secret is not one.
    """
    if not _SECRET.fullmatch(secret):
        raise ValueError("a token is at least 40 letters and digits of URLs, chosen at random")
    return Token(id, name, role, hash_of(secret), now, expires, secret if kept else "")


def is_strong(cookie_key: bytes, tokens: Sequence[Token]) -> bool:
    """Tell whether there is all that a gateway needs: a key, and one token of each role."""
    return len(cookie_key) >= 32 and {each.role for each in tokens if each.secret} >= set(ROLES)


def _token(said: Mapping[str, Any]) -> Token:
    expires = said["expires"]
    token = Token(
        str(said["id"]), str(said["name"]), Role(said["role"]), str(said["hash"]),
        float(said["created"]), None if expires is None else float(expires), str(said["secret"]),
    )  # fmt: skip
    if token.role not in ROLES or len(token.hash) != 64 or not token.id or (token.secret and hash_of(token.secret) != token.hash):
        raise ValueError(f"token {token.name!r:.80} is damaged")
    return token
