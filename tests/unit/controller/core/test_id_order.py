"""The ids on record in order, page by page."""

from __future__ import annotations

from typing import Any

import pytest

from ctrlhub.controller.core import id_order
from ctrlhub.controller.core.id_order import ORDER_SECONDS, IdOrder


def test_what_has_come_since_is_sorted_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever begins gets all there is, of whatever client, and not all of it is sorted each time."""
    sorted_ones: list[int] = []

    def counted(ids: Any) -> list[int]:
        sorted_ones.append(len(ids))
        return sorted(ids)

    monkeypatch.setattr(id_order, "sorted", counted, raising=False)
    order = IdOrder()
    records = dict.fromkeys([*range(1000, 1500), *range(100, 600)])
    assert list(order.after(0, records, (), 0.0)) == [*range(100, 600), *range(1000, 1500)]
    records |= dict.fromkeys([600, 1500, 601])
    del records[1000]
    ended = {1000: None, 50: None}
    assert list(order.after(0, records, ended, 1.0)) == [50, *range(100, 602), *range(1000, 1501)]
    assert sorted_ones == [1000, 4]
    assert list(order.after(1498, records, ended, 2.0)) == [1499, 1500]
    assert sorted_ones == [1000, 4]


def test_what_is_gone_is_dropped_in_the_end() -> None:
    """An order of which most is gone, or that nobody uses, is made anew."""
    order = IdOrder()
    assert list(order.after(0, dict.fromkeys(range(100)), (), 0.0)) == list(range(1, 100))
    assert list(order.after(0, {7: None}, (), 1.0)) == [7]
    assert order._ids == [7]
    order.forget(1.0 + ORDER_SECONDS)
    assert order._ids == []
