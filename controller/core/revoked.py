"""The keys that were shut out for good, by this hub. No I/O."""

from __future__ import annotations

from ctrlhub.wire.errors import LimitExceeded
from ctrlhub.wire.security import MAX_REVOKED_KEYS, KeyRegistry


class Revoked:
    """Who is shut out. Over ipc nobody else asks; over TCP, CURVE must know it too.

    Parameters
    ----------
    keys
        The public keys that CURVE accepts; None without TCP.
    """

    def __init__(self, keys: KeyRegistry | None) -> None:
        self._keys = keys
        self._revoked: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._revoked

    def is_live(self, key: str) -> bool:
        """Tell whether CURVE accepts a key, be there a session with it or not."""
        return self._keys is not None and self._keys.is_live(key)

    def add(self, key: str) -> None:
        """Shut a key out.

        Raises
        ------
        LimitExceeded
            So many were shut out that to keep this one out would let another one in.
        """
        if len(self._revoked) >= MAX_REVOKED_KEYS:
            raise LimitExceeded(
                f"{MAX_REVOKED_KEYS} keys were revoked already, and stay so: restart the hub with new "
                "keys (remove keys.json while it is stopped)"
            )
        self._revoked.add(key)
        if self._keys is not None:
            self._keys.revoke(key)

    def forget(self, key: str) -> None:
        """Let a key that opens nothing any more be forgotten: its session has ended."""
        if self._keys is not None:
            self._keys.forget(key)
