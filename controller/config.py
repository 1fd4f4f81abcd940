"""Every option of the hub, once: frozen, validated, readable as one line of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields

from ctrlhub.wire.limits import MAX_SESSION


@dataclass(frozen=True, slots=True)
class HubConfig:
    """What a hub is told when it starts.

    Attributes
    ----------
    profile, state_dir
        Whose files it uses; see :mod:`ctrlhub.wire.places`. An empty `state_dir` means the default.
    listen
        An address to listen on with TCP and CURVE besides ipc; None for no TCP at all.
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
    max_outstanding
        The most requests of one session and interface that have not ended, or whose results the
        client has not fetched; more are refused.
    max_sessions
        The most peers of all kinds.
    interfaces
        Names of the interfaces that clients may use: built in, or entry points ``ctrlhub.interfaces``.
    log_level
        Name of a level of :mod:`logging`.
    """

    profile: str = "default"
    state_dir: str = ""
    listen: str | None = None
    ports: tuple[int, int] | None = None
    max_engines: int = 511
    beat: float = 1.0
    suspect: float = 3.0
    lost: float = 10.0
    hub_lease: float = 600.0
    session_ttl: float = 600.0
    max_outstanding: int = 2_000_000
    max_sessions: int = 100_000
    interfaces: tuple[str, ...] = ("multiengine", "tasks", "query")
    log_level: str = "INFO"

    def __post_init__(self) -> None:
        if type(self.max_engines) is not int or self.max_engines < 1:
            raise ValueError(
                f"max_engines must be an integer of at least 1, not {self.max_engines!r}"
            )
        if not 0 < self.max_sessions <= MAX_SESSION:
            raise ValueError(f"max_sessions must lie in 1 ... {MAX_SESSION}")
        if self.max_outstanding < 1:
            raise ValueError("max_outstanding must be at least 1")
        if not 0 < self.beat < self.suspect < self.lost:
            raise ValueError("heartbeat times (s) must obey 0 < beat < suspect < lost")
        if self.hub_lease <= 0 or self.session_ttl < 0:
            raise ValueError("hub_lease and session_ttl (s) must not be negative")
        if self.ports is not None:
            first, last = self.ports
            if not (1 <= first <= last <= 65535 and last - first >= 3):
                raise ValueError("ports must be a range of at least four ports within 1 ... 65535")
        if not self.interfaces:
            raise ValueError("at least one interface must be exposed")

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
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError("hub configuration must be a JSON object")
        unknown = values.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"unknown hub options: {', '.join(sorted(unknown))}")
        for name in ("ports", "interfaces"):
            if isinstance(values.get(name), list):
                values[name] = tuple(values[name])
        return cls(**values)
