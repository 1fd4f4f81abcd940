"""What a cluster does with its engines, by the names that ipyparallel has for it, and by others of its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ctrlhub.cluster.adapting import Adapter, checked_interval
from ctrlhub.cluster.arrival import Arrival
from ctrlhub.cluster.engine_sets import LOCAL, EngineSets
from ctrlhub.cluster.errors import BornDead
from ctrlhub.cluster.jobs_check import check_jobs
from ctrlhub.cluster.known_set import KnownSet
from ctrlhub.cluster.parts_check import PartsCheck
from ctrlhub.cluster.scaling import Bounds

if TYPE_CHECKING:
    from ctrlhub.client.client import Client

_log = logging.getLogger(__name__)

SCALE_TIMEOUT = 60.0
"""How long (seconds) `scale` waits for the engines."""


class EngineCommands:
    """The part of a cluster that starts and stops, restarts and signals engines."""

    n: int
    launcher: str
    launcher_options: Mapping[str, Any]
    default_set: str
    _adapter: Adapter | None = None
    _engine_sets: EngineSets | None

    @property
    def client(self) -> Client:
        """The client that was connected by `start`."""
        raise NotImplementedError

    @property
    def _sets(self) -> EngineSets:
        """The sets; an error where the cluster is not running."""
        raise NotImplementedError

    def update_cluster_file(self) -> None:
        """Write down what the cluster is."""
        raise NotImplementedError

    # ------------------------------------------------------------ sets

    @property
    def engines(self) -> dict[str, KnownSet]:
        """The sets of engines, by name: how many, how started, and the ids of those that are registered."""
        return {} if self._engine_sets is None else self._engine_sets.known()

    @property
    def engine_set(self) -> KnownSet | None:
        """The first set of engines; None where it is not there."""
        return self.engines.get(self.default_set)

    def start_engines_sync(
        self,
        n: int | None = None,
        engine_set_id: str | None = None,
        *,
        launcher: str | None = None,
        launcher_options: Mapping[str, Any] | None = None,
    ) -> str:
        """Start another set of engines beside those there are; does not wait for them.

        Parameters
        ----------
        n
            How many; as many as the cluster began with, if not given.
        engine_set_id
            What the set is called; chosen, if not given. See `scale` for more engines of a set.
        launcher
            How they are started; as the first ones, if not given.
        launcher_options
            The launcher's options; those of the first ones, if neither is given.

        Returns
        -------
        str
            The name of the set.

        Raises
        ------
        ClusterError
            There is a set of this name, or it cannot be started.
        """
        count = self.n if n is None else n
        if type(count) is not int or count < 1:
            raise ValueError(f"a set has a number of engines, at least 1, not {n!r}")
        options = launcher_options
        if launcher is None and options is None:
            options = self.launcher_options
        name = self._sets.start(count, launcher or self.launcher, options, engine_set_id)
        self.update_cluster_file()
        return name

    def stop_engines_sync(self, engine_set_id: str | None = None) -> None:
        """End a set of engines, or all, whatever they do; also those that wait in a scheduler's queue.

        Parameters
        ----------
        engine_set_id
            The set; None is all.

        Raises
        ------
        ClusterError
            There is no such set, or it cannot be ended.
        """
        self.adapt(None)
        for name in list(self._sets.known()) if engine_set_id is None else [engine_set_id]:
            self._sets.stop(name)
        self.update_cluster_file()

    def restart_engines_sync(self, engine_set_id: str | None = None) -> None:
        """Put fresh processes in the places of all engines, or of a set's: `Client.restart`."""
        self.client.restart(self._ids(engine_set_id))

    def signal_engines_sync(self, signum: int | str, engine_set_id: str | None = None) -> None:
        """Send a signal to all engines, or to a set's: `Client.send_signal`."""
        self.client.send_signal(signum, self._ids(engine_set_id))

    def _ids(self, engine_set_id: str | None) -> Any:
        return "all" if engine_set_id is None else self._sets.ids(engine_set_id)

    # ------------------------------------------------------------ one engine

    def stop_engine_sync(self, engine_id: int) -> None:
        """End an engine, and wait until it has: `Client.shutdown`."""
        self.client.shutdown(engine_id, block=True)

    def restart_engine_sync(self, engine_id: int) -> None:
        """Put a fresh process in the place of an engine: `Client.restart`."""
        self.client.restart(engine_id)

    def signal_engine_sync(self, signum: int | str, engine_id: int) -> None:
        """Send a signal to an engine: `Client.send_signal`."""
        self.client.send_signal(signum, engine_id)

    # ------------------------------------------------------------ more and fewer

    def scale(
        self,
        n: int,
        engine_set_id: str | None = None,
        *,
        timeout: float | None = SCALE_TIMEOUT,
        drain_timeout: float | None = None,
    ) -> list[int]:
        """Have so many engines in a set: start others, or let the least busy ones go. Ends `adapt`.

        Who goes finishes what it runs and hands over its results; what it has not begun runs elsewhere.
        Of a set that a scheduler runs, what still waits in the queue is cancelled first (a job that is too
        large gives way to a smaller one), and more engines are another job.

        Parameters
        ----------
        n
            How many.
        engine_set_id
            The set; the first one of the cluster, if not given. Others stay as they are.
        timeout
            The longest wait (seconds) for those that come; None waits neither for these nor for those
            that go.
        drain_timeout
            How long (seconds) those that go may finish what they run, before it is given to others;
            None for as long as it takes.

        Returns
        -------
        list of int
            The ids of the set's engines that are there and stay.

        Raises
        ------
        TooManyEngines
            The hub does not register so many.
        ClusterError
            They cannot be started, or have died as they were: `StartFailed`, with the end of a log.
        TimeoutError
            Not all have come; the others still may.
        """
        if type(n) is not int or n < 0:
            raise ValueError(f"n must be an integer of at least 0, not {n!r}")
        self.adapt(None)
        name = engine_set_id or self.default_set
        sets = self._sets
        if name != self.default_set and not sets.remembers(name):
            sets.check(name)
        sets.check_size(name, n)
        arrival = Arrival(self.client, n, name)
        arrival.forget_former()
        former = {part.spec.cookie for part in sets.launched(name)}
        have = len(sets.engines(name)) + sets.coming(name)
        if n > have:
            sets.grow(name, n - have)
        elif n < have:
            sets.shrink(name, have - n, block=timeout is not None, timeout=drain_timeout)
        sets.note_wanted(name, n)
        if name == self.default_set:
            self.n = n
        if timeout is not None:
            if bring := sets.bringing(name, former):
                arrival.expect(PartsCheck(bring))
            self._await(arrival, name, n, timeout)
        self.update_cluster_file()
        return [each["id"] for each in sets.engines(name)]

    def check_jobs(self, n: int) -> None:
        """Make sure that there may yet be `n` engines in all, of those that are there and of jobs that go on.

        Raises
        ------
        StartFailed
            There will not be: jobs of a launcher have failed, with the end of their log.
        """
        if self._engine_sets is not None and (self._adapter is None or not self._adapter.running):
            check_jobs(self._engine_sets, n)

    def _await(self, arrival: Arrival, name: str, n: int, timeout: float) -> None:
        try:
            are_there = arrival.wait(timeout)
        except BornDead:
            self._sets.give_up(name)
            raise
        if not are_there:
            raise TimeoutError(
                f"{arrival.there()} of {n} engines of set {name!r} are there after {timeout:g} s: they may "
                "still come; `ctrl-hub engines list` says what they wait for, `ctrl-hub logs` what they say"
            )

    def adapt(
        self,
        minimum: int | None = 0,
        maximum: int | None = None,
        *,
        engine_set_id: str | None = None,
        target_duration: float = 5.0,
        idle: float = 10.0,
        interval: float = 1.0,
    ) -> Adapter | None:
        """Have as many engines as the queue of tasks is worth, until `scale` or ``adapt(None)``.

        What waits is to be done within `target_duration`, as far as it is known how long tasks take.
        Engines go when for `idle` seconds there was no moment at which they were needed; they finish
        what they run. Commands to explicit engines start none, and keep their engines.

        Parameters
        ----------
        minimum
            The fewest engines; None ends it.
        maximum
            The most; without it as many as the cluster began with, at least the fewest.
        engine_set_id
            The set that becomes larger and smaller; the first one, if not given. All engines count.
        target_duration
            Seconds within which what waits is to be done.
        idle
            Seconds for which engines must have been too many before they go.
        interval
            Seconds between two looks at the queue.

        Returns
        -------
        Adapter or None
            What does it, in a thread of its own: it says how many engines it wants, and why not more.
        """
        if minimum is None:
            self._end_adapter()
            return None
        most = max(self.n, minimum, 1) if maximum is None else maximum
        bounds = Bounds(minimum, most, target_duration, idle)
        checked_interval(interval)
        name = engine_set_id or self.default_set
        if name != self.default_set and not self._sets.remembers(name):
            self._sets.check(name)
        self._sets.check_size(name, most + 1)  # than it has at first
        self._end_adapter()
        self._adapter = Adapter(self._sets, name, bounds, interval)
        return self._adapter

    def _end_adapter(self) -> None:
        adapter, self._adapter = self._adapter, None
        if adapter is not None:
            adapter.stop()


__all__ = ["LOCAL", "EngineCommands"]
