"""Needs: which engines may run a task."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from ctrlhub.controller.core.engines import Engine

NOBODY: frozenset[Engine] = frozenset()


@dataclass(frozen=True, slots=True)
class Needs:
    """What an engine must be or have. Tasks with equal needs wait in one place.

    Attributes
    ----------
    targets
        The ids of the engines that may; None is any.
    resources
        What it must have: names and amounts. An engine runs one task at a time, which has all of it.
    declined
        Engines that have tried: not ids, since another process with the same id may well meet what
        the former did not.
    followed
        Whether `targets` are where the requests ran that are followed.
    """

    targets: frozenset[int] | None = None
    resources: tuple[tuple[str, float], ...] = ()
    declined: frozenset[Engine] = NOBODY
    followed: bool = False

    def fit(self, engine: Engine) -> bool:
        """Tell whether an engine may run it."""
        return (
            (self.targets is None or engine.id in self.targets)
            and engine not in self.declined
            and self.has_resources(engine)
        )

    def has_resources(self, engine: Engine) -> bool:
        """Tell whether an engine has what it takes."""
        have = engine.resources
        return all(have.get(name, 0) >= amount for name, amount in self.resources)

    def without(self, engine: Engine) -> Needs:
        """Return the needs of a task that an engine has declined."""
        return replace(self, declined=self.declined | {engine})

    def within(self, targets: frozenset[int]) -> Needs:
        """Return the needs of a task that follows what ran on these engines."""
        both = targets if self.targets is None else self.targets & targets
        return replace(self, targets=both, followed=True)

    def why_nobody(self, engines: Collection[Engine]) -> str:
        """Say why none of these engines may run it."""
        if self.targets is not None:
            named = [engine for engine in engines if engine.id in self.targets]
            wanted = ", ".join(map(str, sorted(self.targets))) or "none"
            if not named and self.followed and not self.targets:
                return "no engine that it may run on has run the requests that it follows"
            if not named and self.followed:
                return (
                    "it must run where the requests that it follows have run, and none of these "
                    f"engines is here: {wanted}"
                )
            if not named:
                return f"none of its targets is here (engines: {wanted})"
            engines = named
        if not any(self.has_resources(engine) for engine in engines):
            wants = ", ".join(f"{name}={amount:g}" for name, amount in self.resources)
            return (
                f"no engine that may run it has the resources it needs ({wants}): start one with "
                f"`ctrl-hub engine --resources {wants.replace(', ', ',')}`"
            )
        return "no engine meets what this task depends on"


ANYWHERE = Needs()
"""The needs of a task that any engine may run."""
