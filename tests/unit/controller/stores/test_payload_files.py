"""Files of payloads: what is written from a segment, piece by piece, is what the segment holds."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from random import Random

import pytest

from ctrlhub.controller.stores.payload_files import IN_PLACE, PayloadFiles
from ctrlhub.wire.segments import AVAILABLE, share


@pytest.mark.skipif(not AVAILABLE, reason="this system has no memory files")
@pytest.mark.parametrize("nbytes", [1, IN_PLACE, IN_PLACE + 1, 3 * IN_PLACE - 7])
def test_from_a_segment(tmp_path: Path, nbytes: int) -> None:
    """Beside buffers of this process, whatever its size; and it is found whole."""
    data = Random(nbytes).randbytes(nbytes)
    segment = share(memoryview(data))
    assert segment is not None
    files = PayloadFiles(tmp_path / "payloads")
    files.write([("one", (b"before", segment, b"behind"))])
    sizes = (6, nbytes, 6)
    found = files.read("one", sizes)
    assert [bytes(each) for each in found] == [b"before", data, b"behind"]


def test_what_cannot_be_written_whole_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk is full, a part of it would keep it so."""
    files = PayloadFiles(tmp_path / "files")
    write, left = os.write, [1]

    def fail(descriptor: int, data: memoryview) -> int:
        if not left.pop():
            raise OSError(errno.ENOSPC, "no space left")
        left.append(0)
        return write(descriptor, data[:100])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail)
        with pytest.raises(OSError, match="no space left"):
            files.write([("a", bytes(1000))])
    assert not files
