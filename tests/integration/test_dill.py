"""`use_dill`: what pickles by value is changed here and on the engines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ctrlhub import Client, Cluster, RemoteError, SerializationError


@pytest.fixture
def own(state: Path) -> Iterator[Client]:
    """A client of two engines of this test alone; the setting is taken back here."""
    with Cluster(n=2) as client:
        yield client
        client[:].use_pickle()


def a_lock() -> Any:
    """Return what only dill can pickle."""
    import threading

    return threading.Lock()


def test_what_only_dill_can_pickle_travels_both_ways(own: Client) -> None:
    """As an argument, and as a result; until it is taken back."""
    view = own[:]
    view.block = True
    with pytest.raises(SerializationError):
        view.apply(lambda lock: lock.locked(), a_lock())

    view.use_dill()

    assert view.apply(lambda lock: lock.locked(), a_lock()) == [False, False]
    assert [lock.locked() for lock in view.apply(a_lock)] == [False, False]
    assert own.load_balanced_view().apply_sync(a_lock).acquire()
    assert view.map(lambda n: n + 1, range(4)) == [1, 2, 3, 4]

    view.use_pickle()

    with pytest.raises(SerializationError):
        view.apply(lambda lock: lock.locked(), a_lock())


def test_an_engine_without_dill(own: Client) -> None:
    """The error says what to install, and here all stays as it was."""
    view = own[:]
    view.block = True
    view.execute("import sys; sys.modules['dill'] = None", targets=1)

    with pytest.raises(RemoteError, match=r"dill cannot be imported here .* install it"):
        view.use_dill()

    with pytest.raises(SerializationError):
        view.apply(lambda lock: lock.locked(), a_lock())
