"""What a client does to engines, beside running code on them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ctrlhub.client.connection import Connection
from ctrlhub.client.dashboard import Dashboard
from ctrlhub.client.requests import CommandRequest
from ctrlhub.client.targets import Targets, chosen, states_of
from ctrlhub.wire.errors import InvalidEngineID

RESTART_TIMEOUT = 60.0
"""How long (seconds) to wait for restarted engines."""

START_TIMEOUT = 60.0
"""How long (seconds) to wait for further engines."""

LEAVE = 15.0
"""So much longer (seconds) than it may go on what runs has to be given back, and its process to end."""


class Control:
    """The part of a client that starts, stops and disturbs engines."""

    _connection: Connection
    _dashboard: Dashboard

    def _resolve(self, targets: Targets, leaving: bool = False) -> list[int]:
        raise NotImplementedError

    def interrupt(self, targets: Targets = "all") -> None:
        """Interrupt what runs on engines, whoever asked for it, as Ctrl-C does in a terminal.

        Whoever waits for it gets a `RemoteError` that says ``KeyboardInterrupt``. The engines stay
        as they are, and what waits behind it has its turn. Where nothing runs, nothing happens.
        To take back something of one's own, `AsyncResult.cancel` it.

        Parameters
        ----------
        targets
            The engines.

        Raises
        ------
        EngineError
            The connections of some engines are lost. The others are interrupted.
        """
        # What this client has given before is to be there, although it takes another stream.
        commands = [
            number
            for request in self._connection.outstanding()
            if isinstance(request, CommandRequest)
            for number in request._numbers()
        ]
        self._control("interrupt", self._resolve(targets, leaving=True), after=max(commands, default=0))

    def send_signal(
        self, sig: int | str, targets: Targets = "all", block: bool | None = None
    ) -> None:
        """Send a signal to the processes of engines, through the nannies that started them.

        Parameters
        ----------
        sig
            The signal, by number or name: ``signal.SIGUSR1``, ``"SIGUSR1"``.
        targets
            The engines.
        block
            Kept for programs that pass it. The nannies have been told when this returns.

        Raises
        ------
        ValueError
            There is no such signal.
        EngineError
            An engine has no nanny. No engine gets the signal then.
        """
        name = signal_name(sig)
        self._control("signal", self._resolve(targets, leaving=True), name=name)

    def restart(
        self,
        targets: Targets = "all",
        *,
        block: bool = True,
        timeout: float = RESTART_TIMEOUT,
    ) -> None:
        """Put fresh processes in the places of engines, whatever these are doing.

        An engine that does not end when it is asked to, since its code does not let go (a call into
        C, say), is killed. The new one has its id and an empty namespace, but for what
        `on_engine_start` and persistent pushes give it. Commands that the former one had not ended
        fail with `EngineError`; its tasks run elsewhere, or there again, and are not blamed.

        Parameters
        ----------
        targets
            The engines; also those that are being restarted at this moment, which are waited for.
        block
            Wait until the new ones are registered.
        timeout
            The longest wait in seconds.

        Raises
        ------
        EngineError
            An engine has no nanny. None is restarted then.
        TimeoutError
            Not all are back; those that are not may still come.
        """
        ids = self._there_or_coming(targets)
        before = {n: process_of(engine) for n, engine in self._connection.engines().items()}
        self._control("restart", ids)
        if not block:
            return

        def missing(engines: Mapping[int, Any]) -> list[int]:
            return [n for n in ids if process_of(engines.get(n)) in (None, before.get(n))]

        end = time.monotonic() + timeout
        while True:
            if not self._wait_for(lambda engines: not missing(engines), end - time.monotonic()):
                lacking = missing(self._connection.engines())
                raise TimeoutError(
                    f"engines {', '.join(map(str, lacking))} are not back after {timeout:g} s: look "
                    "into their logs, wait with wait_for_engines(), or give them more time with "
                    "timeout="
                )
            # Who was asked to restart them before may have had them just replaced.
            self._connection.look_at_engines()
            engines = self._connection.engines()
            again = [n for n in ids if engines.get(n, {"restarting": True}).get("restarting")]
            if not again:
                return
            before |= {n: process_of(engines[n]) for n in again if n in engines}

    def start_engines(
        self,
        n: int,
        engine_set: str = "local",
        *,
        timeout: float | None = START_TIMEOUT,
        within: float = 0.0,
    ) -> list[int]:
        """Have further engines started by the nannies of a set that start any when told to.

        Those of a `Cluster` and of ``ctrl-hub start`` do. They go on with so many, also after one of
        them has died. What batch systems run is as large as it was asked for.

        Parameters
        ----------
        n
            How many.
        engine_set
            The set.
        timeout
            The longest wait (seconds) until they are registered; None waits for none.
        within
            How long (seconds) to wait for a nanny of the set, if none is there: it may be on its way.

        Returns
        -------
        list of int
            Their ids; none if they were not waited for.

        Raises
        ------
        EngineError
            No nanny of this set starts any.
        TooManyEngines
            The hub would not let them in.
        TimeoutError
            Not all have come; the others still may.
        """
        before = {process_of(engine) for engine in self._connection.current_engines().values()}
        wish = {"count": n, "engine_set": engine_set, "within": within}
        self._connection.call("control", "start_engines", wish)
        if timeout is None:
            return []

        def new(engines: Mapping[int, Any]) -> list[int]:
            return [
                number
                for number, engine in sorted(engines.items())
                if engine.get("engine_set") == engine_set and process_of(engine) not in before
            ]

        if not self._wait_for(lambda engines: len(new(engines)) >= n, timeout):
            raise TimeoutError(
                f"{len(new(self._connection.engines()))} of {n} further engines have come within "
                f"{timeout:g} s: the log of their nanny says more (`ctrl-hub logs`), and timeout= "
                "waits longer"
            )
        return new(self._connection.engines())

    def shutdown(
        self,
        targets: Targets = "all",
        restart: bool = False,
        hub: bool = False,
        block: bool | None = None,
    ) -> None:
        """End engines, or with `hub` everything.

        Parameters
        ----------
        targets
            The engines.
        restart
            Start others in their places: see `restart`.
        hub
            End the hub, and with it all its engines.
        block
            Wait until the engines have gone; with `restart`, until the others have come. The latter
            is the default.
        """
        if hub and restart:
            raise ValueError("a hub that ends restarts no engines: give either hub or restart")
        if hub:
            self._connection.call("query", "shutdown_hub", {})
        elif restart:
            self.restart(targets, block=block is not False)
        else:
            ids = self._resolve(targets, leaving=True)
            before = self._processes(ids)
            self._control("shutdown", ids)
            limit = self._connection.timeout
            if block and not self._wait_for(
                lambda engines: all(process_of(engines.get(n)) != before[n] for n in ids), limit
            ):
                raise TimeoutError(
                    f"not all engines have ended within {limit:g} s: what runs there ends first; "
                    "interrupt() it, or send_signal('SIGKILL')"
                )

    def drain(
        self,
        targets: Targets = None,
        block: bool = True,
        timeout: float | None = None,
    ) -> None:
        """Let engines finish what they run, begin nothing new, hand over their results and leave.

        Tasks that they have been given and have not begun run elsewhere, and nothing is charged for
        that; commands that they have not begun fail with `EngineError`. They are ``draining`` in
        `status` until they have left, with exit code 0; their nannies start no others in their places.
        The drain goes on if the hub is restarted, or this client ends.

        Parameters
        ----------
        targets
            The engines; None or ``'all'`` are all.
        block
            Wait until they have left.
        timeout
            How long (seconds) what runs may go on: then it is given back, tasks to run elsewhere, and
            a command to fail. None lets it take as long as it takes.

        Raises
        ------
        TimeoutError
            Not all have left although their time is over: they, or their nannies, are out of reach.
        """
        if timeout is not None and not timeout >= 0:
            raise ValueError(f"timeout is a number of seconds, or None for no limit, not {timeout!r}")
        ids = self._resolve(targets, leaving=True)
        before = self._processes(ids)
        self._control("drain", ids, within=timeout)
        if not block:
            return
        limit = None if timeout is None else timeout + LEAVE
        if not self._wait_for(
            lambda engines: all(process_of(engines.get(n)) != before[n] for n in ids), limit
        ):
            left = [n for n in ids if process_of(self._connection.engines().get(n)) == before[n]]
            raise TimeoutError(
                f"engines {', '.join(map(str, left))} have not left {LEAVE:g} s after the time that they "
                "had: they are out of reach, and leave when they are back; look into their logs"
            )

    def gateway(self, timeout: float = 30.0) -> str:
        """Return the URL of the hub's HTTP gateway, which is started if there is none.

        There is no token in it: `ctrl-hub dashboard` prints the URL with one.

        Parameters
        ----------
        timeout
            How long (seconds) to wait for it.

        Raises
        ------
        GatewayError
            It cannot be started, or there is to be none (``--http off``); the message says why.
        """
        wish = {"within": timeout}
        limit = timeout + self._connection.timeout
        url: str = self._connection.call("control", "gateway", wish, limit)
        return url

    @property
    def dashboard_link(self) -> str:
        """The link to the dashboard, without a token; the HTTP gateway is started if there is none.

        It is the gateway's URL, or what the template ``[http] link`` makes of that. A client that came
        through the gateway knows the way.
        """
        return self._dashboard.link_to(self._dashboard.url or self.gateway())

    def _control(self, method: str, ids: Iterable[int], **arguments: Any) -> None:
        wish = {"targets": list(ids), **arguments}
        try:
            self._connection.call("control", method, wish)
        except InvalidEngineID:
            # Nothing was done. A hub that has just begun may not have all engines back: those of
            # the former hub are waited for.
            self._connection.current_engines()
            self._connection.call("control", method, wish)

    def _there_or_coming(self, targets: Targets) -> list[int]:
        """Return the ids that are meant, of engines that are there or being restarted."""
        try:
            return self._named_now(targets)
        except InvalidEngineID:
            # What was there when the hub was asked may have ended since, and be on its way back.
            return self._named_now(targets)

    def _named_now(self, targets: Targets) -> list[int]:
        absent = self._connection.look_at_engines()
        coming = {each["id"] for each in absent if each.get("restarting")}
        present = self._connection.current_engines()
        return chosen(targets, sorted({*present, *coming}), states_of(absent))

    def _processes(self, ids: Iterable[int]) -> dict[int, Any]:
        """Return what tells the present processes of engines from others in their places."""
        engines = self._connection.current_engines()
        if gone := [number for number in ids if number not in engines]:
            absent = states_of(self._connection.look_at_engines())
            raise InvalidEngineID.of(gone[0], absent, " (any more)")
        return {number: process_of(engines[number]) for number in ids}

    def _wait_for(
        self, enough: Callable[[Mapping[int, Any]], bool], timeout: float | None
    ) -> bool:
        """Wait for a state of the engines."""
        connection = self._connection
        return connection.wait_for_engines(lambda _: enough(connection.engines()), timeout)


def signal_name(sig: int | str) -> str:
    """Return the name of a signal.

    Raises
    ------
    ValueError
        There is no such signal.
    TypeError
        That is no way to name one.
    """
    import signal

    if isinstance(sig, bool) or not isinstance(sig, int | str):
        raise TypeError(f"a signal is a number or a name, not {type(sig).__name__}")
    try:
        found = signal.Signals[sig] if isinstance(sig, str) else signal.Signals(sig)
    except (KeyError, ValueError):
        known = ", ".join(sorted(each.name for each in signal.Signals))
        raise ValueError(f"there is no signal {sig!r}; there are {known}") from None
    return found.name


def process_of(engine: Mapping[str, Any] | None) -> Any:
    """Return what tells the process of an engine from another in its place."""
    return None if engine is None else (engine["pid"], engine["key"])
