"""What ZeroMQ needs of the system, taken in time."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys

import pytest

from ctrlhub.link.provision import require_descriptors


def test_descriptors_are_looked_for_and_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are too few, it is said what to do."""
    before = sorted(os.listdir("/proc/self/fd"))
    require_descriptors(5)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, before)) + 3, hard))
    try:
        with pytest.raises(OSError, match=r"close files, or raise `ulimit -n`") as caught:
            require_descriptors(2000)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert caught.value.errno == errno.EMFILE
    assert sorted(os.listdir("/proc/self/fd")) == before


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
