"""The same done with several things at once."""

from __future__ import annotations

import subprocess
import sys
import threading

from ctrlhub.cluster.launchers.parallel import at_once

ENDS = """
import atexit
from ctrlhub.cluster.launchers.parallel import at_once
atexit.register(lambda: print(at_once([1, 2, 3], lambda n: n * n)))
"""


def test_all_are_begun_before_the_first_has_ended() -> None:
    """The results are in the order of the things."""
    met = threading.Barrier(3, timeout=60)

    def meet(number: int) -> int:
        met.wait()
        return number

    assert at_once([3, 1, 2], meet) == [3, 1, 2]
    assert at_once([], meet) == []


def test_a_program_that_ends_does_them_one_by_one() -> None:
    """No thread can be started then."""
    ended = subprocess.run([sys.executable, "-c", ENDS], capture_output=True, text=True, check=True)
    assert (ended.stdout, ended.stderr) == ("[1, 4, 9]\n", "")
