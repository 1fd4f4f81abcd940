"""Start hooks: commands that every engine runs before anything else.

A hook is *tried* first, on the engines that are there: if it fails on one of them it is dropped, and its
maker is told why. Otherwise it is *kept*, and each engine that comes runs all that are kept, in order,
before the commands and tasks of anybody. One that fails on an engine then leaves that engine
*unprepared*: it takes commands, so that somebody can look, but no tasks, until the hook is removed or
the engine restarted.

Every run of a hook has the hook's own id: so an engine that lives on when the hub is restarted knows
that it has run this one before, and does not run it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ctrlhub.controller.core.commands import CommandRecord, CommandState
from ctrlhub.controller.core.engines import Engine
from ctrlhub.wire.codec import size_of
from ctrlhub.wire.errors import LimitExceeded
from ctrlhub.wire.messages import Action, Payload

MOST_HOOKS = 256
"""The most hooks a hub keeps."""

MOST_BYTES = 256 * 1024 * 1024
"""The most bytes that hooks may take in all, functions and arguments together."""

MOST_DEADLY = 1024
"""Of so many engines is remembered that a hook has killed them; then all are forgotten."""


MOST_DEATHS = 3
"""So many processes of an engine, one after the other, may end while they run a hook: then it is the
hook that kills them, and not somebody who kills processes."""


@dataclass(slots=True, eq=False)
class StartHook:
    """What every engine runs first.

    Attributes
    ----------
    name
        How clients call it; another one of this name replaces it.
    request
        The request that brought it; its id is that of every run.
    payload
        What every run is given; the request lets go of it when it ends.
    trying
        The ids of the engines on which it is being tried.
    failed
        On which engines it failed, by id, and how.
    deaths
        The keys of engines that ended while they ran it, how often since they last lived through it,
        and how the last time.
    """

    name: str
    request: CommandRecord
    payload: Payload
    trying: set[int] = field(default_factory=set)
    failed: dict[int, str] = field(default_factory=dict)
    deaths: dict[str, tuple[int, str]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many bytes it takes."""
        function = self.request.function
        return size_of(self.payload) + (size_of(function.blob) if function else 0)

    @property
    def keeps_place(self) -> bool:
        """Whether it is run where the one that it replaces was: a module that others import.

        Any other is run last, as on the engines that are there: what it sets stands there.
        """
        return self.request.action == Action.UPLOAD

    def describe(self) -> dict[str, Any]:
        """Return what clients are told of it."""
        return {
            "name": self.name,
            "action": self.request.action,
            "bytes": self.size,
            "state": "trying" if self.trying else "kept",
            "failed": {str(number): why for number, why in sorted(self.failed.items())},
        }


@dataclass(slots=True, eq=False)
class HookRun(CommandRecord):
    """A run of a hook on an engine: a command that no client has asked for."""

    hook: StartHook | None = None
    engine: Engine | None = None


class StartHooks:
    """The hooks of a hub, kept and on trial."""

    def __init__(self) -> None:
        self._kept: dict[str, StartHook] = {}
        self._tried: dict[int, StartHook] = {}

    def __iter__(self) -> Iterator[StartHook]:
        """Yield all, in the order in which an engine runs them."""
        yield from self._kept.values()
        yield from self._tried.values()

    def __bool__(self) -> bool:
        return bool(self._kept or self._tried)

    def of_request(self, number: int) -> StartHook | None:
        """Return the hook on trial that a request has brought."""
        return self._tried.get(number)

    def of_maker(self, number: int) -> StartHook | None:
        """Return the hook that is kept and that a request has brought, perhaps to another hub."""
        return next((hook for hook in self._kept.values() if hook.request.id == number), None)

    def kept(self) -> list[StartHook]:
        """Return those that are kept, in order."""
        return list(self._kept.values())

    def take_back(self, hook: StartHook) -> None:
        """Keep a hook that the hub before this one has kept."""
        self._kept[hook.name] = hook

    def check_room(self, hook: StartHook) -> None:
        """See that there is room for one more.

        Raises
        ------
        LimitExceeded
            There is none.
        """
        others = [each for each in self if each.name != hook.name]
        if len(others) >= MOST_HOOKS:
            raise LimitExceeded(f"the hub keeps {MOST_HOOKS} start hooks already: remove some")
        if sum(each.size for each in others) + hook.size > MOST_BYTES:
            raise LimitExceeded(
                f"start hooks may take {MOST_BYTES} bytes in all, and {hook.name!r} alone takes "
                f"{hook.size}: remove some, or have engines read the data from a file"
            )

    def begin(self, hook: StartHook, engines: Iterable[int]) -> None:
        """Try a hook on engines."""
        hook.trying.update(engines)
        self._tried[hook.request.id] = hook

    def keep(self, hook: StartHook) -> StartHook | None:
        """Keep a hook that was tried; return the one that it replaces."""
        del self._tried[hook.request.id]
        former = self._kept.get(hook.name)
        if not hook.keeps_place:
            self._kept.pop(hook.name, None)
        self._kept[hook.name] = hook
        return former

    def drop(self, hook: StartHook) -> None:
        """Give up a hook that is on trial."""
        del self._tried[hook.request.id]

    def remove(self, name: str) -> list[StartHook]:
        """Remove the hooks of a name: the one that is kept, and those on trial."""
        removed = [hook for hook in self if hook.name == name]
        self._kept.pop(name, None)
        self._tried = {n: hook for n, hook in self._tried.items() if hook.name != name}
        return removed

    def killed(self, hook: StartHook, engine: Engine) -> None:
        """Remember that an engine ended while it ran a hook."""
        if len(hook.deaths) >= MOST_DEADLY:
            hook.deaths.clear()
        count, _ = hook.deaths.get(engine.key, (0, ""))
        hook.deaths[engine.key] = (count + 1, engine.cause)

    def survived(self, hook: StartHook, engine: Engine) -> None:
        """Remember that an engine has lived through a hook."""
        hook.deaths.pop(engine.key, None)

    def deadly(self, hook: StartHook, engine: Engine) -> str:
        """Say how a hook has ended the processes of an engine; empty if it is to be run there."""
        count, cause = hook.deaths.get(engine.key, (0, ""))
        if count < MOST_DEATHS:
            return ""
        return f"it has ended the engine's last {count} processes: {cause}"

    def forgive(self, key: str) -> None:
        """Let an engine run again what has killed it: somebody has asked for it to be restarted."""
        for hook in self:
            hook.deaths.pop(key, None)

    def check(self) -> None:
        """Assert that hooks are where they belong."""
        assert all(hook.name == name and not hook.trying for name, hook in self._kept.items())
        for number, hook in self._tried.items():
            assert hook.request.id == number
            assert hook.trying
            assert hook.request.state is not CommandState.ENDED
