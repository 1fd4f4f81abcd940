"""What a client has the hub forget of requests that have ended."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

from ctrlhub.client.cancellations import AT_ONCE
from ctrlhub.client.metadata import UNFINISHED
from ctrlhub.client.records import Named, Records
from ctrlhub.client.targets import Targets
from ctrlhub.wire.errors import ResultNotCompleted
from ctrlhub.wire.ids import Ranges, merged, number_of, text_of, to_ranges
from ctrlhub.wire.messages import Role


class Purging(Records):
    """The part of a client that forgets."""

    def purge_local_results(self, jobs: Named = (), targets: Targets = ()) -> None:
        """Forget requests here: `results` and `metadata` have them no more, the hub has them still.

        Parameters
        ----------
        jobs, targets
            As for `purge_results`.

        Raises
        ------
        ResultNotCompleted
            Some of these requests have not ended; with ``'all'``, any of this client's.
        """
        if isinstance(jobs, str) and jobs == "all":
            self._check_ended(self._connection.outstanding_numbers())
        self._purge_here(self._ended(jobs), targets)

    def purge_hub_results(self, jobs: Named = (), targets: Targets = ()) -> None:
        """Have the hub forget requests that have ended.

        Only this client's, and for an admin those of clients that are gone: others may still ask for theirs.

        Parameters
        ----------
        jobs
            ``'all'``, or as for `get_result`.
        targets
            And all that ended on these engines.

        Raises
        ------
        ResultNotCompleted
            Some of these requests have not ended.
        """
        ranges = self._ended(jobs)
        engines = [] if _is_nothing(targets) else self._resolve(targets)
        for place in range(0, len(ranges) or 1, AT_ONCE):
            arguments = {
                "requests": ranges[place : place + AT_ONCE],
                "engines": engines,
                "rest": jobs == "all" and self._connection.role.allows(Role.ADMIN),
            }
            self._connection.call("history", "purge", arguments)

    def purge_results(self, jobs: Named = (), targets: Targets = ()) -> None:
        """Forget requests that have ended, here and at the hub: see `purge_hub_results`."""
        ended = self._ended(jobs)
        self._purge_here(ended, targets)
        self.purge_hub_results(jobs, targets)

    def purge_everything(self) -> None:
        """Forget all that has ended, here and at the hub, and begin a new `history`."""
        self.purge_hub_results("all")
        self._forgotten = len(self._connection.numbers())

    def _ended(self, jobs: Named) -> Ranges:
        """Return the ids of requests that have ended, in order."""
        out = self._connection.outstanding_numbers()
        if isinstance(jobs, str) and jobs == "all":
            return _without(self._connection.numbers(), sorted(out))
        numbers = [] if _is_nothing(jobs) else self._numbers_of(jobs)
        self._check_ended([number for number in numbers if number in out])
        return to_ranges(sorted(set(numbers)))

    def _check_ended(self, waiting: Collection[int]) -> None:
        if waiting:
            raise ResultNotCompleted(
                f"{len(waiting)} of these requests have not ended, {text_of(min(waiting))} among them: "
                "wait for them, or abort() them"
            )

    def _purge_here(self, ended: Ranges, targets: Targets) -> None:
        """Have `results` and `metadata` lack what has ended: by id, and by engine."""
        if not _is_nothing(targets):
            engines = self._resolve(targets)
            on_them = self._selected(
                {"client": self._connection.session, "engine_id": {"$in": engines}},
                ("msg_id", "status"),
            )
            over = [each["msg_id"] for each in on_them if each["status"] not in UNFINISHED]
            ended = (*ended, *to_ranges(sorted(map(number_of, over))))
        self._purged = merged((*self._purged, *ended))


def _is_nothing(value: object) -> bool:
    return isinstance(value, tuple | list) and not value


def _without(numbers: range, gaps: Sequence[int]) -> Ranges:
    """Return consecutive ids without some of them."""
    borders = [numbers.start - 1, *gaps, numbers.stop]
    pairs = ((a + 1, b - 1) for a, b in pairwise(borders))
    return tuple((first, last) for first, last in pairs if first <= last)
