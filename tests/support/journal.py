"""What was run how often, written down by the tasks themselves; and how each of them ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import wait
from pathlib import Path
from typing import Any

from tests.support.processes import until

WAIT = 60.0
"""Seconds within which everything that was submitted ends."""


class Journal:
    """A file to which every execution appends a line: number, pid, nonce.

    Appending is atomic, so that no execution is overlooked, however it ended.

    Parameters
    ----------
    directory
        Where it lies; the engines are on this host.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / "journal"
        self._path.touch()
        self._gate = directory / "released"
        self._results: dict[int, Any] = {}
        self._ends: Counter[int] = Counter()

    # ------------------------------------------------------------ what engines run

    def noting(self, work: Callable[[int], Any]) -> Callable[[int], Any]:
        """Return a function of a number that notes that it runs, and then does its work."""
        path = str(self._path)

        def run(number: int) -> Any:
            import os

            line = b"%d %d %s\n" % (number, os.getpid(), os.urandom(4).hex().encode())
            file = os.open(path, os.O_WRONLY | os.O_APPEND)
            os.write(file, line)
            os.close(file)
            return work(number)

        return run

    def held(self) -> Callable[[int], int]:
        """Return a function that runs until `release`, and returns its process."""
        gate = str(self._gate)

        def work(number: int) -> int:
            import os
            import time

            while not os.path.exists(gate):
                time.sleep(0.005)
            open(f"{gate}-{number}", "w").close()
            return os.getpid()

        return self.noting(work)

    def release(self) -> None:
        """Let what is held end."""
        self._gate.touch()

    def passed(self, number: int) -> None:
        """Wait until a number that was held has gone on."""
        mark = self._gate.with_name(f"{self._gate.name}-{number}")
        until(mark.exists, f"{number} goes on")

    # ------------------------------------------------------------ what was run

    def runs(self) -> list[tuple[int, int]]:
        """Return the executions until now, (number, pid), in their order."""
        lines = (line.split() for line in self._path.read_text().splitlines())
        return [(int(number), int(pid)) for number, pid, _ in lines]

    def pids(self, number: int) -> list[int]:
        """Return the processes that began to run a number."""
        return [pid for each, pid in self.runs() if each == number]

    def begun(self, number: int, times: int = 1) -> int:
        """Wait until a number runs, for the first or a later time; return the process."""
        until(lambda: len(self.pids(number)) >= times, f"{number} begins")
        return self.pids(number)[times - 1]

    # ------------------------------------------------------------ how it ended

    def submit(self, view: Any, work: Callable[[int], Any], numbers: Iterable[int]) -> None:
        """Submit work under numbers, one by one, and count how often each ends."""
        for number in numbers:
            self._results[number] = result = view.apply_async(work, number)
            result.add_done_callback(lambda _, number=number: self._ends.update((number,)))

    def result(self, number: int) -> Any:
        """Return the result to come of a number."""
        return self._results[number]

    def check(self, failed: Collection[int] = (), again: Collection[int] = ()) -> None:
        """Wait for everything, and prove that all is accounted for.

        Each number ended exactly once; well, unless it is among the `failed`. Each that ended well
        was run, and none twice, unless it is among those that may have been run `again`.
        """
        results = self._results
        open_ones = wait(results.values(), WAIT).not_done
        assert not open_ones, f"{len(open_ones)} of {len(results)} never ended"
        assert {n for n in results if not results[n].successful()} == set(failed)
        until(lambda: len(self._ends) == len(results), "every end is told")
        assert set(self._ends.values()) == {1}, "an end was told twice"
        runs = Counter(number for number, _ in self.runs())
        assert {n for n in results if n not in failed and not runs[n]} == set(), "never run"
        assert {n for n, times in runs.items() if times > 1} <= set(again), "run twice"
