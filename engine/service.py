"""One engine: I/O in a thread of its own, user code in the thread that calls `run`.

While there is nothing to run, the thread of user code leads the I/O loop itself (`Runner.lead`), and
finds its next request without a change of threads.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FrameType
from typing import Any

from ctrlhub.engine.board import FOR_GOOD, MAKING_WAY
from ctrlhub.engine.console import Console
from ctrlhub.engine.executor import Executor
from ctrlhub.engine.forks import die_of, end_copy
from ctrlhub.engine.lease import Ending
from ctrlhub.engine.live import Source
from ctrlhub.engine.log_records import ForwardedLogs
from ctrlhub.engine.session import EngineSession
from ctrlhub.engine.work import CommandWork, Row, TaskWork
from ctrlhub.engine.workqueue import WorkQueue
from ctrlhub.link.base import Link
from ctrlhub.link.handlers import ALARMS, are_handled
from ctrlhub.link.patience import Patience
from ctrlhub.link.runner import Runner
from ctrlhub.link.sharing import Sharing
from ctrlhub.wire.forking import in_forks
from ctrlhub.wire.messages import Register, UsageRow

LAST_MOMENT = 0.5
"""How long (seconds) user code has to let go, once the engine has left the hub."""

_NONE: Any = object()
"""Stands for a command where there is none."""

_log = logging.getLogger(__name__)


def _stay(ending: Ending) -> None:
    """Leave a thread whose user code does not end to itself."""
    _log.warning("user code goes on after the engine has left the hub (%s)", ending.name.lower())


class EngineService:
    """Runs an engine on a link.

    Parameters
    ----------
    link
        The connection to the hub.
    registration
        What the engine says of itself.
    executor
        Runs its requests.
    hub_lease, drain, usage
        As in `EngineSession`.
    patience, seed
        As in `Membership`.
    abandon
        Called, in the I/O thread, when the engine has left the hub and user code does not end.

    Attributes
    ----------
    console : Console or None
        A console on this engine, which has the main thread while there is nothing to run.
    struck : int
        The request that ran when a signal came that nobody of ours had sent; 0 for none.
    """

    def __init__(
        self,
        link: Link,
        registration: Register,
        executor: Executor,
        *,
        hub_lease: float = 600.0,
        drain: float = 5.0,
        patience: Patience | None = None,
        seed: int | None = None,
        abandon: Callable[[Ending], None] = _stay,
        usage: Callable[[], Sequence[UsageRow]] = tuple,
    ) -> None:
        self.session = EngineSession(
            registration, self, hub_lease=hub_lease, drain=drain, patience=patience, seed=seed, usage=usage
        )
        self._executor = executor
        self._queue = WorkQueue(executor.gate)
        self._runner = Runner(self.session, link, sharing=Sharing(self.session))
        self._abandon = abandon
        self._done_tasks: deque[Row] = deque()
        self._done_commands: deque[Row] = deque()
        self._idle = threading.Event()
        self._makes_way = self._dies = False
        self._asked: Callable[[], int] = lambda: FOR_GOOD
        self._only_if_asked = False
        self.struck = 0
        self.console: Console | None = None
        self._logs: ForwardedLogs | None = None
        executor.output.announce = self._announce
        executor.output.announce_begin = self._announce_begin

    # ------------------------------------------------------------ what its owner calls

    def run(self) -> Ending:
        """Be an engine until the hub, a signal or a lost hub ends it."""
        self._executor.gate.install()
        thread = threading.Thread(target=self._communicate, name="ctrlhub-io", daemon=True)
        thread.start()
        self._work()
        if self.console is not None:
            self.console.close()
        self._idle.set()
        self._runner.post(self._worked)
        thread.join()
        return self.session.ending

    def end_on(
        self, number: signal.Signals, asked: Callable[[], int], only_if_asked: bool = False
    ) -> None:
        """End on a signal: what runs is interrupted. For the main thread.

        Parameters
        ----------
        number
            The signal.
        asked
            Says how the nanny has asked for that: `FOR_GOOD`, `MAKING_WAY`, or 0 if it has not. Then
            this is a death.
        only_if_asked
            Then it is nothing: the nanny has got it, too, and decides.
        """
        self._asked, self._only_if_asked = asked, only_if_asked
        signal.signal(number, self._on_signal)

    def stop(self, reason: str = "it was stopped") -> None:
        """End when what runs has ended; from any thread."""
        self._runner.post(lambda now: self.session.finish(reason, now))

    def make_way(self) -> None:
        """End when what runs has ended, for another engine to come. For the main thread."""
        self._makes_way = True
        self._queue.end()

    def mind_forks(self) -> None:
        """Take care that a copy of this process, made by user code, ends with what it runs."""
        in_forks(self._in_fork)

    def _announce(self) -> None:
        self._runner.post(self.session.written)

    def _announce_begin(self) -> None:
        self._runner.post(self.session.begun)

    def _in_fork(self) -> None:
        self._executor.is_copy = True
        self._executor.output.become_copy()  # the loop is the original's
        if self._logs is not None:
            self._logs.stopped = True
        self._queue.end()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._executor.is_copy:
            die_of(number)
        asked = self._asked()
        if not asked and self._only_if_asked:
            return
        if asked == MAKING_WAY:
            self._makes_way = True
        elif not asked and not self._dies:
            self._dies, self.struck = True, self._executor.on_board
        # The session may not be told from here: the signal may have come in the midst of that.
        self.session.hurried = True
        self._queue.end()
        self._runner.rouse()
        self._executor.gate.terminate()

    # ------------------------------------------------------------ the I/O thread

    def _communicate(self) -> None:
        try:
            self._runner.run()
        except BaseException:  # user code can raise anything in any thread; there is only the log
            _log.exception("the connection to the hub ended, and the engine with it")
            self.session.ending = Ending.FAILED
        if self.session.refused is not None:
            _log.error("the hub refused this engine: %s", self.session.refused.message)
        self._queue.end()
        if not self._idle.wait(LAST_MOMENT):
            self._abandon(self.session.ending)

    def joined(self, engine_id: int) -> None:
        """Take note of the engine's id."""
        self._executor.joined(engine_id, self.session.registration.key)
        _log.info("joined as engine %d", engine_id)
        self._executor.rested()

    def run_command(self, work: CommandWork) -> None:
        """Run a command before any task that has not begun."""
        self._queue.put_command(work)

    def run_tasks(self, work: list[TaskWork]) -> None:
        """Run tasks."""
        self._queue.put_tasks(work)

    def stop_requests(self, requests: Sequence[int]) -> tuple[list[int], list[int]]:
        """Withdraw what has not begun, interrupt what runs."""
        return self._queue.stop(requests)

    def give_back(self, most: int) -> list[int]:
        """Withdraw tasks that have not begun; return them."""
        return self._queue.give_back(most)

    def interrupt(self, requests: Sequence[int]) -> list[int]:
        """Interrupt that of the requests which runs; return it."""
        return self._queue.interrupt(requests)

    def interrupt_running(self) -> list[int]:
        """Interrupt whatever runs; return it."""
        return self._queue.interrupt_running()

    def insist(self, requests: Iterable[int]) -> None:
        """See to it that interrupts are not lost."""
        self._queue.insist(requests)

    def look(self) -> Source | None:
        """Return what the request that runs puts out."""
        return self._executor.output.look()

    def hold(self, request: int) -> None:
        """Take note that nothing more of a request can be shown for now."""
        self._executor.output.hold(request)

    def forward_logs(self, levels: Mapping[str, int]) -> None:
        """Keep what these loggers log from these levels on, to be taken."""
        if self._logs is None:
            if not levels:
                return
            self._logs = ForwardedLogs(lambda: self._runner.post(self.session.logged))
        self._logs.follow(levels)

    def take_logs(self) -> tuple[list[dict[str, Any]], bool]:
        """Take the next records of what was logged; tell whether others wait."""
        return ([], False) if self._logs is None else self._logs.take()

    def finish(self) -> tuple[list[int], list[int]]:
        """Withdraw everything that has not begun; return the tasks, and the commands."""
        return self._queue.finish()

    def _collect(self, now: float) -> None:
        self.session.task_results(_emptied(self._done_tasks), now)
        self.session.command_results(_emptied(self._done_commands), now)

    def _worked(self, now: float) -> None:
        self._collect(now)
        if self._dies:
            self.session.die()
        elif self._makes_way:
            self.session.make_way("it makes way for a fresh engine")
        self.session.idle(now)

    # ------------------------------------------------------------ the thread of user code

    def _work(self) -> None:
        queue, executor = self._queue, self._executor
        while True:
            try:
                command = queue.urgent.popleft()
            except IndexError:  # none, or withdrawn in this moment
                command = _NONE
            # Not in the handler: user code must not find an exception that is handled.
            if command is _NONE:
                if queue.tasks:
                    executor.run_tasks(
                        queue.tasks, queue.urgent, self._done_tasks, self._flush, self._hand_over
                    )
                    self._flush()
                    executor.rest()
                self._rest()
                continue
            row = executor.run_command(command) if command is not None else None
            if row is None:  # the end
                if executor.is_copy:
                    end_copy()
                return
            self._done_commands.append(row)
            command = row = None  # their data goes now, not with the next command
            self._flush()
            executor.rest()

    def _rest(self) -> None:
        """Wait until there may be something to do."""
        console = self.console
        if console is None and not are_handled(ALARMS):
            if not self._runner.lead(self._queue.has_work):
                self._queue.wait()
            return
        try:
            if console is not None:
                console.serve(self._queue.wait)
            else:
                self._queue.wait()
        except Exception:  # its namespace should not die of an alarm that is late
            _log.exception("a signal's handler of user code raised while nothing ran")

    def _flush(self) -> None:
        if self._executor.is_copy:  # the sockets are the original's; touching would break it
            end_copy()
        self._runner.at_once(self._collect)

    def _hand_over(self) -> None:
        if self._executor.is_copy:
            end_copy()
        self._runner.post(self._collect)


def _emptied(rows: deque[Row]) -> list[Row]:
    """Take all that is there now; the other side may be adding."""
    return [rows.popleft() for _ in range(len(rows))]
