from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.gateway.api.tasks import MOST_ASKED, page_of
from ctrlhub.wire.ids import number_of, text_of


class Hub:
    """Has records of some requests, of which some fit; it looks through so many for one answer."""

    def __init__(self, fitting: set[int], count: int, scan: int) -> None:
        self._fitting, self._count, self._scan = fitting, count, scan
        self.asked = 0

    async def ask(self, after: int) -> Mapping[str, Any]:
        """Answer as `history.select` does."""
        self.asked += 1
        numbers = range(after + 1, min(after + 1 + self._scan, self._count + 1))
        found = [{"msg_id": text_of(n)} for n in numbers if n in self._fitting]
        return {"records": found, "after": numbers[-1] if len(numbers) == self._scan else None}


@given(st.sets(st.integers(1, 400)), st.integers(0, 400), st.integers(1, 20), st.integers(1, 50))
def test_pages_have_each_record_once_and_no_question_goes_on_for_long(
    fitting: set[int], count: int, limit: int, scan: int
) -> None:
    """However few of how many fit: who goes on where a page has ended gets all, in order."""
    hub, found, place = Hub(fitting, count, scan), list[int](), 0
    while True:
        before = hub.asked
        page, last = asyncio.run(page_of(hub.ask, place, limit))
        assert len(page) <= limit
        assert hub.asked - before <= MOST_ASKED
        found += [number_of(each["msg_id"]) for each in page]
        if last is None:
            break
        assert number_of(last) > place
        place = number_of(last)
    assert found == sorted(n for n in fitting if n <= count)
