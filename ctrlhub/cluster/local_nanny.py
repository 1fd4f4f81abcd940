"""A nanny on this host that is our child, and what it is told: at first, and when another has died."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ctrlhub.cluster.child import Child
from ctrlhub.cluster.log_options import LogOptions
from ctrlhub.wire.places import Profile
from ctrlhub.wire.private import make_private_dir

if TYPE_CHECKING:
    from ctrlhub.wire.security import KeyPair

Prefer = Literal["ipc", "tcp"]

LOCAL_SET = "local"
"""The set of the engines that `Cluster` and ``ctrl-hub start`` begin with."""

LONGER = 10.0
"""So many seconds longer than we does a nanny wait for the hub: who gives up first says why."""


@dataclass(slots=True)
class LocalNanny:
    """The nanny of a set of engines on this host, or the one that follows it.

    Parameters
    ----------
    profile
        The profile, whose owner we are.
    engines
        How many engines it begins with.
    prefer
        How the engines reach the hub, where both ways are open.
    resources
        What the engines have: as `NannyConfig` takes it.
    wait
        How long (seconds) we wait for the hub to begin.
    hub_lease
        As in `NannyConfig`.
    keys
        Where the engines' keys are kept beyond this process; None for nowhere.
    engine_set
        The name of the set.
    logs
        How it and its engines write their logs.

    Attributes
    ----------
    child : Child or None
        The nanny.
    """

    profile: Profile
    engines: int
    prefer: Prefer | None = None
    resources: tuple[Mapping[str, float], ...] = ()
    wait: float = 60.0
    hub_lease: float = 600.0
    keys: Path | None = None
    engine_set: str = LOCAL_SET
    logs: LogOptions = field(default_factory=LogOptions)
    child: Child | None = field(default=None, init=False)
    _keys: tuple[KeyPair, ...] = field(default=(), init=False)

    @property
    def record(self) -> Path:
        """Where it leaves which engines it has."""
        return self.profile.grown / f"{self.engine_set}.json"

    def start(self) -> Child:
        """Start it with the engines that it begins with, or that a dead one has left."""
        from ctrlhub.engine.berths import recorded
        from ctrlhub.engine.config import NannyConfig

        if not self._keys:
            # Kept: by its keys the hub sees that another nanny's engines replace those of a dead one.
            self._keys = self._make_keys()
            make_private_dir(self.record.parent)
            self.record.unlink(missing_ok=True)  # of another life
        place = self._place_of_logs()
        config = NannyConfig(
            connection=str(self.profile.connection_engine),
            engines=self.engines,
            logs=str(place),
            hub_lease=self.hub_lease,
            wait=self.wait + LONGER,
            prefer=self.prefer,
            resources=self.resources,
            keys=self._keys,
            engine_set=self.engine_set,
            elastic=True,
            record=str(self.record),
            log_level=self.logs.level,
            log_format=self.logs.form or "text",
            log_max_bytes=self.logs.most,
        )
        told = recorded(self.record, config).to_json()
        self.child = Child("nanny", "ctrlhub.engine", told, place / "nanny.log", log_bytes=self.logs.most)
        return self.child

    def _place_of_logs(self) -> Path:
        if self.engine_set == LOCAL_SET:
            return self.profile.logs
        logs = self.profile.logs / self.engine_set
        make_private_dir(logs)
        return logs

    def _make_keys(self) -> tuple[KeyPair, ...]:
        from ctrlhub.cluster.engine_keys import engine_keys
        from ctrlhub.wire.security import KeyPair

        if self.keys is not None:
            return engine_keys(self.keys, self.engines)
        return tuple(KeyPair.generate() for _ in range(self.engines))
