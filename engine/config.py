"""Every option of a nanny and of an engine, once: frozen, validated, readable as one line of JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, TypeVar

from ctrlhub.link.log_file import LOG_BYTES, check_log_bytes
from ctrlhub.wire.errors import InvalidRequest
from ctrlhub.wire.options import checked_resources
from ctrlhub.wire.security import KeyPair

T = TypeVar("T")

SPAWNS = sys.platform in ("win32", "darwin") or not hasattr(os, "fork")
"""Whether nothing can be forked here: Windows has no fork, and on macOS none without exec is safe."""


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """When a nanny starts an engine again that ended without being asked to.

    Parameters
    ----------
    first, factor, longest
        The wait (s) before the first restart, by how much each further wait is longer, and what no
        wait exceeds. An engine that lived for `early` begins anew with the first wait.
    early
        An engine that ends within so many seconds of its start, and not while it ran something,
        died early.
    attempts
        After so many early deaths in a row its slot is given up; 0 restarts nothing.
    """

    first: float = 0.1
    factor: float = 2.0
    longest: float = 30.0
    early: float = 10.0
    attempts: int = 5

    def __post_init__(self) -> None:
        if not 0 < self.first <= self.longest or self.factor < 1 or self.early < 0:
            raise ValueError("restart waits (s) must obey 0 < first <= longest and factor >= 1")
        if self.attempts < 0:
            raise ValueError("attempts must not be negative")


@dataclass(frozen=True, slots=True)
class NannyConfig:
    """What a nanny is told when it starts.

    Parameters
    ----------
    connection
        Path of the engines' connection file; "" with a token.
    engines
        How many engines it starts and keeps.
    logs
        Directory of the engines' logs, ``engine-<slot>.log``.
    wait
        How long (s) it waits for the connection file of a running hub.
    hub_lease
        How long (s) engines and nanny go on without a hub, as long as the hub has not said.
    grace
        How long (s) engines that are told to stop may take before they are killed.
    drain
        How long (s) what runs may go on when somebody ends the nanny by SIGTERM, or its time is over;
        then it is given back. With 0 engines are told to stop at once, and if the nanny has `keys`,
        whoever started it starts another in its place.
    until
        When (Unix time) the nanny must have ended, as the end of a batch job; None for never. It
        begins to drain so early that it does.
    max_threads
        How many threads the numerical libraries of an engine use; 0 shares the cores out.
    restart
        When engines are started again.
    spawns
        Engines are started as processes of their own making, not forked from a warm one.
    ssh, ssh_key
        The ssh server through which the hub is reached in any case, and the file of a private key for it;
        empty for what the connection file says, and what ssh itself finds.
    prefer
        How to reach the hub: ``ipc``, ``tcp``, or None for the best that is open.
    log_level
        Name of a level of :mod:`logging`.
    log_format
        How it and its engines write their logs: ``text``, or ``json``.
    log_max_bytes
        How long (bytes) its own log may be before it is set aside.
    resources
        What engines have, for tasks that ask for it: a map of names to amounts for each slot, one
        map for all slots, or none.
    keys
        The key pair of each slot, so that the engines of a nanny that follows another in its place
        take the place of the other's engines; with none the nanny makes its own.
    environments
        What engines find in their environment besides the nanny's, such as the GPUs that are theirs:
        a map of names to values for each slot. Where there are fewer maps than slots they are used
        again from the first on.
    token
        What the connection file says, as one word (`ConnectionInfo.to_token`): instead of a file.
    nanny_signals
        Engines leave SIGTERM to the nanny: for batch systems that send it to all processes of a job.
    engine_set
        The name of the set that the engines are of.
    elastic
        It starts further engines when the hub says so, and stays when it has none.
    record
        Where an elastic nanny leaves which engines it has, for the one that follows it; "" for nowhere.
    """

    connection: str
    engines: int
    logs: str
    wait: float = 30.0
    hub_lease: float = 600.0
    grace: float = 2.0
    drain: float = 0.0
    until: float | None = None
    max_threads: int = 0
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    prefer: Literal["ipc", "tcp"] | None = None
    ssh: str = ""
    ssh_key: str = ""
    spawns: bool = SPAWNS
    log_level: str = "INFO"
    log_format: str = "text"
    log_max_bytes: int = LOG_BYTES
    resources: tuple[Mapping[str, float], ...] = ()
    keys: tuple[KeyPair, ...] = field(default=(), repr=False)
    environments: tuple[Mapping[str, str], ...] = ()
    token: str = field(default="", repr=False)
    nanny_signals: bool = False
    engine_set: str = ""
    elastic: bool = False
    record: str = ""

    def __post_init__(self) -> None:
        if bool(self.connection) == bool(self.token) or not self.logs:
            raise ValueError(
                "a nanny needs the path of a connection file or a token, and a directory of logs"
            )
        least = 0 if self.elastic else 1
        if type(self.engines) is not int or self.engines < least:
            raise ValueError(f"engines must be an integer of at least {least}, not {self.engines!r}")
        if min(self.wait, self.grace, self.drain, self.max_threads) < 0 or self.hub_lease <= 0:
            raise ValueError("wait, grace, drain, hub_lease (s) and max_threads must not be negative")
        if self.prefer not in (None, "ipc", "tcp"):
            raise ValueError(f"prefer must be 'ipc' or 'tcp', not {self.prefer!r}")
        check_log_bytes(self.log_max_bytes)
        if self.keys and len(self.keys) != self.engines:
            raise ValueError(f"{len(self.keys)} key pairs are not one for each of {self.engines=}")
        if len(self.resources) not in (0, 1, self.engines):
            raise ValueError(
                f"resources are given once, or for each of {self.engines} engines, "
                f"not {len(self.resources)} times"
            )
        for each in self.resources:
            check_resources(each)
        for variables in self.environments:
            check_environment(variables)

    def resources_of(self, slot: int) -> Mapping[str, float]:
        """Return what the engine of a slot has; a slot beyond the first ones has the last one's."""
        return self.resources[min(slot, len(self.resources) - 1)] if self.resources else {}

    def environment_of(self, slot: int) -> Mapping[str, str]:
        """Return what the engine of a slot finds in its environment besides the nanny's."""
        return self.environments[slot % len(self.environments)] if self.environments else {}

    def to_json(self) -> str:
        """Return the configuration, secret keys included, as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> NannyConfig:
        """Return the configuration of a line made by `to_json`.

        Raises
        ------
        ValueError
            It is not JSON, names an unknown option, or an option has a wrong value.
        """
        values = _values(text, "nanny")
        if isinstance(values.get("restart"), Mapping):
            values["restart"] = _made(RestartPolicy, values["restart"], "restart")
        values["keys"] = _key_pairs(values.get("keys", ()))
        for name in ("resources", "environments"):
            if isinstance(values.get(name), list):
                values[name] = tuple(values[name])
        return _made(cls, values, "nanny")


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """What one engine process is told when it is forked.

    Parameters
    ----------
    slot
        Its place among the engines of its nanny.
    connection, wait, hub_lease, prefer, log_level, log_format, token, nanny_signals
        As in `NannyConfig`.
    public, secret
        Its key pair: the same for every engine that follows another in this slot.
    incarnation
        Hexadecimal; names this process among them.
    log
        Path of its log.
    drain
        How long (s) what runs may go on when the hub asks the engine to finish.
    resources
        What it has, by name.
    environment
        What is in its environment before any user code runs, besides the nanny's.
    engine_set
        As in `NannyConfig`.
    threads
        How many threads its numerical libraries use; 0 for as many as the warm process says.
    exact_id
        The id that it must have, and no other; -1 for any.
    supervised
        Whether somebody looks after it, who speaks for it to the hub.
    """

    slot: int
    connection: str
    public: str
    secret: str = field(repr=False)
    incarnation: str
    log: str
    wait: float = 30.0
    hub_lease: float = 600.0
    drain: float = 5.0
    prefer: Literal["ipc", "tcp"] | None = None
    log_level: str = "INFO"
    log_format: str = "text"
    resources: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    token: str = field(default="", repr=False)
    nanny_signals: bool = False
    engine_set: str = ""
    threads: int = 0
    exact_id: int = -1
    supervised: bool = True

    @property
    def keys(self) -> KeyPair:
        """The engine's key pair."""
        return KeyPair(self.public, self.secret)

    def to_json(self) -> str:
        """Return the configuration, the secret key included, as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> EngineConfig:
        """Return the configuration of a line made by `to_json`.

        Raises
        ------
        ValueError
            It is not JSON, names an unknown option, or an option has a wrong value.
        """
        return _made(cls, _values(text, "engine"), "engine")


def check_resources(resources: object) -> None:
    """Make sure that resources are a map of names to amounts.

    Raises
    ------
    ValueError
        They are not.
    """
    try:
        checked_resources(resources)
    except InvalidRequest as error:
        raise ValueError(str(error)) from None


def check_environment(variables: object) -> None:
    """Make sure that variables of an environment are a map of names to texts.

    Raises
    ------
    ValueError
        They are not.
    """
    if not isinstance(variables, Mapping) or not all(
        isinstance(name, str) and name and "=" not in name and isinstance(value, str)
        for name, value in variables.items()
    ):
        raise ValueError("an environment must be a map of names to texts")


def _key_pairs(found: object) -> tuple[KeyPair, ...]:
    # What was refused may be a secret: it is not repeated.
    if not isinstance(found, list | tuple):
        raise ValueError("keys must be a list of key pairs")
    return tuple(KeyPair.from_mapping(each) for each in found)


def _values(text: str | bytes, whose: str) -> dict[str, Any]:
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError(f"{whose} configuration must be a JSON object")
    return values


def _made(cls: type[T], values: Mapping[str, Any], whose: str) -> T:
    unknown = values.keys() - {each.name for each in fields(cls)}  # type: ignore[arg-type]
    if unknown:
        raise ValueError(f"unknown {whose} options: {', '.join(sorted(unknown))}")
    try:
        return cls(**values)
    except TypeError as error:
        raise ValueError(f"{whose} configuration: {error}") from None
