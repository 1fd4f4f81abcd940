"""Who watches an MPI job whose ranks are engines: the nanny of all of them, wherever they run.

It starts ``mpiexec``, and vouches for the ranks as long as that runs: with one of them all die. When it
has ended, it tells the hub of each rank that had not left, and what the first one died of, as far as
``mpiexec`` says. A job is started again, all ranks with their ids, only when a client asks for it.
"""

from __future__ import annotations

import logging
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

from ctrlhub.engine.config import NannyConfig
from ctrlhub.engine.lease import Ending
from ctrlhub.engine.logs import last_lines
from ctrlhub.engine.mpi_words import Culprit, culprit_of, forwarding
from ctrlhub.engine.nanny_hub import NannyHub
from ctrlhub.engine.notice import NEVER, Notice
from ctrlhub.engine.process import log_to_stderr
from ctrlhub.engine.rank import ORDERLY
from ctrlhub.engine.ranks import FORWARD_VARIABLE, SEED_VARIABLE, RankNote, Seed, log_of
from ctrlhub.link.wakeup import Wakeup
from ctrlhub.wire.messages import EngineDied
from ctrlhub.wire.private import open_private

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
TERM_PATIENCE = 5.0
"""Seconds that mpiexec has, once it is told to, to end what does not end by itself."""
NOTE_PATIENCE = 1.0
"""Seconds that the note of a rank may come later than the end of its job."""
LOOK = 0.01

_DIE_WITH_PARENT = (
    "import ctypes,os,sys;p=int(sys.argv[1]);"
    "sys.platform=='linux' and ctypes.CDLL(None).prctl(1,int(sys.argv[2]),0,0,0);"
    "os.getppid()==p or os._exit(1);os.execvp(sys.argv[3],sys.argv[3:])"
)
"""Becomes a command that gets a signal when the process that has started it dies."""

AT_ONCE = {"OMPI_MCA_odls_base_sigkill_timeout": "0", "PRTE_MCA_odls_base_sigkill_timeout": "0"}
"""Has Open MPI say without delay what a rank died of: those that go with it have nothing to say."""

_log = logging.getLogger(__name__)


def run(config: NannyConfig, command: Sequence[str], rank: Sequence[str], lifeline: int | None = None) -> int:
    """Watch an MPI job until it ends, and return the process's exit code.

    Parameters
    ----------
    config
        What a nanny would be told; `engines` is the number of ranks.
    command
        What starts a job, as far as the command that each rank runs.
    rank
        The command that each rank runs.
    lifeline
        A descriptor whose end of file means that whoever wanted this is gone.
    """
    log_to_stderr(config, "nanny")
    if shutil.which(command[0]) is None:
        _log.error(
            "there is no %r here: install an MPI (Debian: openmpi-bin), load its module, or say with "
            "--mpiexec what starts MPI jobs",
            command[0],
        )
        return int(Ending.MISCONFIGURED)
    others = filter(None, os.environ.pop(FORWARD_VARIABLE, "").split(","))
    names = dict.fromkeys(("CTRLHUB_TOKEN", SEED_VARIABLE, *others))
    full = [*command, *forwarding(command, tuple(names)), *rank]
    return int(MpiJob(config, full, lifeline).run())


class MpiJob:
    """The watcher of one job.

    Parameters
    ----------
    config, lifeline
        As in `run`.
    command
        What starts the job.
    """

    def __init__(self, config: NannyConfig, command: Sequence[str], lifeline: int | None) -> None:
        self._config = config
        self._command = list(command)
        self._lifeline = lifeline
        self._logs = Path(config.logs)
        self._seed = replace(Seed.fresh(), start=0)
        self._keys = [self._seed.keys(rank) for rank in range(config.engines)]
        self._job: subprocess.Popen[bytes] | None = None
        self._calls: deque[Callable[[], None]] = deque()
        self._wakeup = Wakeup()
        self._signals = os.pipe()
        self._ending: Ending | None = None
        self._restarting = ""
        self._retiring: dict[int, float] = {}
        self._steps: deque[tuple[float, signal.Signals]] = deque()
        self._notice = Notice(config.drain, config.until, time.time(), time.monotonic())
        self._hub = NannyHub(
            config,
            vouches=self._vouches,
            on_signal=self._signal_wanted,
            on_restart=self._restart_wanted,
            on_retire=self._retire_wanted,
            on_grow=lambda n: _log.warning("an MPI job cannot grow: %d more engines are not started", n),
            on_shutdown=lambda why: self._later(lambda: self._stop(f"the hub said so: {why}", Ending.LEFT)),
            on_end=lambda why, ending: self._later(lambda: self._stop(why, ending)),
        )

    def run(self) -> Ending:
        """Run until the job has ended, and is not to be started again."""
        self._catch_signals()
        poller = select.poll()
        for source in (self._wakeup, self._signals[0]):
            poller.register(source, select.POLLIN)
        if self._lifeline is not None:
            poller.register(self._lifeline, select.POLLIN)
        try:
            self._start()
            while True:
                self._act(time.monotonic())
                if (code := self._ended()) is not None:
                    outcome = self._settle(code)
                    if outcome is not None:
                        return outcome
                    self._start()
                ready = {fd for fd, _ in poller.poll(self._timeout(time.monotonic()))}
                self._attend(ready, poller)
        finally:
            for number in STOP_SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            signal.set_wakeup_fd(-1)
            self._close()

    # ------------------------------------------------------------ the loop

    def _catch_signals(self) -> None:
        for end in self._signals:
            os.set_blocking(end, False)
        for number in (*STOP_SIGNALS, signal.SIGCHLD):
            signal.signal(number, _ignore)
        signal.set_wakeup_fd(self._signals[1], warn_on_full_buffer=False)

    def _timeout(self, now: float) -> float | None:
        due = [self._steps[0][0]] if self._steps else []
        if self._ending is None:
            due += [each for each in (self._hub.next_deadline(now), self._notice.due(now)) if each is not None]
        first = min(due, default=NEVER)
        return None if first == NEVER else max(0.0, first - now) * 1000

    def _act(self, now: float) -> None:
        if self._ending is None:
            self._hub.attend(now)
            self._look_at_time(now)
        while self._steps and now >= self._steps[0][0]:
            self._send(self._steps.popleft()[1])

    def _attend(self, ready: set[int], poller: select.poll) -> None:
        struck = set(os.read(self._signals[0], 4096)) if self._signals[0] in ready else set()
        if signal.SIGTERM in struck and self._config.drain and not self._notice.is_given:
            self._drain("it was told to stop", time.monotonic())
        elif struck & set(STOP_SIGNALS):
            self._stop("it was told to stop", Ending.LEFT)
        if self._wakeup.fileno() in ready:
            self._wakeup.clear()
            while self._calls:
                self._calls.popleft()()
        if self._lifeline in ready and not os.read(self._lifeline, 4096):
            poller.unregister(self._lifeline)
            self._stop("whoever started it is gone", Ending.LEFT)

    def _later(self, call: Callable[[], None]) -> None:
        """Have something done by the main thread."""
        self._calls.append(call)
        self._wakeup.set()

    # ------------------------------------------------------------ the job

    @property
    def log(self) -> Path:
        """Where mpiexec writes."""
        return self._logs / "mpiexec.log"

    def _start(self) -> None:
        self._seed = replace(self._seed, start=self._seed.start + 1)
        shim = [
            sys.executable, "-P", "-S", "-E", "-c", _DIE_WITH_PARENT,
            str(os.getpid()), str(int(getattr(signal, ORDERLY))),
        ]  # fmt: skip
        output = open_private(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            self._job = subprocess.Popen(
                [*shim, *self._command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={
                    **AT_ONCE, **os.environ, "CTRLHUB_TOKEN": self._config.token,
                    SEED_VARIABLE: self._seed.to_text(),
                },
                start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(output)
        _log.info("started process %d: %s", self._job.pid, " ".join(self._command))

    def _ended(self) -> int | None:
        assert self._job is not None
        return self._job.poll()

    def _send(self, number: signal.Signals) -> None:
        if self._job is None or self._ended() is not None:
            return
        if number is signal.SIGKILL:
            os.killpg(self._job.pid, number)  # it leads a session of its own
        else:
            self._job.send_signal(number)

    def _end_job(self, grace: float) -> None:
        """Have the job end: by asking, then by mpiexec, in the end by force."""
        now = time.monotonic()
        self._steps = deque([(now + grace, signal.SIGTERM), (now + grace + TERM_PATIENCE, signal.SIGKILL)])

    def _look_at_time(self, now: float) -> None:
        if self._notice.is_over(now):
            self._stop("what ran has not ended in the time that it had", Ending.LEFT)
        elif self._notice.is_in_vain(self._hub.is_there, now):
            self._stop("there is no hub to take what its ranks finish", Ending.LEFT)
        elif self._notice.is_to_be_given(now):
            self._drain("the time of its job is nearly over", now)

    def _drain(self, why: str, now: float) -> None:
        """Let the ranks end what they run, and leave; with the last of them the job ends in good order."""
        until = self._notice.give(now)
        _log.info("draining, for %.1f s at most: %s", until - now, why)
        self._hub.drain(why, until)

    def _stop(self, why: str, ending: Ending) -> None:
        if self._ending is not None:
            return
        _log.info("stopping: %s", why)
        self._ending = ending
        self._send(getattr(signal, ORDERLY))
        self._end_job(self._config.grace)

    def _restart(self, reason: str) -> None:
        """End the job for another to come: the ranks of one live and die together."""
        if self._ending is None and not self._restarting:
            _log.info("restarting all ranks: %s", reason)
            self._restarting = reason
            self._end_job(0.0)

    def _retire(self, rank: int, within: float) -> None:
        """Have a rank finish, which it does by itself; force ends the job only where all ranks are to.

        With one that is killed all would die.
        """
        limit = NEVER if within < 0 else time.monotonic() + within
        self._retiring[rank] = min(limit, self._retiring.get(rank, limit))
        latest = max(self._retiring.values())
        if len(self._retiring) == self._config.engines and self._ending is None and latest < NEVER:
            self._end_job(latest - time.monotonic() + self._config.grace)

    def _settle(self, code: int) -> Ending | None:
        """Deal with the end of the job; return how this ends, or None where another is to start."""
        self._steps.clear()
        self._retiring.clear()
        if self._restarting and self._ending is None:
            cause = f"its MPI job was restarted: {self._restarting}"
            self._restarting = ""
            for rank in range(self._config.engines):
                self._report(rank, cause, restarting=True)
            return None
        if code == 0:
            return self._ending if self._ending is not None else Ending.LEFT
        culprit = culprit_of(last_lines(self.log), code)
        notes = self._await_notes(culprit)
        for rank in range(self._config.engines):
            note = notes.get(rank)
            if note is not None and note.left:
                continue
            if rank == culprit.rank:
                blamed, words = (note.running, note.words) if note is not None else (-1, "")
                self._report(rank, culprit.cause, running=blamed or -1, words=words)
            else:
                self._report(rank, f"its MPI job ended: {culprit.story}")
        if self._ending is not None:
            return self._ending
        _log.error(
            "the MPI job has ended: %s; the end of its log, %s:\n%s",
            culprit.story, *self._telling(culprit),
        )  # fmt: skip
        try:
            return Ending(culprit.code)
        except ValueError:
            return Ending.FAILED

    def _telling(self, culprit: Culprit) -> tuple[Path, str]:
        """Return the log that says most, and its end."""
        log = self.log if culprit.rank < 0 else log_of(self._logs, culprit.rank)
        text = last_lines(log)
        return (log, text) if text else (self.log, last_lines(self.log))

    def _await_notes(self, culprit: Culprit) -> dict[int, RankNote]:
        """Return what the ranks' minders have noted; that of the culprit may take a moment."""
        deadline = time.monotonic() + NOTE_PATIENCE
        while culprit.rank >= 0 and time.monotonic() < deadline:
            note = RankNote.read(self._logs, culprit.rank)
            if note is None or not note.is_here or (note.ended and note.start == self._seed.start):
                break
            time.sleep(LOOK)
        found = {rank: RankNote.read(self._logs, rank) for rank in range(self._config.engines)}
        return {n: x for n, x in found.items() if x is not None and x.start == self._seed.start}

    def _report(
        self, rank: int, cause: str, *, restarting: bool = False, running: int = -1, words: str = ""
    ) -> None:
        self._hub.report(
            EngineDied(
                key=self._keys[rank].public,
                incarnation=self._seed.incarnation(rank),
                cause=cause,
                log=words,
                restarting=restarting,
                running=running,
            )
        )

    def _close(self) -> None:
        self._hub.leave()
        self._wakeup.close()
        for end in self._signals:
            os.close(end)

    # ------------------------------------------------------------ in the I/O thread

    def _vouches(self) -> list[str]:
        job = self._job
        return [] if job is None or job.returncode is not None else [k.public for k in self._keys]

    def _rank_of(self, key: str) -> int | None:
        return next((n for n, keys in enumerate(self._keys) if keys.public == key), None)

    def _signal_wanted(self, key: str, name: str) -> None:
        number = getattr(signal, name, None) if name.startswith("SIG") else None
        rank = self._rank_of(key)
        if isinstance(number, signal.Signals) and rank is not None:
            self._later(lambda: self._signal_rank(rank, number))
        else:
            _log.warning("the hub asked for %.40r to be sent to a rank: not possible", name)

    def _signal_rank(self, rank: int, number: signal.Signals) -> None:
        note = RankNote.read(self._logs, rank)
        if note is None or not note.is_here:
            _log.warning("rank %d runs on another host: %s cannot be sent there", rank, number.name)
        elif not note.ended and note.start == self._seed.start:
            _kill(note.pid, number)

    def _retire_wanted(self, key: str, incarnation: bytes, reason: str, within: float) -> None:
        rank = self._rank_of(key)

        def retire() -> None:
            if rank is not None and self._seed.incarnation(rank) == incarnation:
                self._retire(rank, within)

        self._later(retire)

    def _restart_wanted(self, key: str, incarnation: bytes, reason: str, at_once: bool) -> None:
        rank = self._rank_of(key)

        def restart() -> None:
            if rank is not None and self._seed.incarnation(rank) == incarnation:
                self._restart(reason)

        self._later(restart)


def _kill(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _ignore(number: int, frame: FrameType | None) -> None:
    """Handle a signal that arrives through the wakeup descriptor."""
