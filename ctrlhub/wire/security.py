"""Who may speak: keys, tokens, and the hub's list of the keys it accepts.

Over TCP every stream is CURVE. The hub has one server key and, for each role, one *enrolment* key
pair, which stands in that role's connection file and opens the ``hub`` stream only. There a peer
has a key pair of its own making registered (`KeyRegistry.enrol`), and the other streams accept
registered keys alone. So the key of every message names one peer and its role, an engine cannot
speak as a client, nor as another engine, and each can be shut out by itself.

ZeroMQ asks who a peer is at the handshake only, therefore a revoked key that is still connected
must be met at each of its messages: `KeyRegistry.is_live`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ctrlhub.wire.errors import AuthenticationError, LimitExceeded
from ctrlhub.wire.messages import CLIENT_ROLES, Role, Stream
from ctrlhub.wire.private import StateError, read_private, write_private

ENROLMENT_ROLE: Mapping[Role, Role] = MappingProxyType(
    {Role.ENGINE: Role.ENGINE, Role.NANNY: Role.ENGINE, **{role: role for role in CLIENT_ROLES}}
)
"""The role whose key opens the hub to a peer: a nanny comes with its engines' key."""

KEY_ROLES: tuple[Role, ...] = tuple(dict.fromkeys(ENROLMENT_ROLE.values()))
"""The roles that have an enrolment key."""

TOKEN_BYTES = 32
MAX_KEYS_FILE_BYTES = 64 * 1024
MAX_UNUSED_KEYS = 8192
"""Keys enrolled whose peers have not registered: beyond these the oldest are forgotten."""
MAX_USED_KEYS = 131_072
"""Keys whose peers have registered: beyond these no further peer enrols. More than sessions."""
MAX_REVOKED_KEYS = 4096
"""Revoked keys that are remembered, so that they cannot enrol again."""

_KEYS_FORMAT = 2
_FORMAT_BEFORE_ROLES = 1
"""There was one key for all clients, under the name of ``client``: it is that of `Role.ADMIN` now."""
_KEY_CHARACTERS = 40
_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_Z85_VALUES = {character: value for value, character in enumerate(_Z85)}


def is_key(text: object) -> bool:
    """Say whether something, perhaps from an untrusted peer, is a CURVE key in Z85."""
    if not isinstance(text, str) or len(text) != _KEY_CHARACTERS:
        return False
    for start in range(0, _KEY_CHARACTERS, 5):
        value = 0
        for character in text[start : start + 5]:
            digit = _Z85_VALUES.get(character)
            if digit is None:
                return False
            value = value * 85 + digit
        if value > 0xFFFFFFFF:  # five digits hold a little more than four bytes
            return False
    return True


def new_token() -> bytes:
    """Make a token that nobody can guess."""
    import secrets

    return secrets.token_bytes(TOKEN_BYTES)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A CURVE key pair in Z85. Its `repr` leaves the secret out.

    Parameters
    ----------
    public
        What others may know.
    secret
        What they may not.
    """

    public: str
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        # The text that was refused may be a secret: it is not repeated.
        if not is_key(self.public):
            raise ValueError("the public key is not a CURVE key (40 characters of Z85)")
        if not is_key(self.secret):
            raise ValueError("the secret key is not a CURVE key (40 characters of Z85)")

    @classmethod
    def generate(cls) -> KeyPair:
        """Make a new key pair."""
        import zmq

        public, secret = zmq.curve_keypair()
        return cls(public.decode("ascii"), secret.decode("ascii"))

    @classmethod
    def from_mapping(cls, data: object) -> KeyPair:
        """Read ``{"public": ..., "secret": ...}``.

        Raises
        ------
        ValueError
            If it is something else.
        """
        if not isinstance(data, Mapping) or not {"public", "secret"} <= data.keys():
            raise ValueError("a key pair is written as its 'public' and its 'secret' half")
        return cls(data["public"], data["secret"])

    def to_mapping(self) -> dict[str, str]:
        """Write the pair, secret included, for a private file."""
        return {"public": self.public, "secret": self.secret}

    def fits(self) -> bool:
        """Say whether the halves belong together; a damaged pair would fail without a word."""
        import zmq

        return zmq.curve_public(self.secret.encode("ascii")).decode("ascii") == self.public


@dataclass(frozen=True, slots=True)
class HubKeys:
    """The keys of a hub, which outlive its process.

    Parameters
    ----------
    server
        The hub's own pair.
    enrolment
        The pair that lets peers of each role enrol; one for each of `KEY_ROLES`.
    """

    server: KeyPair
    enrolment: Mapping[Role, KeyPair]

    def __post_init__(self) -> None:
        if set(self.enrolment) != set(KEY_ROLES):
            wanted = ", ".join(role.value for role in KEY_ROLES)
            raise ValueError(f"a hub has one enrolment key for each of: {wanted}")
        publics = {self.server.public, *(pair.public for pair in self.enrolment.values())}
        if len(publics) != 1 + len(self.enrolment):
            raise ValueError("two of the hub's keys are the same")
        object.__setattr__(self, "enrolment", MappingProxyType(dict(self.enrolment)))

    @classmethod
    def generate(cls) -> HubKeys:
        """Make new keys."""
        return cls(KeyPair.generate(), {role: KeyPair.generate() for role in KEY_ROLES})

    def to_json(self) -> str:
        """Write the keys, secrets included, for a private file."""
        enrolment = {role.value: pair.to_mapping() for role, pair in self.enrolment.items()}
        data = {
            "format": _KEYS_FORMAT,
            "server": self.server.to_mapping(),
            "enrolment": enrolment,
        }
        return json.dumps(data, indent=2)

    @classmethod
    def from_json(cls, text: str | bytes) -> HubKeys:
        """Read the keys.

        Raises
        ------
        ValueError
            If they are damaged, or written by a version with another format.
        """
        try:
            data = json.loads(text)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        if not isinstance(data, dict) or data.get("format") not in (_KEYS_FORMAT, _FORMAT_BEFORE_ROLES):
            raise ValueError(f"it is not of format {_KEYS_FORMAT}")
        enrolment = data.get("enrolment")
        if not isinstance(enrolment, dict):
            raise ValueError("the enrolment keys are missing")
        if data["format"] == _FORMAT_BEFORE_ROLES:
            enrolment = _with_roles(enrolment)
        keys = cls(
            KeyPair.from_mapping(data.get("server")),
            {role: KeyPair.from_mapping(enrolment.get(role.value)) for role in KEY_ROLES},
        )
        if not all(pair.fits() for pair in (keys.server, *keys.enrolment.values())):
            raise ValueError("a public key does not belong to its secret")
        return keys


def _with_roles(enrolment: Mapping[str, object]) -> dict[str, object]:
    """Add new keys to those of a hub that had one for all clients."""
    made = {role.value: KeyPair.generate().to_mapping() for role in (Role.SUBMIT, Role.VIEW)}
    return {**made, "engine": enrolment.get("engine"), "admin": enrolment.get("client")}


def load_or_make_keys(path: Path) -> HubKeys:
    """Read the hub's keys, or make them where there are none, or too few: those that are there are kept.

    The caller holds the profile's lock, so that two hubs cannot each make keys.

    Raises
    ------
    StateError
        If the file is damaged, or open to others: then the keys in it are no longer secret.
    """
    try:
        text = read_private(path, MAX_KEYS_FILE_BYTES)
    except FileNotFoundError:
        keys = HubKeys.generate()
        write_private(path, keys.to_json().encode())
        return keys
    try:
        keys = HubKeys.from_json(text)
    except ValueError as error:
        raise StateError(
            f"the keys in {path} are damaged: {error}; remove the file and start the "
            "hub again: it makes new keys, which engines on other hosts then need"
        ) from None
    written = keys.to_json().encode()
    if written != text:
        write_private(path, written)
    return keys


class KeyRegistry:
    """The public keys that a hub accepts: a machine without I/O.

    Enrolled keys are kept by use. One whose peer has not registered is worth little to its owner,
    who can enrol again, so a flood of them drops the oldest and keeps nobody out. A used one has a
    session (`use`), which the hub bounds by its own limits and whose end it reports with `forget`.

    Parameters
    ----------
    keys
        The hub's keys.
    max_unused, max_used
        The most registered keys of each kind.
    """

    def __init__(
        self,
        keys: HubKeys,
        *,
        max_unused: int = MAX_UNUSED_KEYS,
        max_used: int = MAX_USED_KEYS,
    ) -> None:
        self._enrolment = {pair.public: role for role, pair in keys.enrolment.items()}
        self._own = frozenset((keys.server.public, *self._enrolment))
        self._max_unused = max_unused
        self._max_used = max_used
        # Each registered key stands in one of these, oldest first.
        self._unused: dict[str, Role] = {}
        self._used: dict[str, Role] = {}
        self._revoked: dict[str, None] = {}

    def enrol(self, enrolment_public: str, peer_public: str) -> Role:
        """Register a peer's key, and return the role it has from now on.

        Asking again for the same key and role changes nothing, so that a lost answer does no harm.

        Parameters
        ----------
        enrolment_public
            The key that the message came with.
        peer_public
            The key that the message asks for.

        Raises
        ------
        AuthenticationError
            If the first is no enrolment key, or the second not to be had with it.
        LimitExceeded
            If as many keys are in use as the hub accepts.
        """
        role = self._enrolment.get(enrolment_public)
        if role is None:
            raise AuthenticationError(
                "only an enrolment key registers keys: use the hub's current connection file"
            )
        if not is_key(peer_public) or peer_public in self._own:
            raise AuthenticationError("a peer registers a CURVE key of its own making")
        if peer_public in self._revoked:
            raise AuthenticationError("this key was revoked: start the peer anew")
        known = self._registered(peer_public)
        if known is None:
            self._register(peer_public, role)
        elif known is not role:
            raise AuthenticationError(f"this key belongs to a peer of role {known.value!r}")
        return role

    def allows(self, stream: Stream, public: str) -> bool:
        """Say whether a key opens a stream; asked at each handshake."""
        if public in self._enrolment:
            return stream == Stream.HUB
        return public in self._used or public in self._unused

    def use(self, public: str) -> None:
        """Note that the key's peer has a session: it is kept until `forget`."""
        role = self._unused.pop(public, None)
        if role is not None:
            self._used[public] = role

    def is_live(self, public: str) -> bool:
        """Say whether messages that come with this key count; asked at each message."""
        return public in self._used or public in self._unused or public in self._enrolment

    def is_enrolment(self, public: str) -> bool:
        """Say whether this is an enrolment key, which may ask for nothing but enrolment."""
        return public in self._enrolment

    def role_of(self, public: str) -> Role | None:
        """Return the role that goes with a key, or None if it is not live."""
        return self._registered(public) or self._enrolment.get(public)

    def revoke(self, public: str) -> None:
        """Shut a key out: no handshake, no message, no enrolment with it any more.

        An enrolment key lets no further peer in then; those that are in stay.
        """
        self.forget(public)
        self._enrolment.pop(public, None)
        self._revoked[public] = None
        if len(self._revoked) > MAX_REVOKED_KEYS:
            del self._revoked[next(iter(self._revoked))]

    def forget(self, public: str) -> None:
        """Drop a key whose peer has gone; it may enrol again."""
        self._unused.pop(public, None)
        self._used.pop(public, None)

    def check(self) -> None:
        """Prove that the lists agree with each other."""
        lists: tuple[dict[str, Any], ...] = (
            self._unused,
            self._used,
            self._enrolment,
            self._revoked,
        )
        assert len(set().union(*lists)) == sum(map(len, lists)), "a key stands in two lists"
        assert not self._own & (self._unused.keys() | self._used.keys()), "a peer has a hub's key"
        assert len(self._unused) <= self._max_unused, "too many unused keys"
        assert len(self._used) <= self._max_used + self._max_unused, "too many used keys"
        assert len(self._revoked) <= MAX_REVOKED_KEYS, "too many revoked keys"

    def _registered(self, public: str) -> Role | None:
        return self._used.get(public) or self._unused.get(public)

    def _register(self, public: str, role: Role) -> None:
        if len(self._used) >= self._max_used:
            raise LimitExceeded(f"the hub accepts the keys of {self._max_used} peers, and has them")
        if len(self._unused) >= self._max_unused:
            del self._unused[next(iter(self._unused))]
        self._unused[public] = role
