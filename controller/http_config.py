"""The options of the HTTP gateway, which the hub hands on when it starts one. No I/O."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from math import inf
from typing import Any
from urllib.parse import urlsplit

from ctrlhub.wire.served import check_link

ON_DEMAND = "demand"
"""A gateway is started when a client asks for it; on loopback."""
AUTO = "auto"
"""It is started with the hub; on loopback, on any port."""
OFF = "off"
"""There is none, whoever asks for it."""

LOOPBACK = "127.0.0.1"

_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_HOST = re.compile(r"\*|[A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]+\]")

_FITS: Mapping[str, Callable[[Any], bool]] = {
    "str": lambda value: type(value) is str,
    "bool": lambda value: type(value) is bool,
    "int": lambda value: type(value) is int,
    "float": lambda value: type(value) in (int, float),
    "tuple[str, ...]": lambda value: type(value) is tuple
    and all(type(each) is str for each in value),
}
"""Whether a value fits an option's annotation."""


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """What a gateway is told when it starts.

    Attributes
    ----------
    listen
        ``[ADDRESS:]PORT``: from the hub's start on; ``auto``: the same, on any port of loopback; ``demand``:
        as auto, when somebody asks for it; or ``off``.
    hosts
        The names by which browsers and clients reach it (their header ``Host``), beside those of loopback
        and the address that it listens on; ``*`` for any.
    origins
        The origins (``https://host:port``) of other sites whose scripts may talk to it.
    frames
        The origins of sites that may show its pages in a frame.
    certificate, key
        Files of a TLS certificate and its key, PEM; without them it makes its own where it needs one.
    plain
        Speak HTTP without TLS beyond this host as well: whoever is on the way reads tokens and data.
    tls
        Use TLS on loopback, too.
    prefix
        The path under which it stands, behind a proxy that leaves it in the requests: ``/hub``.
    link
        How notebooks link the dashboard, where browsers reach it by another way: ``{prefix}/proxy/{port}/``.
    max_body, max_upload
        The most bytes of a request's body: of JSON, and of what is uploaded or carried by the protocol.
    rate
        The most requests of one token, or of one address without one, in a second.
    connections
        The most connections at a time.
    sockets
        The most WebSockets and event streams at a time.
    patience
        How long (seconds) a client may take for a request's head, or between pieces of its body.
    login_age
        For how long (seconds) a browser that has logged in stays so.
    results_bytes
        The most bytes of results of what was asked for by HTTP that are kept on disk: those that were fetched
        make room, and while others take all of it nothing more is run.
    results_age
        For how long (seconds) they are kept.
    """

    listen: str = ON_DEMAND
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()
    certificate: str = ""
    key: str = ""
    plain: bool = False
    tls: bool = False
    prefix: str = ""
    link: str = ""
    max_body: int = 4 * 1024 * 1024
    max_upload: int = 1024 * 1024 * 1024
    rate: float = 200.0
    connections: int = 4096
    sockets: int = 2048
    patience: float = 20.0
    login_age: float = 7 * 24 * 3600.0
    results_bytes: int = 16 * 1024**3
    results_age: float = 24 * 3600.0

    def __post_init__(self) -> None:
        address_of(self.listen)
        for host in self.hosts:
            if not _HOST.fullmatch(host):
                raise ValueError(f"http hosts are names without a port, or *, not {host!r:.80}")
        for origin in (*self.origins, *self.frames):
            check_origin(origin)
        if bool(self.certificate) != bool(self.key):
            raise ValueError("a TLS certificate needs its key, and a key its certificate: give both")
        if not _PREFIX.fullmatch(self.prefix) or {".", ".."} & {*self.prefix.split("/")}:
            raise ValueError(f"the prefix is a path such as /hub, without a / at its end, not {self.prefix!r:.80}")
        check_link(self.link)
        if min(self.max_body, self.max_upload) < 1024:
            raise ValueError("max_body and max_upload must be at least 1024 bytes")
        if min(self.connections, self.sockets) < 1:
            raise ValueError("there must be room for at least one connection")
        if self.results_bytes < 1024:
            raise ValueError("results_bytes must be at least 1024 bytes")
        if not all(0 < each < inf for each in (self.rate, self.patience, self.login_age, self.results_age)):
            raise ValueError("rate, patience, login_age and results_age must be positive")

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> HttpConfig:
        """Return the options of what `dataclasses.asdict` and JSON have made of them.

        Raises
        ------
        ValueError
            An option is unknown, or has a wrong value.
        """
        known = {each.name: each for each in fields(cls)}
        if unknown := values.keys() - known.keys():
            raise ValueError(f"unknown http options: {', '.join(sorted(unknown))}")
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        for name, value in given.items():
            if not _FITS[str(known[name].type)](value):
                raise ValueError(f"http.{name} must be of type {known[name].type}, not {value!r:.80}")
        return cls(**given)

    @property
    def address(self) -> str:
        """The address to listen on."""
        return address_of(self.listen)[0]

    @property
    def port(self) -> int:
        """The port to listen on; 0 for any."""
        return address_of(self.listen)[1]

    @property
    def is_wanted(self) -> bool:
        """Whether it is started with the hub."""
        return self.listen not in (ON_DEMAND, OFF)

    @property
    def is_local(self) -> bool:
        """Whether only this host reaches it."""
        return is_loopback(self.address)

    @property
    def has_tls(self) -> bool:
        """Whether it speaks TLS."""
        return self.tls or bool(self.certificate) or not (self.is_local or self.plain)


def address_of(listen: str) -> tuple[str, int]:
    """Return address and port of ``[ADDRESS:]PORT``, or of a word in its place.

    Raises
    ------
    ValueError
        It is nothing like that.
    """
    if listen in (ON_DEMAND, AUTO, OFF):
        return LOOPBACK, 0
    address, _, port = listen.rpartition(":")
    address = address.removeprefix("[").removesuffix("]") or LOOPBACK
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise ValueError(f"http listens at [ADDRESS:]PORT, or is {AUTO}, {ON_DEMAND} or {OFF}, not {listen!r:.80}")
    if address != "localhost":
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise ValueError(f"{address!r:.80} is not an address to listen on, such as 127.0.0.1 or 0.0.0.0") from None
    return address, int(port)


def is_loopback(address: str) -> bool:
    """Tell whether an address is reached from this host alone."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def check_origin(origin: str) -> None:
    """See that it is an origin: scheme, host, perhaps a port, and nothing else."""
    parts = urlsplit(origin)
    if parts.scheme not in ("http", "https") or not parts.netloc or origin != f"{parts.scheme}://{parts.netloc}":
        raise ValueError(f"an origin is written https://host or https://host:port, not {origin!r:.80}")
    if "@" in parts.netloc or any(each in origin for each in " ;,'\"\\") or not origin.isascii():
        raise ValueError(f"{origin!r:.80} is not an origin")
