"""What a set of engines is: how many, started how, for whom. Plain data, no secrets."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

SET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_COOKIE = re.compile(r"[0-9a-f]{8,32}")


class Owner(StrEnum):
    """Who ends a set."""

    USER = "user"
    """It was started by hand, and lasts until it is stopped, or its cluster is."""
    SUPERVISOR = "supervisor"
    """``ctrl-hub start``, or a `Cluster`: it starts it again, and ends it with the cluster."""


@dataclass(frozen=True, slots=True)
class EngineSet:
    """One set of engines, or a later part of one that has grown.

    Parameters
    ----------
    name
        What the user calls it.
    launcher
        The kind of its launcher.
    n
        How many engines.
    options
        Those of the launcher, as they were given.
    part
        1, and more for what was added to the set later.
    owner
        Who ends it.
    cookie
        Hexadecimal, and nothing else's: so that one set of a name is not taken for another.
    created
        When it was asked for (Unix time, seconds).
    host
        Where that was.
    environment
        What its engines find in their environment, unless the options say something else: how they write logs and
        traces. Nothing secret.
    """

    name: str
    launcher: str
    n: int
    options: Mapping[str, Any] = field(default_factory=dict)
    part: int = 1
    owner: Owner = Owner.USER
    cookie: str = field(default_factory=lambda: os.urandom(4).hex())
    created: float = field(default_factory=time.time)
    host: str = field(default_factory=platform.node)
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not SET_NAME.fullmatch(self.name):
            raise ValueError(
                f"{self.name!r} is not a name of engines: use 1 to 32 letters, digits, '_' and '-', "
                "beginning with a letter or digit"
            )
        if type(self.n) is not int or self.n < 1:
            raise ValueError(f"a set has at least one engine, not {self.n!r}")
        if type(self.part) is not int or self.part < 1:
            raise ValueError(f"part must be an integer of at least 1, not {self.part!r}")
        if not _COOKIE.fullmatch(self.cookie):
            raise ValueError("cookie must be hexadecimal")
        for name, value in self.environment.items():
            if not VARIABLE_NAME.fullmatch(name) or type(value) is not str:
                raise ValueError(f"{name!r} is no variable of an environment, or has no text")

    @property
    def key(self) -> str:
        """Its name among the sets and their parts."""
        return self.name if self.part == 1 else f"{self.name}.{self.part}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "name": self.name,
            "launcher": self.launcher,
            "n": self.n,
            "options": dict(self.options),
            "part": self.part,
            "owner": self.owner.value,
            "cookie": self.cookie,
            "created": self.created,
            "host": self.host,
            "environment": dict(self.environment),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> EngineSet:
        """Return the set that `to_dict` has written.

        Raises
        ------
        ValueError
            This is none.
        """
        try:
            return cls(
                name=str(data["name"]),
                launcher=str(data["launcher"]),
                n=data["n"],
                options=dict(data["options"]),
                part=data["part"],
                owner=Owner(data["owner"]),
                cookie=str(data["cookie"]),
                created=float(data["created"]),
                host=str(data["host"]),
                environment=dict(data.get("environment", {})),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"this describes no set of engines: {error!r}") from None
