"""The nanny: one process per node. Starts that node's engines, sees them die, and speaks for them.

Its main thread minds processes: the warm process that forks engines, signals to the nanny itself,
and the lifeline. A second thread talks to the hub. Neither carries any payload.
"""

from __future__ import annotations

import logging
import os
import select
import shutil
import signal
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from ctrlhub.engine.board import ASKED, FOR_GOOD, LEAVING, MAKING_WAY, RUNNING, WORDS
from ctrlhub.engine.causes import OomWatch, describe_exit, is_running
from ctrlhub.engine.channel import EngineEnded, EngineStarted, SignalEngine, StartEngine, Target
from ctrlhub.engine.config import EngineConfig, NannyConfig
from ctrlhub.engine.given import Node
from ctrlhub.engine.lease import Ending
from ctrlhub.engine.logs import LastWords, LogBound, uploads_of
from ctrlhub.engine.nanny_hub import NannyHub
from ctrlhub.engine.process import log_to_stderr
from ctrlhub.engine.slots import Slot, Slots, SlotState
from ctrlhub.engine.warm import WarmProcess
from ctrlhub.link.wakeup import Wakeup
from ctrlhub.wire.messages import EngineDied
from ctrlhub.wire.security import KeyPair

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
LOOK_AFTER_LOGS = 10.0
"""How often (seconds) logs are looked at; what is written last is up to twice as old."""

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
    threads = config.max_threads or max(1, Node().cores() // config.engines)
    # Before anything that makes a thread or a ZeroMQ context, and after all imports: what both
    # need is so imported once, which with few cores beats importing it twice at the same time.
    warm = WarmProcess.fork(config.engines, threads)
    return int(Nanny(config, warm, lifeline).run())


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

    def __init__(self, config: NannyConfig, warm: WarmProcess, lifeline: int | None) -> None:
        log_to_stderr(config.log_level)
        self._config = config
        self._warm = warm
        self._lifeline = lifeline
        self._keys = list(config.keys) or [KeyPair.generate() for _ in range(config.engines)]
        self._incarnations = [b""] * config.engines
        self._slots = Slots(config.engines, config.restart)
        self._last_words = [LastWords(self._log_of(n)) for n in range(config.engines)]
        self._bounds = [LogBound(self._log_of(n)) for n in range(config.engines)]
        self._oom = OomWatch()
        self._calls: deque[Callable[[], None]] = deque()
        self._wakeup = Wakeup()
        self._signals = os.pipe()
        self._hub = NannyHub(
            config,
            vouches=self._vouches,
            on_signal=self._signal_wanted,
            on_restart=self._restart_wanted,
            on_shutdown=self._shutdown_wanted,
            on_end=lambda why, ending: self._later(lambda: self._stop(why, ending)),
        )
        self._logs_due = time.monotonic() + LOOK_AFTER_LOGS
        self._ending: Ending | None = None
        self._comes_back = False
        self._kill_due: float | None = None
        self._outcome = Ending.LEFT

    def run(self) -> Ending:
        """Run until all engines have ended, or are told to."""
        self._catch_signals()
        poller = select.poll()
        for source in (self._warm.channel, self._wakeup, self._signals[0]):
            poller.register(source, select.POLLIN)
        if self._lifeline is not None:
            poller.register(self._lifeline, select.POLLIN)
        try:
            while True:
                self._act(time.monotonic())
                if not self._slots.active:
                    break
                ready = {fd for fd, _ in poller.poll(self._timeout(time.monotonic()))}
                self._attend(ready, poller)
        finally:
            # It is ending: to be told so again must not turn a good end into a death.
            for number in STOP_SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            signal.set_wakeup_fd(-1)
            self._close()
        return self._outcome if self._ending is None else self._ending

    # ------------------------------------------------------------ the loop

    def _catch_signals(self) -> None:
        for end in self._signals:
            os.set_blocking(end, False)
        for number in STOP_SIGNALS:
            signal.signal(number, _ignore)
        signal.set_wakeup_fd(self._signals[1], warn_on_full_buffer=False)

    def _timeout(self, now: float) -> float:
        due = [self._logs_due, self._slots.next_deadline(), self._kill_due, self._oom.due]
        if self._ending is None:
            due.append(self._hub.next_deadline(now))
        first = min(each for each in due if each is not None)
        return max(0.0, first - now) * 1000

    def _act(self, now: float) -> None:
        """Do what is due."""
        if self._ending is None:
            self._hub.attend(now)
        for slot in self._slots.take_due(now):
            self._start(slot)
        for slot in self._slots.take_stubborn(now):
            slot.killed_by = signal.SIGKILL
            self._signal(slot.number, signal.SIGKILL, Target.GROUP)
        if now >= self._oom.due:
            self._oom.look(now)
        if self._kill_due is not None and now >= self._kill_due:
            self._kill_due = None
            self._signal_all(signal.SIGKILL, Target.GROUP)
        if now >= self._logs_due:
            self._logs_due = now + LOOK_AFTER_LOGS
            self._look_after_logs()

    def _attend(self, ready: set[int], poller: select.poll) -> None:
        struck = set(os.read(self._signals[0], 4096)) if self._signals[0] in ready else set()
        if signal.SIGINT in struck:
            self._stop("its nanny was told to stop", Ending.LEFT)
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
            self._stop("whoever started it is gone", Ending.LEFT)

    def _later(self, call: Callable[[], None]) -> None:
        """Have something done by the main thread."""
        self._calls.append(call)
        self._wakeup.set()

    # ------------------------------------------------------------ engines

    def _start(self, slot: Slot) -> None:
        keys, config = self._keys[slot.number], self._config
        self._incarnations[slot.number] = os.urandom(16)
        self._last_words[slot.number].begin()
        self._remove_uploads(slot.number)  # if a nanny before this one was killed
        engine = EngineConfig(
            slot=slot.number,
            connection=config.connection,
            public=keys.public,
            secret=keys.secret,
            incarnation=self._incarnations[slot.number].hex(),
            log=str(self._log_of(slot.number)),
            wait=config.wait,
            hub_lease=config.hub_lease,
            prefer=config.prefer,
            log_level=config.log_level,
            resources=config.resources_of(slot.number),
            environment=config.environment_of(slot.number),
            token=config.token,
        )
        self._warm.channel.send(StartEngine(slot.number, engine.to_json()))

    def _log_of(self, slot: int) -> Path:
        return Path(self._config.logs) / f"engine-{slot}.log"

    def _hear_warm(self) -> None:
        notes = self._warm.channel.receive()
        if notes is None:
            self._lose_warm()
        for note in notes or ():
            if isinstance(note, EngineStarted):
                self._slots.started(note.slot, note.pid)
                self._hub.started(self._keys[note.slot].public)
                if self._ending is not None or self._slots[note.slot].restarting:
                    # It was forked while the others were told.
                    self._signal(note.slot, signal.SIGTERM, Target.PROCESS)
            elif isinstance(note, EngineEnded):
                self._ended(note)

    def _ended(self, note: EngineEnded) -> None:
        board, slot = self._warm.board.slot(note.slot), self._slots[note.slot]
        cause = describe_exit(note.status, self._oom, slot.killed_by)
        now = time.monotonic()
        self._remove_uploads(note.slot)
        self._bounds[note.slot].look()
        if slot.restarting:
            _log.info("engine in slot %d (pid %d) is restarted: %s", slot.number, note.pid, cause)
            self._slots.restarted(note.slot, now)
            if not board[LEAVING]:
                self._report(slot.number, cause, True, board[RUNNING] or -1)
            return
        if board[LEAVING] == MAKING_WAY:
            _log.info("engine in slot %d (pid %d) makes way for another", slot.number, note.pid)
            self._slots.restarted(note.slot, now)
            return
        code = os.waitstatus_to_exitcode(note.status)
        if board[LEAVING]:
            if code == Ending.HUB_LOST:  # so is the nanny's, a moment later
                self._outcome = Ending.HUB_LOST
            self._slots.left(note.slot)
            return
        refused = code == Ending.REFUSED
        if refused:
            self._slots.refused(note.slot)
        restarting = not refused and self._slots.died(note.slot, now, board[RUNNING])
        self._report(slot.number, cause, restarting or self._comes_back, board[RUNNING] or -1)
        if self._ending is not None:
            return
        if restarting:
            wait = slot.due - time.monotonic()
            _log.warning(
                "engine in slot %d (pid %d) died: %s; another starts in %.1f s",
                slot.number, note.pid, cause, max(0.0, wait),
            )  # fmt: skip
        elif refused:
            self._outcome = Ending.REFUSED
            _log.error(
                "slot %d is given up: the hub does not let its engine in; the end of its log, %s:\n%s",
                slot.number, self._log_of(slot.number), self._last_words[slot.number].text(),
            )  # fmt: skip
        else:
            self._give_up(slot, cause)

    def _give_up(self, slot: Slot, cause: str) -> None:
        self._outcome = Ending.FAILED
        log = self._log_of(slot.number)
        _log.error(
            "slot %d is given up: its engine died %d times in a row, each within %g s of its start; "
            "the last time: %s; the end of its log, %s:\n%s",
            slot.number, slot.early_deaths, self._config.restart.early, cause, log,
            self._last_words[slot.number].text(),
        )  # fmt: skip

    def _remove_uploads(self, slot: int) -> None:
        directory = uploads_of(self._log_of(slot))
        if directory.exists():
            try:
                shutil.rmtree(directory)
            except OSError as error:  # what is left takes only room
                _log.warning("what was uploaded to slot %d is left: %s", slot, error)

    def _lose_warm(self) -> None:
        """End: without the warm process its engines are dead, and no others can be made."""
        _log.error("the process that forks engines has ended, and its engines with it")
        self._ending = Ending.FAILED
        self._slots.stop()
        for slot in self._slots.in_state(SlotState.STARTING, SlotState.RUNNING):
            running = self._warm.board.slot(slot.number)[RUNNING] or -1
            self._warm.kill_orphans(slot.pid)
            self._slots.died(slot.number, time.monotonic())
            self._report(slot.number, "the nanny's warm process has ended", False, running)

    def _look_after_logs(self) -> None:
        for slot in range(self._config.engines):
            self._last_words[slot].mark()
            self._bounds[slot].look()

    def _report(self, slot: int, cause: str, restarting: bool, running: int) -> None:
        self._hub.report(
            EngineDied(
                key=self._keys[slot].public,
                incarnation=self._incarnations[slot],
                cause=cause,
                log=self._last_words[slot].text(self._warm.board.slot(slot)[WORDS]),
                restarting=restarting,
                running=running,
            )
        )

    def _restart(self, slot: int, incarnation: bytes, reason: str, at_once: bool) -> None:
        """Put another engine in a slot: ask the present one to go, and after a time of grace kill it.

        Who is to go `at_once` has been asked in vain already.
        """
        if self._ending is not None or self._incarnations[slot] != incarnation:
            return  # what was meant has ended
        _log.info("restarting the engine of slot %d: %s", slot, reason)
        grace = 0.0 if at_once else self._config.grace
        if self._slots.restart(slot, time.monotonic(), grace) and not at_once:
            self._signal(slot, signal.SIGTERM, Target.PROCESS)

    def _signal_as_asked(self, slot: int, number: signal.Signals) -> None:
        self._slots[slot].killed_by = number
        # Nothing survives SIGKILL, so what the engine has started goes with it.
        target = Target.GROUP if number is signal.SIGKILL else Target.PROCESS
        self._signal(slot, number, target)

    def _signal(self, slot: int, number: int, target: Target) -> None:
        if number == signal.SIGTERM:
            self._warm.board.slot(slot)[ASKED] = MAKING_WAY if self._comes_back else FOR_GOOD
        self._warm.channel.send(SignalEngine(slot, number, target.value))

    def _signal_all(self, number: int, target: Target) -> None:
        for slot in self._slots.in_state(SlotState.STARTING, SlotState.RUNNING):
            self._signal(slot.number, number, target)

    # ------------------------------------------------------------ the end

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
        self._wakeup.close()
        for end in self._signals:
            os.close(end)

    # ------------------------------------------------------------ in the I/O thread

    def _vouches(self) -> list[str]:
        pids = [self._slots[number].pid for number in range(self._config.engines)]
        return [
            keys.public
            for keys, pid in zip(self._keys, pids, strict=True)
            if pid and is_running(pid, self._warm.pid)
        ]

    def _slot_of(self, key: str) -> int | None:
        return next((n for n, keys in enumerate(self._keys) if keys.public == key), None)

    def _signal_wanted(self, key: str, name: str) -> None:
        number = getattr(signal, name, None) if name.startswith("SIG") else None
        slot = self._slot_of(key)
        if not isinstance(number, signal.Signals) or slot is None:
            _log.warning("the hub asked for %.40r to be sent to an engine: not possible", name)
            return
        self._later(lambda: self._signal_as_asked(slot, number))

    def _restart_wanted(
        self, key: str, incarnation: bytes, reason: str, at_once: bool
    ) -> None:
        slot = self._slot_of(key)
        if slot is None:
            _log.warning("the hub asked for an engine to be restarted that is not of this nanny")
            return
        self._later(lambda: self._restart(slot, incarnation, reason, at_once))

    def _shutdown_wanted(self, reason: str) -> None:
        self._later(lambda: self._stop(f"the hub said so: {reason}", Ending.LEFT))


def _ignore(number: int, frame: FrameType | None) -> None:
    """Handle a signal that arrives through the wakeup descriptor."""
