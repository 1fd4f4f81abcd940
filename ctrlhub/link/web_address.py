"""The address of a gateway: ``https://host:port/prefix/``, and the token that opens it.

The token never stands in an address that is requested, shown or logged: it travels in a header, and
lives in an object that does not show it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qs, quote, urlsplit

TOKEN_VARIABLE = "CTRLHUB_HTTP_TOKEN"
"""Where the token stands that is taken if none is given."""

TOKEN_HEADER = "X-Ctrlhub-Token"
"""Carries the token where ``Authorization`` is for a proxy before the gateway."""

SCHEMES: Mapping[str, int] = {"http": 80, "https": 443}
"""The schemes of a gateway's addresses, and the ports that go without saying."""

MAX_ADDRESS = 2048
"""The longest address (characters)."""

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")

_IN_PATHS = "/%!$&'()*+,;=:@~"
"""What stands in a path as it is, besides letters and digits."""

_USUAL_ENDS = ("api/v1/connect", "api/v1/connection", "login")
"""What people copy with an address, and what is no part of its prefix."""


def is_web(where: object) -> bool:
    """Tell whether somebody names a hub by the address of its gateway."""
    return isinstance(where, str) and where.lower().startswith(("http://", "https://"))


@dataclass(frozen=True, slots=True)
class WebAddress:
    """Where a gateway is, and what it takes to be let in.

    Parameters
    ----------
    scheme, host, port
        As in the address.
    prefix
        The path before all that is the gateway's own: begins and ends with a slash.
    token
        Opens it; empty for none.
    ca_file
        Certificates to trust in place of the system's; empty for those.
    extra
        Further headers: names and values.
    """

    scheme: str
    host: str
    port: int
    prefix: str = "/"
    token: str = field(default="", repr=False)
    ca_file: str = ""
    extra: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @classmethod
    def parse(
        cls,
        text: str,
        token: str | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> WebAddress:
        """Read an address as people write or copy it, perhaps with ``?token=``.

        Parameters
        ----------
        text
            The address.
        token
            The token; None takes that of the address, else of `TOKEN_VARIABLE`.
        ca_file
            A file of certificates to trust.
        headers
            Further headers, for a proxy before it.

        Raises
        ------
        TypeError, ValueError
            It is no such address, or that is no token; the message shows no token.
        """
        if token is not None and type(token) is not str:
            raise TypeError(f"a token is a text, not {type(token).__name__}")
        if len(text) > MAX_ADDRESS or not text.isprintable() or " " in text:
            raise ValueError("that is no address of a hub: it is too long, or has spaces in it")
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as error:
            raise ValueError(f"that is no address of a hub: {error}") from None
        scheme = parts.scheme.lower()
        if scheme not in SCHEMES or not parts.hostname:
            raise ValueError("the address of a hub is https://HOST:PORT or http://HOST:PORT")
        if parts.username is not None or parts.password is not None:
            raise ValueError("no user or password belongs into the address of a hub: give token=...")
        if ca_file is not None and scheme == "http":
            raise ValueError("ca_file is about https://, and this address begins with http://")
        named = _token_of(parts)
        if token is None:
            token = named if named is not None else os.environ.get(TOKEN_VARIABLE, "")
        if not all("!" <= each <= "~" for each in token):
            raise ValueError("that is no token: one has letters, digits and the like, and no spaces")
        return cls(
            scheme,
            ascii_host(parts.hostname),
            SCHEMES[scheme] if port is None else port,
            _prefix(parts.path),
            token,
            "" if ca_file is None else os.fspath(ca_file),
            _checked(headers or {}),
        )

    @property
    def is_encrypted(self) -> bool:
        """Whether it is reached by TLS."""
        return self.scheme == "https"

    @property
    def netloc(self) -> str:
        """Host and port, as the header ``Host`` has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == SCHEMES[self.scheme] else f"{host}:{self.port}"

    def path(self, name: str) -> str:
        """Return the path of something of the gateway's."""
        return self.prefix + name

    def headers(self) -> dict[str, str]:
        """Return the headers that let us in."""
        headers = dict(self.extra)
        if self.token:
            is_taken = any(name.lower() == "authorization" for name in headers)
            headers.update(
                {TOKEN_HEADER: self.token} if is_taken else {"Authorization": f"Bearer {self.token}"}
            )
        return headers

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.prefix}"


def ascii_host(host: str) -> str:
    """Return a host as it is asked for, resolved and written into headers: in ASCII, whatever letters it has.

    Raises
    ------
    ValueError
        No host is called so.
    """
    if ":" in host:  # an address
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ValueError(f"that is no address, since no host is called {host!r:.80}: {error.__cause__ or error}") from None


def _checked(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or not value.isascii() or not value.isprintable():
            raise ValueError(f"{name!r:.80} and its value cannot be a header")
    return tuple(headers.items())


def _token_of(parts: SplitResult) -> str | None:
    found = parse_qs(parts.query).get("token")
    return found[-1] if found else None


def _prefix(path: str) -> str:
    plain = path.strip("/")
    for end in _USUAL_ENDS:
        if plain == end or plain.endswith("/" + end):
            plain = plain[: -len(end)].strip("/")
    return f"/{quote(plain, _IN_PATHS)}/" if plain else "/"
