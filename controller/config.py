"""Every option of the hub, once: frozen, validated, readable as one line of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from math import inf
from typing import Any

from ctrlhub.controller.http_config import HttpConfig
from ctrlhub.controller.store_places import check_store
from ctrlhub.link.log_file import LOG_BYTES, check_log_bytes
from ctrlhub.link.process_log import check_log_format
from ctrlhub.wire.limits import MAX_SESSION
from ctrlhub.wire.messages import Role
from ctrlhub.wire.ssh import NO_SSH, SSHServer

LOG_LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG")

TASK_SCHEMES = ("leastload", "lru", "plainrandom", "twobin", "weighted")
TASK_ORDERS = ("fifo", "lifo")

SCHEME_GROUP = "ctrlhub.schemes"
"""The entry point group of other schemes."""

_FITS: Mapping[str, Callable[[Any], bool]] = {
    "str": lambda value: type(value) is str,
    "str | None": lambda value: value is None or type(value) is str,
    "int": lambda value: type(value) is int,
    "float": lambda value: type(value) in (int, float),
    "tuple[int, int] | None": lambda value: value is None
    or (type(value) is tuple and [type(each) for each in value] == [int, int]),
    "tuple[str, ...]": lambda value: type(value) is tuple
    and all(type(each) is str for each in value),
    "HttpConfig": lambda value: type(value) is HttpConfig,
}
"""Whether a value fits an option's annotation."""


def check_scheme(scheme: str) -> None:
    """See that there is such a scheme, or that it says where to find it."""
    if scheme in TASK_SCHEMES:
        return
    module, colon, attribute = scheme.partition(":")
    if colon and all(name.isidentifier() for name in (*module.split("."), attribute)):
        return
    from importlib.metadata import entry_points  # which takes a while, and seldom is needed

    plugged = entry_points(group=SCHEME_GROUP).names
    if scheme not in plugged:
        raise ValueError(
            f"task_scheme must be one of {', '.join((*TASK_SCHEMES, *sorted(plugged)))}, or name a class "
            f"as MODULE:CLASS, not {scheme!r:.80}"
        )


@dataclass(frozen=True, slots=True)
class HubConfig:
    """What a hub is told when it starts.

    Attributes
    ----------
    profile, state_dir
        Whose files it uses; see :mod:`ctrlhub.wire.places`. An empty `state_dir` means the default.
    listen
        An address to listen on with TCP and CURVE besides ipc; None for no TCP at all.
    location
        The address by which peers on other hosts find what it listens on, where that is another one: it
        listens on all, or stands behind a translation of addresses. None where it is the same.
    ssh, engine_ssh
        ``user@host:port`` of an ssh server through which clients and engines on other machines reach it,
        or engines alone, if those take another way: ``none`` for none. None for none, and as clients.
    ports
        First and last TCP port that may be used; None lets the system choose.
    max_engines
        The most engines registered at a time (ids 0 ... max_engines - 1).
    beat, suspect, lost
        Seconds between heartbeats, of silence until a peer is suspected, and until it is given up.
    hub_lease
        Seconds an engine keeps its namespace without a hub.
    session_ttl
        Seconds the requests of a vanished client are kept.
    detached_ttl
        Seconds a detached session is kept, unless its client wishes otherwise.
    max_outstanding
        The most requests of one session and interface that have not ended, or whose results the
        client has not fetched; more are refused.
    max_memory
        How much memory (bytes) the hub may take before it refuses further requests, until it has less:
        at least four times `history_bytes` and 64 MiB; 0 is half of what its host or control group has.
    max_sessions
        The most peers of each role.
    history_records, history_bytes, history_age
        How many requests that have ended, bytes of them, and for how many seconds, each interface
        remembers once their clients have the results; 0 records for none.
    interfaces
        Names of the interfaces that clients may use: built in, or entry points ``ctrlhub.interfaces``.
    task_scheme
        Which engine with room gets the next tasks: the least loaded (``leastload``), the one that has
        waited longest (``lru``), or chance (``plainrandom``, ``twobin``, ``weighted``). Others are
        found by the name of an entry point ``ctrlhub.schemes``, or as ``module:Class``.
    task_order
        Which task of a client is next: what came first (``fifo``) or last (``lifo``).
    store
        Where requests and results live: ``sqlite``, in the profile's state directory, or with
        ``sqlite:DIRECTORY`` elsewhere on a local disk; in PostgreSQL, with its URL; or ``memory``, only
        as long as the hub does.
    log_level
        Name of a level of :mod:`logging`.
    log_format
        How logs are written, those of its engines and gateway too: ``json``, or ``text``. Empty is JSON for hub
        and gateway, and text for engines and nannies.
    log_max_bytes
        How long (bytes) the log of a hub, gateway, nanny or supervisor may be before it is set aside.
    http
        The options of the HTTP gateway.
    """

    profile: str = "default"
    state_dir: str = ""
    listen: str | None = None
    location: str | None = None
    ssh: str | None = None
    engine_ssh: str | None = None
    ports: tuple[int, int] | None = None
    max_engines: int = 511
    beat: float = 1.0
    suspect: float = 3.0
    lost: float = 10.0
    hub_lease: float = 600.0
    session_ttl: float = 600.0
    detached_ttl: float = 7 * 24 * 3600.0
    max_outstanding: int = 2_000_000
    max_memory: int = 0
    max_sessions: int = 100_000
    history_records: int = 4096
    history_bytes: int = 128 * 1024 * 1024
    history_age: float = 24 * 3600.0
    interfaces: tuple[str, ...] = (
        "multiengine", "control", "start_hooks", "logs", "tasks", "query", "history",
        "sessions", "telemetry", "output",
    )  # fmt: skip
    task_scheme: str = "leastload"
    task_order: str = "fifo"
    store: str = "sqlite"
    log_level: str = "INFO"
    log_format: str = ""
    log_max_bytes: int = LOG_BYTES
    http: HttpConfig = field(default_factory=HttpConfig)

    def __post_init__(self) -> None:
        self._check_types()
        if self.max_engines < 1:
            raise ValueError(f"max_engines must be at least 1, not {self.max_engines}")
        if not 0 < self.max_sessions <= MAX_SESSION:
            raise ValueError(f"max_sessions must lie in 1 ... {MAX_SESSION}")
        if self.max_outstanding < 1:
            raise ValueError("max_outstanding must be at least 1")
        if self.max_memory < 0 or 0 < self.max_memory < self.least_memory:
            raise ValueError(
                f"max_memory must be at least {self.least_memory} bytes: four times the history_bytes, "
                "and 64 MiB"
            )
        if self.history_records < 0 or self.history_bytes < 0 or not 0 < self.history_age < inf:
            raise ValueError(
                "history_records and history_bytes must not be negative, history_age (s) positive"
            )
        if not 0 < self.beat < self.suspect < self.lost < inf:
            raise ValueError("heartbeat times (s) must obey 0 < beat < suspect < lost")
        if not 0 < self.hub_lease < inf or not 0 <= self.session_ttl < inf:
            raise ValueError("hub_lease must be positive, session_ttl not negative (s)")
        if not 0 < self.detached_ttl < inf:
            raise ValueError("detached_ttl must be positive (s)")
        if self.location is not None and self.listen is None:
            raise ValueError("location needs listen: without it there is no TCP to be found")
        for server in (self.ssh, self.engine_ssh):
            if server not in (None, NO_SSH):
                SSHServer.parse(server)
        if self.ports is not None:
            first, last = self.ports
            if not (1 <= first <= last <= 65535 and last - first >= 3):
                raise ValueError("ports must be a range of at least four ports within 1 ... 65535")
        if not self.interfaces or len(set(self.interfaces)) != len(self.interfaces):
            raise ValueError("at least one interface must be exposed, and none twice")
        check_scheme(self.task_scheme)
        if self.task_order not in TASK_ORDERS:
            raise ValueError(f"task_order must be one of {', '.join(TASK_ORDERS)}")
        check_store(self.store)
        if self.log_level.upper() not in LOG_LEVELS:
            raise ValueError(f"log_level must be one of {', '.join(LOG_LEVELS)}")
        check_log_format(self.log_format)
        check_log_bytes(self.log_max_bytes)

    def ssh_for(self, role: Role) -> str:
        """Return the ssh server through which peers of a role reach the hub; empty for none."""
        named = self.ssh if role.is_client or self.engine_ssh is None else self.engine_ssh
        return "" if named in (None, NO_SSH) else named

    @property
    def is_durable(self) -> bool:
        """Whether what is accepted outlives the hub."""
        return self.store != "memory"

    @property
    def least_memory(self) -> int:
        """How much memory (bytes) the hub needs, so that what it remembers leaves room for requests."""
        return 4 * self.history_bytes + (64 << 20)

    def _check_types(self) -> None:
        """See that every option is of its type: they may come from JSON."""
        for option in fields(self):
            value = getattr(self, option.name)
            if not _FITS[str(option.type)](value):
                raise ValueError(f"{option.name} must be of type {option.type}, not {value!r:.80}")

    def to_json(self) -> str:
        """Return the configuration as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> HubConfig:
        """Return the configuration of a line made by :meth:`to_json`.

        Raises
        ------
        ValueError
            It is not JSON, names an unknown option, or an option has a wrong value.
        """
        try:
            values = json.loads(text)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        if not isinstance(values, dict):
            raise ValueError("hub configuration must be a JSON object")
        unknown = values.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"unknown hub options: {', '.join(sorted(unknown))}")
        for name in ("ports", "interfaces"):
            if isinstance(values.get(name), list):
                values[name] = tuple(values[name])
        if isinstance(values.get("http"), dict):
            values["http"] = HttpConfig.from_plain(values["http"])
        return cls(**values)
