"""What ZeroMQ needs of the system, taken in time."""

from __future__ import annotations

import subprocess
import sys

LOOKING = """
import errno, os, resource
from ctrlhub.link.provision import require_descriptors
before = sorted(os.listdir("/proc/self/fd"))
require_descriptors(5)
resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, before)) + 3,) * 2)
try:
    require_descriptors(2000)
except OSError as error:
    print(error, error.errno == errno.EMFILE, sorted(os.listdir("/proc/self/fd")) == before)
"""


def test_descriptors_are_looked_for_and_left() -> None:
    """Where there are too few, it is said what to do."""
    done = subprocess.run(
        [sys.executable, "-c", LOOKING], capture_output=True, text=True, timeout=60, check=False
    )
    assert "close files, or raise `ulimit -n`" in done.stdout, done.stderr
    assert done.stdout.strip().endswith("True True")


def test_a_context_without_descriptors_is_an_error_and_no_death() -> None:
    """ZeroMQ would end the process."""
    code = """
import os, resource
from ctrlhub.link.provision import make_context
resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 3,) * 2)
try:
    make_context()
except OSError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )

    assert "Too many open files" in done.stdout, done.stderr
    assert done.returncode == 0
