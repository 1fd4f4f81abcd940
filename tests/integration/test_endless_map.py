"""A map over a sequence without end is broken off, and leaves nothing behind."""

from __future__ import annotations

from itertools import count

import pytest

from ctrlhub.wire.errors import LimitExceeded
from tests.support.memory_cluster import MemoryCluster
from tests.support.processes import until


def test_it_is_refused_with_what_to_do_instead() -> None:
    """Once more of it is outstanding than the hub takes; what was sent is cancelled."""
    cluster = MemoryCluster(0, max_outstanding=100)
    client = cluster.start()
    try:
        view = client.load_balanced_view()
        before = view.apply_async(abs, -1)
        with pytest.raises(LimitExceeded, match=r"max_outstanding.*chunksize.*imap"):
            view.map_async(abs, count())
        until(lambda: client.queue_status()["unassigned"] == 1, "its tasks are cancelled")
        assert not before.done()
    finally:
        client.close()
        cluster.stop()
