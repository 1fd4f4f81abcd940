"""The sets of engines of a running cluster: started, made larger and smaller, and ended."""

from __future__ import annotations

import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ctrlhub.cluster.coming import Coming
from ctrlhub.cluster.errors import ClusterError, NoSuchSet
from ctrlhub.cluster.known_set import KnownSet
from ctrlhub.cluster.local_nanny import LOCAL_SET, LocalNanny
from ctrlhub.cluster.log_options import LogOptions
from ctrlhub.cluster.own_nannies import OwnNannies
from ctrlhub.cluster.scaling import least_busy
from ctrlhub.cluster.set_names import free_name
from ctrlhub.wire.errors import EngineError
from ctrlhub.wire.places import Profile

if TYPE_CHECKING:
    from ctrlhub.client.client import Client
    from ctrlhub.cluster.launchers.base import Launcher, SetState

LOCAL = "local"
"""The launcher of engines on this host."""

JOINS = 6.0
"""So long (seconds) a nanny may take to come to the hub."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class EngineSets:
    """The sets of a cluster.

    Parameters
    ----------
    profile
        The profile of the hub.
    client
        Gives a connected client.
    own
        The nannies on this host that are ours; None where the cluster is somebody else's.
    make_nanny
        Makes the nanny of another set on this host, of a name and a number of engines.
    logs
        How engines of launchers write their logs.
    """

    profile: Profile
    client: Callable[[], Client]
    own: OwnNannies | None = None
    make_nanny: Callable[[str, int], LocalNanny] | None = None
    logs: LogOptions = field(default_factory=LogOptions)
    _coming: dict[str, Coming] = field(default_factory=dict, init=False)
    _followed: Client | None = field(default=None, init=False)
    _kinds: dict[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict, init=False)
    """How the sets are started: launcher and options, also while nothing of a set is there."""
    _lasting: set[str] = field(default_factory=set, init=False)
    """Sets that are remembered although they were ended."""

    # ------------------------------------------------------------ what there is

    def launched(self, name: str | None = None) -> list[Launcher]:
        """Return what launchers have started, of one set or of all."""
        if not self.profile.sets.is_dir():
            return []
        from ctrlhub.cluster.launchers.sets import known_sets

        known = known_sets(self.profile)
        for trouble in known.troubles:
            _log.warning("%s", trouble)
        return list(known.launchers) if name is None else known.named(name)

    def engines(self, name: str | None = None) -> list[Mapping[str, Any]]:
        """Return the engines that are there and stay, of one set or of all."""
        there = _that_stay(self.client().roster.asked())
        return [each for each in there if name in (None, each.get("engine_set", ""))]

    def known(self) -> dict[str, KnownSet]:
        """Return the sets by name, also those of which no engine has come yet."""
        return self._grouped(self.engines())

    def known_here(self) -> dict[str, KnownSet]:
        """Return the same, as far as it is known here: the hub is not asked."""
        return self._grouped(_that_stay(self.client().roster.known()))

    def _grouped(self, engines: Iterable[Mapping[str, Any]]) -> dict[str, KnownSet]:
        ids: dict[str, list[int]] = defaultdict(list)
        for each in engines:
            ids[each.get("engine_set", "")].append(each["id"])
        found: dict[str, KnownSet] = {}
        for name in self.own.keepers if self.own else ():
            found[name] = KnownSet(name, LOCAL, ids.get(name, []), len(ids.get(name, [])))
        for part in self.launched():
            name = part.spec.name
            before = found.get(name, KnownSet(name, part.spec.launcher, ids.get(name, []), 0))
            found[name] = KnownSet(
                name, part.spec.launcher, before.ids, before.asked + part.spec.n,
                (*before.jobs, part.described()),
            )  # fmt: skip
        for name, those in sorted(ids.items()):
            found.setdefault(name, KnownSet(name, self._kinds.get(name, ("", {}))[0], those, len(those)))
        return found

    def remember(self, name: str, launcher: str, options: Mapping[str, Any]) -> None:
        """Take note how a set is started, whether it is there or not."""
        self._kinds[name] = launcher, dict(options)
        self._lasting.add(name)

    def remembers(self, name: str) -> bool:
        """Say whether it is known how a set is started, whether it is there or not."""
        return name in self._kinds

    def check(self, name: str) -> None:
        """Make sure that there is a set of this name.

        Raises
        ------
        ClusterError
            There is not.
        """
        known = self.known()
        if name not in known:
            listed = ", ".join(map(repr, known)) or "none"
            raise NoSuchSet(f"there is no set of engines {name!r}; there are: {listed}")

    def check_size(self, name: str, n: int) -> None:
        """Make sure that a set can have so many engines, and not only as many as it has.

        Raises
        ------
        ClusterError
            It cannot: its engines come and go together.
        """
        fixed = next((part for part in self.launched(name) if not part.can_grow), None)
        if fixed is not None and n not in (0, fixed.spec.n):
            raise ClusterError(
                f"engines {name!r} of launcher {fixed.name!r} are of one number for good, {fixed.spec.n}: "
                "stop them, and start as many as you want"
            )

    def ids(self, name: str | None = None) -> list[int]:
        """Return the ids of a set's engines, or of all.

        Raises
        ------
        ClusterError
            There is no such set.
        """
        if name is not None:
            self.check(name)
        return [each["id"] for each in self.engines(name)]

    def coming(self, name: str) -> int:
        """Return how many engines of a set were ordered and have not come yet."""
        known = self._coming.get(name) or self._ordered_by_others(name)
        if known is None:
            return 0
        left = known.outstanding(self._processes(name), time.monotonic())
        if left and math.isinf(known.patience):  # unless what should bring them is over
            bring = sum(
                part.spec.n for part in self.launched(name) if not part.state().phase.is_over
            )
            if bring == 0:
                known.give_up()
                return 0
            left = min(left, max(0, bring - len(self.engines(name))))
        return left

    def _ordered_by_others(self, name: str) -> Coming | None:
        """Take note of what somebody else has ordered of a launcher; None where there is no such set."""
        parts = self.launched(name)
        if not parts:
            return None
        from ctrlhub.cluster.launchers.orders import to_come

        self._note_order(name, to_come(parts, len(self.engines(name))), parts[0].spec.launcher)
        return self._coming[name]

    def give_up(self, name: str) -> None:
        """Count no more on engines that were ordered and have not come."""
        if name in self._coming:
            self._coming[name].give_up()

    # ------------------------------------------------------------ what becomes of it

    def start(
        self, n: int, launcher: str, options: Mapping[str, Any] | None = None, name: str | None = None
    ) -> str:
        """Start a set, and return its name; does not wait for its engines.

        Raises
        ------
        ClusterError
            There is one of this name, or it cannot be started.
        ValueError
            There is no such launcher, or it has no such option.
        """
        if name is not None and name in self.known():
            raise ClusterError(f"there is a set of engines {name!r} already: give another name")
        if launcher == LOCAL and self.own is not None and self.make_nanny is not None and not options:
            chosen = name or free_name(LOCAL_SET, self.known())
            self._note_order(chosen, n, LOCAL)
            self.own.start(self.make_nanny(chosen, n))
            return chosen
        from ctrlhub.cluster.launchers.sets import make_set, start_set
        from ctrlhub.cluster.launchers.spec import Owner

        owner = Owner.USER if self.own is None else Owner.SUPERVISOR
        made = make_set(
            self.profile, launcher, n, options, name=name or free_name(launcher, self.known()), owner=owner, logs=self.logs
        )
        self._note_order(made.spec.name, n, launcher)
        start_set(made)
        self._kinds[made.spec.name] = launcher, made.spec.options
        return made.spec.name

    def grow(self, name: str, n: int) -> None:
        """Order so many further engines for a set; does not wait for them.

        Raises
        ------
        ClusterError
            They cannot be started.
        TooManyEngines
            The hub would not let them in.
        """
        parts = self.launched(name)
        if parts:
            from ctrlhub.cluster.launchers.sets import restart_set, start_part

            self._note_order(name, n, parts[0].spec.launcher)
            self._forget_ended(parts)
            if not parts[0].can_grow and parts[0].spec.n == n:
                restart_set(parts[0])
            else:
                start_part(parts[0], n)
            return
        launcher, options = self._kinds.get(name, (LOCAL, {}))
        if (launcher != LOCAL or options) and not self.engines(name):
            self.give_up(name)
            self.start(n, launcher, options, name)
            return
        self._note_order(name, n, LOCAL)
        # One that was just started, or again, may not be with the hub yet.
        patience = JOINS if self._has_nanny(name) else 0.0
        try:
            self.client().start_engines(n, name, timeout=None, within=patience)
        except EngineError:
            self._coming.pop(name).give_up()
            # Nobody is there who would: a hub without engines, or a set that has ended.
            if name not in ("", LOCAL_SET) or self.engines(name):
                raise
            self.start(n, LOCAL, name=name or None)

    def note_wanted(self, name: str, n: int) -> None:
        """Note how many engines a set is to have, for who starts it again; nannies here know that by themselves."""
        parts = self.launched(name)
        if parts:
            from ctrlhub.cluster.launchers.sets import note_wanted

            note_wanted(parts, n)

    def _forget_ended(self, parts: Sequence[Launcher]) -> None:
        """Let parts of a set go whose engines have all left, unless somebody else looks after them."""
        from ctrlhub.cluster.launchers.spec import Owner

        for part in parts:
            is_ours = self.own is not None or part.spec.owner is Owner.USER
            if is_ours and part.can_grow and part.state().phase.is_over:
                part.forget()

    def _has_nanny(self, name: str) -> bool:
        """Say whether somebody looks after engines here, as far as that can be told."""
        return bool(self.own and name in self.own.keepers) or bool(self.engines(name))

    def shrink(self, name: str, n: int, *, block: bool, timeout: float | None) -> None:
        """Have so many engines of a set leave: first who only waits in a queue, then the least busy.

        What these run they finish, for at most `timeout` seconds, and the rest runs elsewhere.
        """
        n -= self._withdraw(name, n)
        n -= self._cut(name, n)
        if leaving := least_busy(self.engines(name), n):
            self.client().drain(leaving, block=block, timeout=timeout)

    def stop(self, name: str) -> None:
        """End a set, whatever it does.

        Raises
        ------
        ClusterError
            There is none, or it cannot be ended.
        """
        ids = self.ids(name)
        ours = self.own is not None and self.own.end(name)
        parts = self.launched(name)
        if parts:
            from ctrlhub.cluster.launchers.sets import stop_sets

            stop_sets(parts)
        if not ours and not parts and ids:
            self.client().shutdown(ids)
        self._await_leaving(ids)
        self._coming.pop(name, None)
        if name not in self._lasting:
            self._kinds.pop(name, None)

    def stop_launched(self) -> None:
        """End what launchers have started: jobs that wait, too."""
        parts = self.launched()
        if parts:
            from ctrlhub.cluster.launchers.sets import stop_sets

            stop_sets(parts)

    def _await_leaving(self, ids: Sequence[int]) -> None:
        roster = self.client().roster
        if not roster.wait(lambda: not set(ids) & set(roster.known()), roster.timeout):
            raise ClusterError(
                f"engines {', '.join(map(str, ids))} have not left within {roster.timeout:g} s: "
                "what runs there ends first; interrupt() it, or send_signal('SIGKILL')"
            )

    def _withdraw(self, name: str, most: int) -> int:
        """Cancel parts of a set that have not begun, the latest first; return how many engines they are."""
        from_parts = 0
        for part in reversed(self.launched(name)):
            if from_parts + part.spec.n <= most and part.state().phase == "pending":
                self._cancel(part)
                from_parts += part.spec.n
        return from_parts

    def _cut(self, name: str, n: int) -> int:
        """Put a smaller part in the place of one that has not begun; return how many engines fewer it is."""
        from ctrlhub.cluster.launchers.sets import start_part

        for part in reversed(self.launched(name)):
            if 0 < n < part.spec.n and part.can_grow and part.state().phase == "pending":
                self._note_order(name, part.spec.n - n, part.spec.launcher)
                start_part(part, part.spec.n - n)
                self._cancel(part)
                return n
        return 0

    def _cancel(self, part: Launcher) -> None:
        part.stop()
        if (known := self._coming.get(part.spec.name)) is not None:
            known.withdrawn(part.spec.n)

    def bringing(self, name: str, former: Collection[str]) -> list[Launcher]:
        """Return the parts that engines are expected of: others than the former ones, by cookie, and who waits."""
        return [
            part for part in self.launched(name)
            if part.spec.cookie not in former or part.state().phase == "pending"
        ]  # fmt: skip

    def failed(self, name: str) -> list[tuple[Launcher, SetState]]:
        """Return the parts of a set that have failed, and how."""
        found = [(part, part.state()) for part in self.launched(name)]
        return [(part, state) for part, state in found if state.phase == "failed"]

    def _note_order(self, name: str, n: int, launcher: str) -> None:
        client = self.client()
        if client is not self._followed:
            self._followed = client
            client.roster.follow(self._note_arrivals)
        patience = {} if launcher == LOCAL else {"patience": math.inf}
        known = self._coming.setdefault(name, Coming(**patience))
        known.ordered(n, self._processes(name), time.monotonic())

    def _note_arrivals(self, engines: Mapping[int, Mapping[str, Any]]) -> None:
        """Take note who is there now, in the client's I/O thread: they may have left when we next ask."""
        for name, known in tuple(self._coming.items()):
            known.seen(_processes(each for each in engines.values() if each.get("engine_set", "") == name))

    def _processes(self, name: str) -> list[Any]:
        return _processes(self.engines(name))

def _that_stay(engines: Mapping[int, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [each for _, each in sorted(engines.items()) if each.get("state") != "draining"]


def _processes(engines: Iterable[Mapping[str, Any]]) -> list[Any]:
    from ctrlhub.client.control import process_of

    return [process_of(each) for each in engines]
