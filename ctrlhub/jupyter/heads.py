"""Heads of requests on their way from a Jupyter server to the gateway. No I/O.

The Jupyter server knows its user, whose clusters these are, so who comes through it may do all: the door
(`ctrlhub.jupyter.door`) puts the token into each request, and no browser ever has it. What the gateway would
do against scripts of other sites is therefore done here, where it is known which site the browser is on; and
what is between browser and Jupyter, such as its cookies, stays there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from ctrlhub.gateway.route import SAFE

MOST = 64 * 1024
"""So long a head may be (bytes)."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(r"/[!-~]*")
_PROFILE = re.compile(r"/@([A-Za-z0-9][A-Za-z0-9_.-]{0,63})(?=[/?]|$)")
_OURS = frozenset({"host", "authorization", "cookie", "origin", "connection", "keep-alive", "referer", "x-ctrlhub-token"})
"""Headers that are between browser and Jupyter, or that the door sets."""


class Refused(Exception):
    """A request that goes no further.

    Parameters
    ----------
    status
        The status of the answer.
    message
        Why; for people.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request.

    Parameters
    ----------
    method, target
        What is asked for.
    headers
        Names, as they were written, and values.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the head that ends with an empty line.

        Raises
        ------
        Refused
            It is none.
        """
        lines = data.decode("latin-1").split("\r\n")
        parts = lines[0].split(" ")
        if len(parts) != 3 or parts[2] not in ("HTTP/1.1", "HTTP/1.0") or not _NAME.fullmatch(parts[0]):
            raise Refused(400, "this is no request of HTTP/1.1")
        if not _TARGET.fullmatch(parts[1]):
            raise Refused(400, "the path is none")
        headers = []
        for line in lines[1:]:
            if not line:
                break
            name, sign, value = line.partition(":")
            if not sign or not _NAME.fullmatch(name) or "\r" in value or "\n" in value or "\0" in value:
                raise Refused(400, "a header is none")
            headers.append((name, value.strip()))
        return cls(parts[0], parts[1], tuple(headers))

    def get(self, name: str) -> str:
        """Return the value of a header; empty where it is not there."""
        return next((value for known, value in self.headers if known.lower() == name), "")

    @property
    def is_upgrade(self) -> bool:
        """Whether a WebSocket is wanted."""
        return self.get("upgrade").lower() == "websocket"

    @property
    def profile(self) -> str:
        """The profile in the path (``/@NAME/...``); empty for none."""
        found = _PROFILE.match(self.target)
        return found[1] if found else ""

    @property
    def path(self) -> str:
        """The path with its query, without the profile; empty for ``/@NAME``, which lacks its end."""
        found = _PROFILE.match(self.target)
        return self.target[found.end() :] if found else self.target

    # ------------------------------------------------------------ the door

    def check(self) -> None:
        """See that it does not come of a script of another site.

        Raises
        ------
        Refused
            It does, and would change something or open a WebSocket.
        """
        if self.method in SAFE and not self.is_upgrade:
            return
        if self.get("sec-fetch-site").lower() in ("cross-site", "same-site"):
            raise Refused(403, "scripts of other sites are not allowed")
        origin = self.get("origin")
        if not origin:
            return  # no browser: who has logged in to Jupyter asks by himself
        place = urlsplit(origin).netloc.lower()
        if not place or place not in (self.get("host").lower(), self.get("x-forwarded-host").lower()):
            raise Refused(403, "scripts of other sites are not allowed")

    def forwarded(self, host: str, prefix: str, token: str) -> bytes:
        """Return it as the gateway is to see it.

        Parameters
        ----------
        host
            Address and port of the gateway.
        prefix
            The path under which that stands.
        token
            Goes with it.
        """
        at = f"/@{self.profile}" if self.profile else ""
        lines = [f"{self.method} {prefix}{_without_token(self.path or '/')} HTTP/1.1", f"Host: {host}"]
        lines.append(f"Authorization: Bearer {token}")
        lines.append(f"Connection: {'Upgrade' if self.is_upgrade else 'close'}")
        for name, value in self.headers:
            if name.lower() in ("x-forwarded-prefix", "x-forwarded-context", "x-proxycontextpath"):
                lines.append(f"{name}: {value.rstrip('/')}{at}")
            elif name.lower() not in _OURS:
                lines.append(f"{name}: {value}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _without_token(target: str) -> str:
    """Leave out a token in the query: it is Jupyter's."""
    path, sign, query = target.partition("?")
    kept = [each for each in query.split("&") if each and each.partition("=")[0] != "token"]
    return f"{path}{sign if kept else ''}{'&'.join(kept)}"
