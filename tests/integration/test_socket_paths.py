"""That the longest path we allow is one the system and ZeroMQ take."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from ctrlhub.wire.places import MAX_SOCKET_PATH


@pytest.fixture
def router() -> Iterator[zmq.Socket[bytes]]:
    """A socket to bind."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as made:
        yield made


@pytest.mark.parametrize(("more", "fits"), [(0, True), (1, False)])
def test_the_limit_is_exact(router: zmq.Socket[bytes], more: int, fits: bool) -> None:
    """A path of the limit can be bound, one byte more cannot."""
    with tempfile.TemporaryDirectory(dir="/tmp") as base:
        directory = Path(base) / ("x" * (MAX_SOCKET_PATH + more - len(base) - len("//h")))
        directory.mkdir()
        path = f"{directory}/h"
        assert len(path) == MAX_SOCKET_PATH + more
        if fits:
            router.bind(f"ipc://{path}")
        else:
            with pytest.raises(zmq.ZMQError):
                router.bind(f"ipc://{path}")
