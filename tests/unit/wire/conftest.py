"""Fixtures for serialization: what stands for a user's script, and another process to receive."""

from __future__ import annotations

import pickle
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ctrlhub.wire.failure import unpack_failure
from ctrlhub.wire.functions import FunctionCache, encode
from ctrlhub.wire.rebuild import exception_from
from ctrlhub.wire.serialize import detached, dumps, dumps_call, loads

CHILD = """
import pickle, struct, sys
from ctrlhub.wire.failure import pack_failure
from ctrlhub.wire.rebuild import failure_from_exception
from ctrlhub.wire.serialize import detached, dumps, loads

def answer(digest, blob, call):
    try:
        if digest not in table:
            table[digest] = loads(blob, "on the engine")
        args, kwargs = loads(call, "on the engine")
        return True, detached(dumps(table[digest](*args, **kwargs), "the result"))
    except BaseException as error:
        return False, pack_failure(failure_from_exception(error, 3, "apply"))

table = {}
requests, replies = sys.stdin.buffer, sys.stdout.buffer
while head := requests.read(8):
    request = pickle.loads(requests.read(*struct.unpack("Q", head)))
    reply = pickle.dumps(answer(*request))
    replies.write(struct.pack("Q", len(reply)) + reply)
    replies.flush()
"""


@pytest.fixture
def cache() -> FunctionCache:
    """Give an empty cache."""
    return FunctionCache()


@pytest.fixture
def script() -> Callable[[str], dict[str, Any]]:
    """Run source text as a user's script would be, and give its globals."""

    def run(source: str) -> dict[str, Any]:
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(source, "<script>", "exec", dont_inherit=True), names)
        return names

    return run


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Callable[..., Any]]:
    """Call a function in another process, as an engine does: ``elsewhere(f, *args)``."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None

        def call(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            request = pickle.dumps((*encode(f), detached(dumps_call(args, kwargs))))
            child.stdin.write(struct.pack("Q", len(request)) + request)
            child.stdin.flush()
            (size,) = struct.unpack("Q", child.stdout.read(8))
            succeeded, reply = pickle.loads(child.stdout.read(size))
            if succeeded:
                return loads(reply)
            raise exception_from(unpack_failure(reply))

        yield call
        child.stdin.close()
        child.wait(timeout=30)


@pytest.fixture
def round_trip() -> Callable[[Any], Any]:
    """Serialize and rebuild, as if the buffers had come over a wire."""

    def go(obj: Any) -> Any:
        return loads(detached(dumps(obj)))

    return go
