"""What pickles by value: cloudpickle, or dill."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from ctrlhub.wire.by_value import CLOUDPICKLE, DILL, use, used
from ctrlhub.wire.errors import SerializationError
from ctrlhub.wire.serialize import dumps, dumps_inline, loads


@pytest.fixture(autouse=True)
def afterwards() -> Iterator[None]:
    """Leave the setting as it is from the beginning."""
    yield
    use(CLOUDPICKLE)


def test_dill_is_used_when_one_says_so() -> None:
    """It can pickle a lock, which cloudpickle cannot; and what plain pickle can, that one does."""
    with pytest.raises(SerializationError):
        dumps_inline(threading.Lock())

    use(DILL)

    assert used() == DILL
    assert loads(dumps_inline(threading.Lock())).acquire(blocking=False)
    assert b"dill" not in dumps_inline([1, "two"])


def test_functions_take_along_what_they_use() -> None:
    """As with cloudpickle: closures, globals that are used, and nothing else."""
    use(DILL)
    factor = 3
    blob = dumps_inline(lambda x: factor * x)

    assert loads(blob)(7) == 21
    assert len(blob) < 2_000


def test_buffers_survive() -> None:
    """Of arrays in an object that only its pickler can write."""

    class Holder:
        def __init__(self) -> None:
            self.values = np.arange(100_000.0)

    use(DILL)
    again = loads(dumps(Holder()))

    assert again.values.sum() == np.arange(100_000.0).sum()
    again.values[0] = 1.0


def test_dill_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A named error, and all stays as it was."""
    monkeypatch.setitem(sys.modules, "dill", None)

    with pytest.raises(SerializationError, match="install it"):
        use(DILL)

    assert used() == CLOUDPICKLE


def test_anything_else() -> None:
    """The names there are, are named."""
    with pytest.raises(ValueError, match="'cloudpickle' or 'dill'"):
        use("marshal")
