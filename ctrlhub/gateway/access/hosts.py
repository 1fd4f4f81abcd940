"""Which hosts and origins are ours: against rebinding of names, and scripts of other sites. No I/O.

A browser that was told that ``evil.example`` has our address sends us that name: so the header ``Host``
must be one of ours. A script of another site has its own ``Origin``: so that must be ours, too, or allowed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,253})(?::([0-9]{1,5}))?")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Hosts:
    """The names that a gateway answers to.

    Parameters
    ----------
    names
        The names that hold beside those of loopback, without ports; ``*`` for any.
    origins
        Origins of other sites that are allowed.
    """

    names: frozenset[str] = frozenset()
    origins: frozenset[str] = field(default_factory=frozenset)

    def knows(self, host: str | None) -> bool:
        """Tell whether a header ``Host`` names us."""
        found = _HOST.fullmatch(host or "")
        if found is None:
            return False
        name = found[1].lower().removesuffix(".")
        return "*" in self.names or name in _LOCAL or name in self.names

    def is_ours(self, origin: str, scheme: str, host: str) -> bool:
        """Tell whether an ``Origin`` is the page's own: the one that the request was sent to.

        Parameters
        ----------
        origin
            The header.
        scheme, host
            How the request came.
        """
        said, _, place = origin.partition("://")
        if said == "https" and scheme == "http":
            # A proxy has TLS, and passes the name on.
            return _HOST.fullmatch(place) is not None and place.lower() == host.lower()
        if said != scheme or scheme not in _DEFAULT_PORTS:
            return False
        found = _place(place, scheme)
        return found is not None and found == _place(host, scheme)

    def is_allowed(self, origin: str) -> bool:
        """Tell whether it is another site's that is allowed."""
        return origin in self.origins


def _place(host: str, scheme: str) -> tuple[str, int] | None:
    found = _HOST.fullmatch(host)
    if found is None:
        return None
    return found[1].lower(), int(found[2] or _DEFAULT_PORTS[scheme])
