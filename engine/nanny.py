"""The nanny: one process per node. Starts that node's engines, sees them die, and speaks for them.

Its main thread minds processes: the warm process that forks engines, signals to the nanny itself,
and the lifeline. A second thread talks to the hub. Neither carries any payload.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from ctrlhub.engine.berths import Berths
from ctrlhub.engine.board import ASKED, FOR_GOOD, IDENTITY, MAKING_WAY, RUNNING
from ctrlhub.engine.causes import OomWatch, is_running
from ctrlhub.engine.channel import EngineEnded, EngineStarted, SignalEngine, StartEngine, Target
from ctrlhub.engine.config import NannyConfig
from ctrlhub.engine.detour import Detour
from ctrlhub.engine.engine_ends import EngineEnds
from ctrlhub.engine.given import Node
from ctrlhub.engine.lease import Ending
from ctrlhub.engine.nanny_hub import NannyHub
from ctrlhub.engine.notice import Notice
from ctrlhub.engine.process import log_to_stderr
from ctrlhub.engine.slots import NEVER, Slot, Slots, SlotState
from ctrlhub.engine.spawning import Maker, Spawner
from ctrlhub.engine.usage import Meter, can_look
from ctrlhub.link.polling import POLLIN, make_poller
from ctrlhub.link.wakeup import Wakeup
from ctrlhub.wire.killing import KILL

ABANDONED = "whoever started it is gone"
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
LOOK_AFTER_LOGS = 10.0
"""How often (seconds) logs are looked at; what is written last is up to twice as old."""

MOST_FURTHER = 4096
"""So many more engines than at first an elastic nanny may have."""

ACTIVE = SlotState.WAITING, SlotState.STARTING, SlotState.RUNNING
WANTED = *ACTIVE, SlotState.GIVEN_UP

_log = logging.getLogger(__name__)


def run(config: NannyConfig, lifeline: int | None = None) -> int:
    """Be a nanny, and return the process's exit code.

    Parameters
    ----------
    config
        What to do.
    lifeline
        A descriptor whose end of file means that whoever wanted this nanny is gone.

    Raises
    ------
    RuntimeError
        This process has several threads: engines could not be forked safely.
    """
    threads = config.max_threads or max(1, Node().cores() // max(1, config.engines))
    room = config.engines + (MOST_FURTHER if config.elastic else 0)
    # Before anything that makes a thread or a ZeroMQ context, and after all imports: what both
    # need is so imported once, which with few cores beats importing it twice at the same time.
    return int(Nanny(config, _maker(config, room, threads), lifeline).run())


def _maker(config: NannyConfig, room: int, threads: int) -> Maker:
    if config.spawns:
        return Spawner(room, threads)
    from ctrlhub.engine.warm import WarmProcess

    return WarmProcess.fork(room, threads, Path(config.logs))


class Nanny:
    """The nanny's main thread.

    Parameters
    ----------
    config
        What to do.
    warm
        Who forks the engines.
    lifeline
        As in `run`.
    """

    def __init__(self, config: NannyConfig, warm: Maker, lifeline: int | None) -> None:
        log_to_stderr(config, "nanny")
        self._detour = Detour(config)
        self._config = config = self._detour.config
        self._warm = warm
        self._lifeline = lifeline
        self._berths = Berths(config, Node().cores())
        self._slots = Slots(config.engines, config.restart)
        self._oom = OomWatch()
        self._calls: deque[Callable[[], None]] = deque()
        self._wakeup = Wakeup()
        self._struck, self._strike = socket.socketpair()
        self._hub = NannyHub(
            config,
            vouches=self._vouches,
            usage=Meter(self._processes).rows if can_look() else tuple,
            on_signal=self._signal_wanted,
            on_restart=self._restart_wanted,
            on_grow=lambda count: self._later(lambda: self._grow(count)),
            on_retire=self._retire_wanted,
            on_shutdown=self._shutdown_wanted,
            on_end=lambda why, ending: self._later(lambda: self._stop(why, ending)),
            obstacle=self._detour.failure,
        )
        self._ends = EngineEnds(
            self._slots, self._berths, warm.board, config.restart, self._oom, self._hub.report
        )
        self._logs_due = time.monotonic() + LOOK_AFTER_LOGS
        self._ending: Ending | None = None
        self._comes_back = False
        self._kill_due: float | None = None
        self._notice = Notice(config.drain, config.until, time.time(), time.monotonic())

    def run(self) -> Ending:
        """Run until all engines have ended, or are told to."""
        self._catch_signals()
        poller = make_poller()
        for source in (self._warm.channel, self._wakeup, self._struck):
            poller.register(source.fileno(), POLLIN)
        if self._lifeline is not None:
            self._watch_lifeline(self._lifeline, poller)
        try:
            while True:
                self._act(time.monotonic())
                if not self._slots.active and not self._stays:
                    break
                ready = {fd for fd, _ in poller.poll(self._timeout(time.monotonic()))}
                self._attend(ready, poller)
        finally:
            # It is ending: to be told so again must not turn a good end into a death.
            for number in STOP_SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            signal.set_wakeup_fd(-1)
            self._close()
        return self._ends.outcome if self._ending is None else self._ending

    @property
    def _stays(self) -> bool:
        """Whether it waits for orders although it has no engines: they have left as they should."""
        return (
            self._config.elastic
            and self._ending is None
            and self._ends.outcome is Ending.LEFT
            and not self._notice.is_given
        )

    # ------------------------------------------------------------ the loop

    def _catch_signals(self) -> None:
        for end in (self._struck, self._strike):
            end.setblocking(False)
        for number in STOP_SIGNALS:
            signal.signal(number, _ignore)
        signal.set_wakeup_fd(self._strike.fileno(), warn_on_full_buffer=False)

    def _timeout(self, now: float) -> float:
        due = [self._logs_due, self._slots.next_deadline(), self._kill_due, self._oom.due]
        if self._ending is None:
            due += [self._hub.next_deadline(now), self._notice.due(now)]
        first = min(each for each in due if each is not None)
        return max(0.0, first - now) * 1000

    def _act(self, now: float) -> None:
        """Do what is due."""
        if self._ending is None:
            self._hub.attend(now)
            self._look_at_time(now)
        for slot in self._slots.take_due(now):
            self._start(slot)
        for slot in self._slots.take_stubborn(now):
            slot.killed_by = KILL
            self._signal(slot.number, KILL, Target.GROUP)
        if now >= self._oom.due:
            self._oom.look(now)
        if self._kill_due is not None and now >= self._kill_due:
            self._kill_due = None
            self._signal_all(KILL, Target.GROUP)
        if now >= self._logs_due:
            self._logs_due = now + LOOK_AFTER_LOGS
            self._berths.look_after_logs()

    def _watch_lifeline(self, lifeline: int, poller: Any) -> None:
        """See when the lifeline ends: a pipe, for which Windows can only wait."""
        if sys.platform == "win32":
            threading.Thread(
                target=self._await_end, args=(lifeline,), name="ctrlhub-lifeline", daemon=True
            ).start()
        else:
            poller.register(lifeline, POLLIN)

    def _await_end(self, lifeline: int) -> None:
        while os.read(lifeline, 4096):
            continue
        self._later(lambda: self._stop(ABANDONED, Ending.LEFT))

    def _attend(self, ready: set[int], poller: Any) -> None:
        struck = set(self._struck.recv(4096)) if self._struck.fileno() in ready else set()
        if signal.SIGINT in struck or (signal.SIGTERM in struck and self._notice.is_given):
            self._stop("its nanny was told to stop", Ending.LEFT)
        elif signal.SIGTERM in struck and self._config.drain:
            self._drain("its nanny was told to stop", time.monotonic())
        elif signal.SIGTERM in struck:
            # By somebody: who has started this lets go of the lifeline, and would start another.
            self._comes_back = bool(self._config.keys)
            self._stop("its nanny was told to stop", Ending.TERMINATED)
        if self._wakeup.fileno() in ready:
            self._wakeup.clear()
            while self._calls:
                self._calls.popleft()()
        if self._warm.channel.fileno() in ready:
            self._hear_warm()
        if self._lifeline in ready and not os.read(self._lifeline, 4096):
            poller.unregister(self._lifeline)
            self._stop(ABANDONED, Ending.LEFT)

    def _later(self, call: Callable[[], None]) -> None:
        """Have something done by the main thread."""
        self._calls.append(call)
        self._wakeup.set()

    # ------------------------------------------------------------ engines

    def _start(self, slot: Slot) -> None:
        active = len(self._slots.in_state(*ACTIVE))
        engine = self._berths.begin(slot.number, active)
        self._warm.channel.send(StartEngine(slot.number, engine.to_json()))

    def _grow(self, count: int) -> None:
        """Start so many further engines."""
        if self._ending is not None or self._notice.is_given:
            return
        if len(self._slots.in_state(*ACTIVE)) + count > self._warm.capacity:
            _log.error("%d further engines are more than this nanny has room for", count)
            return
        slots = self._slots.grow(count, time.monotonic())
        self._berths.grow(len(self._slots))
        for number in slots:  # the id of one that has left is no wish of another
            self._warm.board.slot(number)[IDENTITY] = 0
        _log.info("the hub wants %d further engines: slots %s", count, slots)
        self._record()

    def _record(self) -> None:
        wanted = self._slots.in_state(*WANTED)
        self._berths.record(slot.number for slot in wanted if not slot.retiring)

    def _hear_warm(self) -> None:
        notes = self._warm.channel.receive()
        if notes is None:
            self._lose_warm()
        for note in notes or ():
            if isinstance(note, EngineStarted):
                self._slots.started(note.slot, note.pid)
                self._hub.started(self._berths.key_of(note.slot))
                slot = self._slots[note.slot]
                if self._ending is not None or slot.restarting or slot.retiring:
                    # It was forked while the others were told.
                    self._signal(note.slot, signal.SIGTERM, Target.PROCESS)
            elif isinstance(note, EngineEnded):
                self._ended(note)

    def _ended(self, note: EngineEnded) -> None:
        ending, back = self._ending is not None, self._comes_back
        if self._ends.ended(note, ending=ending, comes_back=back) and self._stays:
            self._record()

    def _lose_warm(self) -> None:
        """End: without the warm process its engines are dead, and no others can be made."""
        _log.error("the process that forks engines has ended, and its engines with it")
        self._ending = Ending.FAILED
        self._slots.stop()
        for slot in self._slots.in_state(SlotState.STARTING, SlotState.RUNNING):
            running = self._warm.board.slot(slot.number)[RUNNING] or -1
            self._warm.kill_orphans(slot.pid)
            self._slots.died(slot.number, time.monotonic())
            self._ends.report(slot.number, "the nanny's warm process has ended", False, running)

    def _restart(self, slot: int, incarnation: bytes, reason: str, at_once: bool) -> None:
        """Put another engine in a slot: ask the present one to go, and after a time of grace kill it.

        Who is to go `at_once` has been asked in vain already.
        """
        if self._ending is not None or self._berths.incarnation_of(slot) != incarnation:
            return  # what was meant has ended
        _log.info("restarting the engine of slot %d: %s", slot, reason)
        grace = 0.0 if at_once else self._config.grace
        if self._slots.restart(slot, time.monotonic(), grace) and not at_once:
            self._signal(slot, signal.SIGTERM, Target.PROCESS)

    def _retire(self, slot: int, incarnation: bytes, reason: str, within: float) -> None:
        """Have no other engine in a slot, and kill the one that is there when its time is over."""
        if self._berths.incarnation_of(slot) != incarnation:
            return  # what was meant has ended
        if not self._slots[slot].retiring:
            _log.info("the engine of slot %d is to finish, and no other follows: %s", slot, reason)
        limit = NEVER if within < 0 else time.monotonic() + within + self._config.grace
        self._slots.retire(slot, limit)
        if self._stays:
            self._record()  # should this nanny be killed now, the next one is not to have it

    def _signal_as_asked(self, slot: int, number: signal.Signals) -> None:
        self._slots[slot].killed_by = number
        # Nothing survives SIGKILL, so what the engine has started goes with it.
        target = Target.GROUP if number is KILL else Target.PROCESS
        self._signal(slot, number, target)

    def _signal(self, slot: int, number: int, target: Target) -> None:
        if number == signal.SIGTERM:
            self._warm.board.slot(slot)[ASKED] = MAKING_WAY if self._comes_back else FOR_GOOD
        self._warm.channel.send(SignalEngine(slot, number, target.value))

    def _signal_all(self, number: int, target: Target) -> None:
        for slot in self._slots.in_state(SlotState.STARTING, SlotState.RUNNING):
            self._signal(slot.number, number, target)

    # ------------------------------------------------------------ the end

    def _look_at_time(self, now: float) -> None:
        if self._notice.is_over(now):
            self._stop("what ran has not ended in the time that it had", Ending.LEFT)
        elif self._notice.is_in_vain(self._hub.is_there, now):
            self._stop("there is no hub to take what its engines finish", Ending.LEFT)
        elif self._notice.is_to_be_given(now):
            self._drain("the time of its job is nearly over", now)

    def _drain(self, why: str, now: float) -> None:
        """Let the engines end what they run, and start no others."""
        until = self._notice.give(now)
        _log.info("draining, for %.1f s at most: %s", until - now, why)
        for slot in range(len(self._slots)):
            self._slots.retire(slot)
        self._hub.drain(why, until)

    def _stop(self, why: str, ending: Ending) -> None:
        """Stop all engines: by asking, and after a time of grace by force."""
        if self._ending is not None:
            return
        _log.info("stopping: %s", why)
        self._ending = ending
        self._slots.stop()
        self._signal_all(signal.SIGTERM, Target.PROCESS)
        self._kill_due = time.monotonic() + self._config.grace

    def _close(self) -> None:
        self._hub.leave()
        self._warm.close()
        self._detour.close()
        self._wakeup.close()
        self._struck.close()
        self._strike.close()

    # ------------------------------------------------------------ in the I/O thread

    def _vouches(self) -> list[str]:
        pids = [(number, self._slots[number].pid) for number in range(len(self._slots))]
        return [
            self._berths.key_of(number)
            for number, pid in pids
            if pid and is_running(pid, self._warm.pid)
        ]

    def _processes(self) -> list[tuple[str, int]]:
        pids = [(number, self._slots[number].pid) for number in range(len(self._slots))]
        return [(self._berths.key_of(number), pid) for number, pid in pids if pid]

    def _signal_wanted(self, key: str, name: str) -> None:
        number = getattr(signal, name, None) if name.startswith("SIG") else None
        slot = self._berths.slot_of(key)
        if not isinstance(number, signal.Signals) or slot is None:
            _log.warning("the hub asked for %.40r to be sent to an engine: not possible", name)
            return
        self._later(lambda: self._signal_as_asked(slot, number))

    def _restart_wanted(
        self, key: str, incarnation: bytes, reason: str, at_once: bool
    ) -> None:
        slot = self._berths.slot_of(key)
        if slot is None:
            _log.warning("the hub asked for an engine to be restarted that is not of this nanny")
            return
        self._later(lambda: self._restart(slot, incarnation, reason, at_once))

    def _retire_wanted(self, key: str, incarnation: bytes, reason: str, within: float) -> None:
        slot = self._berths.slot_of(key)
        if slot is not None:
            self._later(lambda: self._retire(slot, incarnation, reason, within))

    def _shutdown_wanted(self, reason: str) -> None:
        self._later(lambda: self._stop(f"the hub said so: {reason}", Ending.LEFT))


def _ignore(number: int, frame: FrameType | None) -> None:
    """Handle a signal that arrives through the wakeup descriptor."""
