"""What an engine's own children use is found by what the kernel says of them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ctrlhub.engine.usage import can_look, usage_of
from tests.support.processes import until

MIB = 1024 * 1024


@pytest.mark.skipif(not can_look(), reason="only Linux tells of other processes")
def test_a_child_is_counted_once_it_is_there() -> None:
    """Its memory comes to that of the process that has started it; when it has ended, it does not."""
    alone = _memory()
    with subprocess.Popen([sys.executable, "-c", "kept = b'x' * (64 << 20); input()"], stdin=subprocess.PIPE) as child:
        until(lambda: _memory() > alone + 48 * MIB, "the child's memory is counted")
        assert child.poll() is None
        child.communicate(b"\n")
    until(lambda: _memory() < alone + 48 * MIB, "it is counted no more")


def _memory() -> int:
    """How much memory (bytes) this process and its children have."""
    found = usage_of(os.getpid())
    assert found is not None
    return found[1]
