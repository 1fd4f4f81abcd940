"""Which engines are meant: what is said of those that are away for a while."""

from __future__ import annotations

import pytest

from ctrlhub import InvalidEngineID, NoEnginesRegistered
from ctrlhub.client.targets import chosen

ABSENT = {0: "is being restarted: client 3 asked for it"}


def test_an_engine_that_is_being_restarted() -> None:
    """It is named, and how to wait for it; the others are there."""
    with pytest.raises(InvalidEngineID, match=r"engine 0 is being restarted: client 3 .* wait for"):
        chosen([0, 1], [1, 2], ABSENT)
    assert chosen([1], [1, 2], ABSENT) == [1]


def test_one_that_never_was_is_not() -> None:
    """Those that are there are listed."""
    with pytest.raises(InvalidEngineID, match="no engine 5; there are engines 1, 2"):
        chosen(5, [1, 2], ABSENT)


def test_the_only_engine_is_being_restarted() -> None:
    """There is none now, but there will be."""
    with pytest.raises(NoEnginesRegistered, match=r"engine 0 is being .*wait_for_engines\(1\)"):
        chosen(0, [], ABSENT)
