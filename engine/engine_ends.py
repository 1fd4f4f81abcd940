"""What the end of an engine's process means: for its slot, for the nanny, and for the hub."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable

from ctrlhub.engine.berths import Berths
from ctrlhub.engine.board import LEAVING, MAKING_WAY, RUNNING, WORDS, Board
from ctrlhub.engine.causes import OomWatch, describe_exit
from ctrlhub.engine.channel import EngineEnded
from ctrlhub.engine.config import RestartPolicy
from ctrlhub.engine.lease import Ending
from ctrlhub.engine.slots import Slot, Slots
from ctrlhub.wire.messages import EngineDied

_log = logging.getLogger(__name__)


class EngineEnds:
    """Judges the ends of engines, and tells the hub of deaths.

    Parameters
    ----------
    slots, berths, board
        The nanny's slots, what it knows of the engines in them, and what these say themselves.
    policy
        When another engine is started in a slot.
    oom
        Knows whether the kernel has killed somebody for memory.
    tell
        Tells the hub.

    Attributes
    ----------
    outcome : Ending
        How the nanny ends if it has no engines any more, going by how the engines have ended.
    """

    def __init__(
        self,
        slots: Slots,
        berths: Berths,
        board: Board,
        policy: RestartPolicy,
        oom: OomWatch,
        tell: Callable[[EngineDied], None],
    ) -> None:
        self._slots = slots
        self._berths = berths
        self._board = board
        self._policy = policy
        self._oom = oom
        self._tell = tell
        self.outcome = Ending.LEFT

    def ended(self, note: EngineEnded, *, ending: bool, comes_back: bool) -> bool:
        """Take note of an end, and say whether the engine has left as it should, for good.

        Parameters
        ----------
        note
            Which process it was.
        ending
            Whether the nanny itself is ending.
        comes_back
            Whether another nanny then takes its place, with engines of the same keys.
        """
        board, slot = self._board.slot(note.slot), self._slots[note.slot]
        cause = describe_exit(note.status, self._oom, slot.killed_by)
        now = time.monotonic()
        self._berths.ended(note.slot)
        if slot.restarting:
            _log.info("engine in slot %d (pid %d) is restarted: %s", slot.number, note.pid, cause)
            self._slots.restarted(note.slot, now)
            if not board[LEAVING]:
                self.report(slot.number, cause, True, board[RUNNING] or -1)
            return False
        if board[LEAVING] == MAKING_WAY:
            _log.info("engine in slot %d (pid %d) makes way for another", slot.number, note.pid)
            self._slots.restarted(note.slot, now)
            return False
        code = os.waitstatus_to_exitcode(note.status)
        if board[LEAVING]:
            if code == Ending.HUB_LOST:  # so is the nanny's, a moment later
                self.outcome = Ending.HUB_LOST
            self._slots.left(note.slot)
            return True
        refused = code == Ending.REFUSED
        if refused:
            self._slots.refused(note.slot)
        restarting = not refused and self._slots.died(note.slot, now, board[RUNNING])
        if slot.overdue:  # what ran was given back when its time was over: nothing is to blame
            cause, board[RUNNING] = f"its time to finish was over, and it did not let go: {cause}", 0
        self.report(slot.number, cause, restarting or comes_back, board[RUNNING] or -1)
        if not ending:
            self._note_death(slot, note.pid, cause, refused=refused, restarting=restarting)
        return False

    def _note_death(
        self, slot: Slot, pid: int, cause: str, *, refused: bool, restarting: bool
    ) -> None:
        """Log what follows from a death, and what it means for the nanny."""
        if slot.retiring and not refused:
            _log.warning(
                "engine in slot %d (pid %d), which was to leave, died: %s", slot.number, pid, cause
            )
            return
        if restarting:
            wait = slot.due - time.monotonic()
            _log.warning(
                "engine in slot %d (pid %d) died: %s; another starts in %.1f s",
                slot.number, pid, cause, max(0.0, wait),
            )  # fmt: skip
        elif refused:
            self.outcome = Ending.REFUSED
            _log.error(
                "slot %d is given up: the hub does not let its engine in; the end of its log, %s:\n%s",
                slot.number, self._berths.log_of(slot.number), self._berths.last_words(slot.number),
            )  # fmt: skip
        else:
            self._give_up(slot, cause)

    def _give_up(self, slot: Slot, cause: str) -> None:
        self.outcome = Ending.FAILED
        log = self._berths.log_of(slot.number)
        _log.error(
            "slot %d is given up: its engine died %d times in a row, each within %g s of its start; "
            "the last time: %s; the end of its log, %s:\n%s",
            slot.number, slot.early_deaths, self._policy.early, cause, log,
            self._berths.last_words(slot.number),
        )  # fmt: skip

    def report(self, slot: int, cause: str, restarting: bool, running: int) -> None:
        """Tell the hub of a death.

        Parameters
        ----------
        slot, cause
            Whose, and of what.
        restarting
            Whether another engine comes in its place.
        running
            The request that it ran; -1 for none.
        """
        self._tell(
            EngineDied(
                key=self._berths.key_of(slot),
                incarnation=self._berths.incarnation_of(slot),
                cause=cause,
                log=self._berths.last_words(slot, self._board.slot(slot)[WORDS]),
                restarting=restarting,
                running=running,
            )
        )
